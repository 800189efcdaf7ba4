"""From bundles on disk to judgements of references' claims."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.check.finding import Verdict
from kit.claims import reference
from kit.claims.eligible import EligibleBundle, load
from kit.claims.judge import judge
from kit.claims.reference import Reference
from kit.claims.verdict import JudgedSet
from kit.edge.files import checkout
from kit.edge.verify_paths import verify_paths
from kit.errors import UsageError

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Against:
    """Names of references whose claims are judged, and their parameters as NAME=NUMBER."""

    references: tuple[str, ...]
    settings: tuple[str, ...] = ()


def judge_claims(
    paths: Sequence[Path], tokenizers: Sequence[Path], against: Against
) -> tuple[tuple[Verdict, ...], tuple[JudgedSet, ...]]:
    """Verify bundles, then judge each reference's claims from all of them."""
    shipped = checkout.references()
    wanted = [checkout.published(name, shipped) for name in against.references]
    parameters = _parameters(against.settings, wanted)
    heard = tuple(map(load, verify_paths(paths, tokenizers)))
    everything = reference.by_id([*shipped.values(), *wanted]).values()
    judged = tuple(one for each in wanted for one in _judged(each, everything, parameters, heard))
    return tuple(one.verdict if isinstance(one, EligibleBundle) else one for one in heard), judged


def _judged(
    one: Reference,
    everything: Iterable[Reference],
    parameters: Mapping[str, float],
    heard: Sequence[EligibleBundle | Verdict],
) -> tuple[JudgedSet, ...]:
    return judge(one, reference.noise_of(everything, one.author), parameters, heard)


def _parameters(settings: Sequence[str], wanted: Sequence[Reference]) -> dict[str, float]:
    """Parse NAME=NUMBER settings; raise `UsageError` unless one of the references has the name."""
    if settings and not wanted:
        raise UsageError(
            f"cannot set {settings[0]!r} without a reference",
            "parameters belong to references: --set goes with --reference",
            "kit verify PATH... --reference article-part-1 --set gpu-price-usd=650",
        )
    valid = {name for one in wanted for name in one.parameters}
    found = {}
    for setting in settings:
        name, _, number = setting.partition("=")
        if name not in valid or not _NUMBER.fullmatch(number):
            raise UsageError(
                f"cannot set {setting!r}",
                "expected NAME=NUMBER, such as 650 or 649.99; names: "
                f"{', '.join(sorted(valid)) or 'none'}",
                "kit verify --help",
            )
        found[name] = float(number)
    return found
