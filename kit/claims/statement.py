"""What was published and needs no measurement: one type for each kind of statement.

`kit audit` holds them against public facts.
"""

from typing import TypeAlias

from kit.claims.claim import Id, Part, Positive, Text
from kit.claims.rounding import Printed


class _Statement(Part, frozen=True, kw_only=True):
    """What was said and needs no measurement; held against public facts by `kit audit`."""

    id: Id
    statement: Text
    where: Text


class KvCache(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="kv-cache"):
    """So many GB of KV cache hold about so many tokens of context."""

    model: Id
    gb: Printed
    context_tokens: Positive


class Nvlink(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="nvlink"):
    """So many links have so many GB/s, both ways together."""

    links: Positive
    gb_s: Printed


class Thinking(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="thinking-mode"):
    """The model has, or has not, a mode in which it thinks before it answers."""

    model: Id
    has_mode: bool


class NativeContext(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="native-context"):
    """The model's context as it was trained, in Ki tokens; `configured` if less was used, why."""

    model: Id
    kib_tokens: Printed
    configured_kib_tokens: Printed | None = None
    configured_because: Text | None = None


class DiskSize(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="disk-size"):
    """The checkpoint takes so many GB."""

    model: Id
    gb: Printed


class SameFormat(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="same-format"):
    """The models are quantised in one way, of this name."""

    models: tuple[Id, Id]
    format: Id


Statement: TypeAlias = KvCache | Nvlink | Thinking | NativeContext | DiskSize | SameFormat
