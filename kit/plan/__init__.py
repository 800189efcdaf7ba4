"""The plan of a run, frozen before anything starts, and its topologies, suites and models."""
