"""What is kept of a run, and in which bytes."""
