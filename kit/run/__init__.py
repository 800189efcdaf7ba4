"""Running a plan, and whether a machine can."""
