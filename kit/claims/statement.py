"""What was published without a measurement: one type for each kind of statement.

`kit audit` compares them with public facts.
"""

from typing import TypeAlias

from kit.claims.claim import Id, Part, Positive, Text
from kit.claims.rounding import Printed


class _Statement(Part, frozen=True, kw_only=True):
    id: Id
    statement: Text
    where: Text


class KvCache(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="kv-cache"):
    """`gb` of KV cache hold about `context_tokens`."""

    model: Id
    gb: Printed
    context_tokens: Positive


class Nvlink(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="nvlink"):
    """`links` have `gb_s` GB/s, both directions together."""

    links: Positive
    gb_s: Printed


class Thinking(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="thinking-mode"):
    """The model has, or has not, a mode in which it thinks before it answers."""

    model: Id
    has_mode: bool


class NativeContext(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="native-context"):
    """The model's trained context in Ki tokens; if less was configured, how much and why."""

    model: Id
    kib_tokens: Printed
    configured_kib_tokens: Printed | None = None
    configured_because: Text | None = None


class DiskSize(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="disk-size"):
    """The checkpoint takes `gb` GB."""

    model: Id
    gb: Printed


class SameFormat(_Statement, frozen=True, kw_only=True, tag_field="kind", tag="same-format"):
    """The models are quantised in the same way, named `format`."""

    models: tuple[Id, Id]
    format: Id


Statement: TypeAlias = KvCache | Nvlink | Thinking | NativeContext | DiskSize | SameFormat
