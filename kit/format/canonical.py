"""Canonical JSON: every value has exactly one encoding.

Sorted keys, no white space, UTF-8, the shortest decimal that reads back as the same double, a
newline at the end. NaN and infinities are written as null, which is no number. Decoding refuses a
document that differs from its own re-encoding; this also catches duplicate keys. A `float` field
must be written as one: `5` is re-encoded as `5.0`.
"""

import hashlib
from collections.abc import Iterable
from typing import TypeVar

import msgspec

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, RecursionError, ValueError)
"""What decoding raises for anything but JSON of the expected type."""

_ENCODER = msgspec.json.Encoder(order="sorted")


class NotCanonical(ValueError):
    """The bytes are not JSON of the expected type, or not canonical."""


def encode(value: object) -> bytes:
    """Return `value` as canonical JSON with its newline."""
    return _ENCODER.encode(value) + b"\n"


def encode_lines(values: Iterable[object]) -> bytes:
    """Return one canonical line per value (JSON Lines)."""
    return _ENCODER.encode_lines(values)


def decode(data: bytes, kind: type[T]) -> T:
    """Decode one canonical document; raise `NotCanonical` with the fault."""
    try:
        value = msgspec.json.decode(data, type=kind)
        encoded = encode(value)
    except UNREADABLE as error:
        raise NotCanonical(str(error)) from error
    if encoded != data:
        raise NotCanonical("not in canonical form: key order, spacing, numbers or a repeated key")
    return value


def decode_lines(data: bytes, kind: type[T]) -> tuple[T, ...]:
    """Decode canonical JSON Lines; raise `NotCanonical` with the number of the first bad line."""
    try:
        values = msgspec.json.Decoder(kind).decode_lines(data)
        if encode_lines(values) == data:
            return tuple(values)
    except UNREADABLE:
        pass
    return _decode_each(data, kind)


def _decode_each(data: bytes, kind: type[T]) -> tuple[T, ...]:
    lines = data.split(b"\n")
    if lines.pop() != b"":
        raise NotCanonical("the last line has no newline")
    values = []
    for number, line in enumerate(lines, start=1):
        try:
            values.append(decode(line + b"\n", kind))
        except NotCanonical as error:
            raise NotCanonical(f"line {number}: {error}") from error
    return tuple(values)


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical encoding, in hexadecimal."""
    return hashlib.sha256(encode(value)).hexdigest()
