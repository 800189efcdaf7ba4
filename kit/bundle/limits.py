"""Limits of the format: what is larger, no bundle may hold, and the verifier does not read."""

ARRAY_LIMIT = 1_000_000
"""Of one array of token ids, as `schemas/record.schema.json` has it."""


TOKEN_ID_LIMIT = 6_000_000


CHUNK_LIMIT = 1_000_000
"""Of all records of a bundle. Five prompts, each as long as the longest context that was published,
come to 4.6 million ids in seven passes and 0.7 million chunks in one. Ten times the chunks would
take 1.3 GB and 20 s."""


DOCUMENT_LIMIT_BYTES = 4 * 2**20


RECORD_LIMIT = 100_000


RECORDS_LIMIT_BYTES = 64 * 2**20


LINE_LIMIT_BYTES = 8 * 2**20
"""A streamed response of 131,072 tokens, the longest context published, takes about 5 MiB."""
