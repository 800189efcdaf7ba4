"""This machine: what it is, its GPUs, its load."""
