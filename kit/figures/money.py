"""What tokens cost, from prices that somebody gives; a price that is missing leaves "not given"."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from kit.figures.cell import CellFigures
from kit.figures.energy import Energy

SECONDS_A_YEAR = 365.25 * 86400
J_PER_KWH = 3.6e6
MILLION = 1e6

Usd = Annotated[float, msgspec.Meta(gt=0, le=1e9)]


class BadPrices(ValueError):
    """A file or a setting that holds no prices, and why."""


class Other(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices beside the cards', and assumptions: years of use, and the share of them at work."""

    electricity_usd_per_kwh: Usd | None = None
    host_usd: Usd | None = None
    api_usd_per_million: Usd | None = None
    years: Annotated[float, msgspec.Meta(gt=0, le=100)] = 3.0
    duty: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.25


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `prices.toml`: cards by the driver's name."""

    cards: dict[str, Usd] = msgspec.field(default_factory=dict)
    other: Other = msgspec.field(default_factory=Other)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one cell costs; None where a price that it needs is not given.

    `cards_usd` is the price of the cards that serve, `tokens_per_s_per_usd` the rate over it. A
    million tokens cost the cards' and, if given, the host's share of its years at work, and the
    boards' electricity. `break_even_months` is when an API would have cost as much as the machine.
    """

    cards_usd: float | None = None
    tokens_per_s_per_usd: float | None = None
    hardware_usd_per_million: float | None = None
    electricity_usd_per_million: float | None = None
    break_even_months: float | None = None
    missing: tuple[str, ...] = field(default=())


def parse(files: Sequence[bytes], settings: Mapping[str, str] | None = None) -> Prices:
    """Read files of prices, each in the place of those before it; `settings` are of `[other]`.

    Raises `BadPrices`.
    """
    cards: dict[str, object] = {}
    other: dict[str, object] = {}
    try:
        for data in files:
            table = tomllib.loads(data.decode())
            if unknown := set(table) - {"cards", "other"}:
                raise BadPrices(f"no part is called {min(unknown)}")
            cards |= table.get("cards", {})
            other |= table.get("other", {})
        other |= {name: float(value) for name, value in (settings or {}).items()}
        return msgspec.convert({"cards": cards, "other": other}, Prices)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadPrices(str(error)) from error


def cost(cell: CellFigures, prices: Prices) -> Cost:
    """Return what a cell costs; without a rate, or cards of a known price, nothing is known."""
    engine, other = cell.plan.engine, prices.other
    gpus = cell.bundle.gpus[: engine.tensor_parallel_size if engine else None]
    missing = tuple(f"price of {name}" for name in dict.fromkeys(gpus) if name not in prices.cards)
    if cell.pooled is None or not cell.pooled.tokens or not gpus or missing:
        return Cost(missing=missing)
    rate = cell.pooled.tokens_per_s
    cards_usd = sum(prices.cards[name] for name in gpus)
    at_work_s = other.years * SECONDS_A_YEAR * other.duty
    capital_usd = cards_usd + (other.host_usd or 0.0)
    hardware = MILLION * capital_usd / (rate * at_work_s)
    electricity = _electricity(cell, other)
    absent = [
        name
        for name in ("electricity_usd_per_kwh", "host_usd", "api_usd_per_million")
        if getattr(other, name) is None
    ]
    if other.electricity_usd_per_kwh is not None and electricity is None:
        absent.append("energy of this cell")
    return Cost(
        cards_usd=cards_usd,
        tokens_per_s_per_usd=rate / cards_usd,
        hardware_usd_per_million=hardware,
        electricity_usd_per_million=electricity,
        break_even_months=_break_even(capital_usd, electricity, rate, other),
        missing=tuple(absent),
    )


def _electricity(cell: CellFigures, other: Other) -> float | None:
    if other.electricity_usd_per_kwh is None or not isinstance(cell.energy, Energy):
        return None
    return MILLION * cell.energy.joules_per_token / J_PER_KWH * other.electricity_usd_per_kwh


def _break_even(
    capital_usd: float, electricity: float | None, rate: float, other: Other
) -> float | None:
    """Return the months at work until an API would have cost as much; None for never."""
    if other.api_usd_per_million is None or electricity is None:
        return None
    saved = (other.api_usd_per_million - electricity) / MILLION * rate * other.duty
    return capital_usd / saved / (SECONDS_A_YEAR / 12) if saved > 0 else None
