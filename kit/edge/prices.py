"""Prices on disk: the checkout's, and a user's own in their place."""

from collections.abc import Sequence

from kit.edge.files import checkout
from kit.errors import UsageError
from kit.figures.money import BadPrices, Prices, parse

SHIPPED = checkout.ROOT / "prices.toml"
OWN = checkout.LOCAL_RESULTS / "prices.toml"


def read(settings: Sequence[str] = ()) -> Prices:
    """Return the prices; `settings` are NAME=NUMBER. Raises `UsageError` for what is none."""
    files = [path.read_bytes() for path in (SHIPPED, OWN) if path.is_file()]
    try:
        return parse(files, dict(map(_named, settings)))
    except BadPrices as error:
        raise UsageError(
            f"these are no prices: {error}",
            f"expected the form of {SHIPPED.name}: numbers of USD above 0",
            f"cat {SHIPPED.name} {OWN}",
        ) from error


def _named(setting: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    if not equals:
        raise UsageError(
            f"cannot set {setting!r}",
            "expected NAME=NUMBER, a name of the part [other] of prices.toml",
            "kit build-guide --set electricity_usd_per_kwh=0.30",
        )
    return name, value
