"""Canonical JSON: one value, one spelling.

Keys sorted, no white space, UTF-8, the shortest decimal that reads back as the same double, a
newline at the end. NaN and infinities do not exist: they are written as null, which no number reads
back. A document that is not its own re-encoding is refused, which also catches duplicate keys,
without a slower parser. A `float` field must hold a float: `5` reads back as `5.0`.
"""

import hashlib
from collections.abc import Iterable
from typing import TypeVar

import msgspec

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, RecursionError, ValueError)
"""What decoding raises for bytes that are no JSON of the expected shape."""

_ENCODER = msgspec.json.Encoder(order="sorted")


class NotCanonical(ValueError):
    """The bytes are not JSON of the expected shape, or not in its canonical spelling."""


def encode(value: object) -> bytes:
    """Return `value` as one canonical line, newline included."""
    return _ENCODER.encode(value) + b"\n"


def encode_lines(values: Iterable[object]) -> bytes:
    """Return one canonical line for each value (JSON Lines)."""
    return _ENCODER.encode_lines(values)


def decode(data: bytes, kind: type[T]) -> T:
    """Read one canonical document as `kind`; raise `NotCanonical` with what is wrong."""
    try:
        value = msgspec.json.decode(data, type=kind)
        spelled = encode(value)
    except UNREADABLE as error:
        raise NotCanonical(str(error)) from error
    if spelled != data:
        raise NotCanonical("not in canonical form: key order, spacing, numbers or a repeated key")
    return value


def decode_lines(data: bytes, kind: type[T]) -> tuple[T, ...]:
    """Read canonical JSON Lines; raise `NotCanonical` naming the first bad line, from 1."""
    try:
        values = msgspec.json.Decoder(kind).decode_lines(data)
        if encode_lines(values) == data:
            return tuple(values)
    except UNREADABLE:
        pass
    return _one_by_one(data, kind)


def _one_by_one(data: bytes, kind: type[T]) -> tuple[T, ...]:
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


def line_count(data: bytes) -> int:
    """Return how many lines end in `data`; `bytes.count` would take thirty times as long."""
    return len(data) - len(data.replace(b"\n", b""))


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical form, as hexadecimal."""
    return hashlib.sha256(encode(value)).hexdigest()
