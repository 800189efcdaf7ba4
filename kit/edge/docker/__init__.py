"""Containers: the Docker engine, Compose, and the client within."""
