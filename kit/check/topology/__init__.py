"""Tier 4, topology: the engine was started as planned, and its ranks talk as promised."""
