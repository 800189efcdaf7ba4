"""Roofline model: datasheets of GPUs, and lower bounds for the time of a model's tokens."""
