"""From bundles on disk to judgements on the claims of references."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.check.finding import Verdict
from kit.claims import eligible, reference
from kit.claims.judge import judge
from kit.claims.noise import noise_of
from kit.claims.reference import Reference
from kit.claims.verdict import JudgedSet
from kit.edge.files import checkout
from kit.edge.verify_paths import verify_paths
from kit.errors import UsageError

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Against:
    """The references whose claims are judged; `settings` are NAME=NUMBER, their parameters."""

    references: tuple[str, ...]
    settings: tuple[str, ...] = ()


def judge_claims(
    paths: Sequence[Path], tokenizers: Sequence[Path], against: Against
) -> tuple[tuple[Verdict, ...], tuple[JudgedSet, ...]]:
    """Verify bundles, then judge each reference's claims from all of them together."""
    shipped = checkout.references()
    references = [checkout.published(name, shipped) for name in against.references]
    parameters = _parameters(against.settings, references)
    verdicts, bundles = [], []
    for verified in verify_paths(paths, tokenizers):
        verdicts.append(verified.verdict)
        bundles.append(eligible.load(verified))
    known = reference.by_id([*shipped.values(), *references]).values()
    judged = tuple(
        set_
        for published in references
        for set_ in judge(published, noise_of(known, published.author), parameters, bundles)
    )
    return tuple(verdicts), judged


def _parameters(settings: Sequence[str], references: Sequence[Reference]) -> dict[str, float]:
    """Parse NAME=NUMBER settings; each NAME must be a parameter of a reference."""
    if settings and not references:
        raise UsageError(
            f"cannot set {settings[0]!r}",
            "a parameter belongs to a reference: --set needs --reference",
            "kit verify PATH... --reference article-part-1 --set gpu-price-usd=650",
        )
    valid = {name for published in references for name in published.parameters}
    parameters = {}
    for setting in settings:
        name, _, number = setting.partition("=")
        if name not in valid or not _NUMBER.fullmatch(number):
            raise UsageError(
                f"cannot set {setting!r}",
                f"NAME=NUMBER, such as 650 or 649.99; names: {', '.join(sorted(valid)) or 'none'}",
                "kit verify --help",
            )
        parameters[name] = float(number)
    return parameters
