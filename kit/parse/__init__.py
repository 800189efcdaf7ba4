"""Other programs' bytes, to values: logs, metrics, responses, token ids."""
