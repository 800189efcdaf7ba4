"""Canonical JSON, and the types of stored fields."""
