"""Numbers from records, each computed once."""
