"""What maintainers alone run; nothing imports it."""
