"""Canonical JSON, and the types of fields that everything stored is made of."""
