"""The only door to the outside: files, processes, HTTP and what the host tells of itself."""
