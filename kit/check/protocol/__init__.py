"""Tier 6, protocol: the plan is the kit's own or the published one, and the run followed it."""
