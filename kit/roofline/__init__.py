"""What hardware allows: GPUs by their datasheets, and the least time that a model's tokens take."""
