"""All effects: files, processes, containers, HTTP, and facts of the host."""
