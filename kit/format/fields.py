"""Types of a bundle's fields, with their ranges and lengths, which decoding enforces.

`schemas/` is generated from them. JSON Schema itself, fifty times as slow, is only asked about a
document that does not decode.
"""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=9999)]
"""Passes, or the number of one."""

Below2To31 = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""Tokens, and seeds."""

Seed = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""Exact in every JSON reader (RFC 8259, section 6)."""

Size = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
"""In bytes."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e8)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Line = Annotated[str, msgspec.Meta(max_length=1000)]
FullLine = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Text = Annotated[str, msgspec.Meta(max_length=1_000_000)]
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}", max_length=64)]
Utc = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", max_length=27
    ),
]
