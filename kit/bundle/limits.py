"""Limits of the format: `kit verify` reads no bundle with more."""

ARRAY_LIMIT = 1_000_000
"""Items of one array of a record."""

TOKEN_ID_LIMIT = 6_000_000
"""Token ids of all records. Five prompts at the longest published context take 4.6 million in seven
passes."""

CHUNK_LIMIT = 2_500_000
"""Chunks of all records. Five prompts at the longest published context take 0.7 million in one
pass, four passes of 64 prompts with 8,192 tokens 2.1 million; ten million would take 1.3 GB and
20 s to check."""

DOCUMENT_LIMIT_BYTES = 4 * 2**20
RECORD_LIMIT = 100_000
RECORDS_LIMIT_BYTES = 64 * 2**20

LINE_LIMIT_BYTES = 8 * 2**20
"""Of one record. A streamed response of 131,072 tokens, the longest published context, takes about
5 MiB."""
