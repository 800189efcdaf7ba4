"""What will be done, frozen before anything starts: topologies, suites, models, the plan."""
