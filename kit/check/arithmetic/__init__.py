"""Tier 3, arithmetic: every number that can be counted twice is, and the two must agree."""
