"""Doing a plan, and whether a machine can."""
