"""Figures and claims against each other: every rule with all of its outcomes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.claims.audit.finding import AuditOutcome, Rule
from tests.unit.claims.audit.factory import (
    CANNOT_TELL,
    CONTRADICTED,
    HOLDS,
    claim,
    findings_of,
    outcomes,
    reference_of,
    repeats,
)


def row(tokens: int | None, *rates: str) -> dict[str, Any]:
    """Return what a cell has beside its average: tokens of 10 s, and rates of tasks."""
    pooled = {} if tokens is None else {"tokens": tokens, "seconds": "10.0"}
    return {**pooled, "prompts": dict(zip("ab", rates, strict=False))}


@pytest.mark.parametrize(
    ("cell", "pooled", "mean"),
    [
        (row(1000, "99.0", "101.0"), HOLDS, HOLDS),
        (row(1000, "90.0", "101.0"), HOLDS, CONTRADICTED),
        (row(1100, "99.0", "101.0"), CONTRADICTED, HOLDS),
        (row(1004, "100.1", "100.0"), HOLDS, HOLDS),  # only rounding apart
        (row(None, "99.0", "101.0"), None, HOLDS),
        (row(1000), HOLDS, None),
    ],
)
def test_an_average_is_pooled_or_the_mean_of_its_row(
    cell: dict[str, Any], pooled: AuditOutcome | None, mean: AuditOutcome | None
) -> None:
    audited = reference_of(cells={"big@one": {"rate": "100.0", **cell}})
    assert outcomes(findings_of(Rule.POOLED, audited)) == [pooled] * (pooled is not None)
    assert outcomes(findings_of(Rule.MEAN_OF_ROW, audited)) == [mean] * (mean is not None)


RATIO = "rate(big@two) / rate(big@one)"


@pytest.mark.parametrize(
    ("stated", "outcome"),
    [
        (claim(RATIO, "1.5"), HOLDS),
        (claim(RATIO, "1.50"), HOLDS),
        (claim(RATIO, "1.51"), CONTRADICTED),
        (claim(RATIO, "1.6", "at-most"), HOLDS),
        (claim(RATIO, "1.4", "at-most"), CONTRADICTED),
        (claim(RATIO, "1.4", "at-least"), HOLDS),
        (claim(RATIO, "1.6", "at-least"), CONTRADICTED),
        (claim(RATIO, "1.5", "at-most"), CANNOT_TELL),
        (claim("ttft(big@one)", "1", "at-most"), CANNOT_TELL),
        (claim("rate(big@one, impl)", "1"), CANNOT_TELL),
        (claim("rate(big@three)", "1"), CANNOT_TELL),
        (claim("1 / (rate(big@one) - rate(big@one))", "1"), CANNOT_TELL),
        (claim(RATIO, "1.5", cells_of="nobody"), CANNOT_TELL),
    ],
)
def test_a_claim_follows_from_its_figures_or_does_not(
    stated: dict[str, Any], outcome: AuditOutcome
) -> None:
    assert outcomes(findings_of(Rule.CLAIM, reference_of(claims=[stated]))) == [outcome]


def test_a_claim_may_be_about_the_figures_of_another() -> None:
    other = reference_of(id="there", cells={"big@one": {"rate": "10"}, "big@two": {"rate": "20"}})
    here = reference_of(claims=[claim(RATIO, "2.0", cells_of="there")])
    assert outcomes(findings_of(Rule.CLAIM, here, [other])) == [HOLDS]


@pytest.mark.parametrize(
    ("published", "is_of_the_other"),
    [("0.50", True), ("1.50", False), ("1.40", False), ("0.67", False)],
)
def test_a_percentage_of_the_other_figure_is_found(published: str, is_of_the_other: bool) -> None:
    """100 is 33 % less than 150, and 150 is 50 % more than 100: not the other way round."""
    ratio = "rate(big@one) / rate(big@two)" if published < "1" else RATIO
    directions = findings_of(Rule.DIRECTION, reference_of(claims=[claim(ratio, published)]))
    assert outcomes(directions) == [CONTRADICTED] * is_of_the_other


def test_a_bound_within_the_noise_of_single_passes_cannot_tell() -> None:
    noisy = repeats("100", "102", "98", "101", "99")
    near, far = claim(RATIO, "1.52", "at-most"), claim(RATIO, "1.9", "at-most")
    for stated, outcome in ((near, CANNOT_TELL), (far, HOLDS)):
        audited = reference_of(claims=[stated], repeats=noisy)
        assert outcomes(findings_of(Rule.NOISE, audited)) == [outcome]
    assert findings_of(Rule.NOISE, reference_of(claims=[claim(RATIO, "1.5")])) == []


SMALL = " * ".join(["0.000000000001"] * 20)
TINY = f"({SMALL}) * (0.001 * {SMALL[:99]})"
"""1e-315, whose inverse no float can hold."""


@pytest.mark.parametrize("published", ["1.0", "999999999"])
@pytest.mark.parametrize("relation", ["equals", "at-most", "at-least"])
def test_a_tiny_value_is_compared_like_any_other(published: str, relation: str) -> None:
    audited = reference_of(claims=[claim(TINY, published, relation)])
    assert len(findings_of(Rule.CLAIM, audited)) == 1


RATES = st.from_regex(r"[1-9][0-9]{0,3}(\.[0-9]{1,3})?", fullmatch=True)
FORMULAS = (RATIO, "rate(big@one) - rate(big@two)", "1 / (rate(big@one) - rate(big@two))", "0")


@given(
    rates=st.tuples(RATES, RATES, RATES),
    formula=st.sampled_from(FORMULAS),
    published=RATES | st.just("0"),
    relation=st.sampled_from(["equals", "at-most", "at-least"]),
    noise=st.lists(RATES, max_size=3),
)
def test_any_figures_can_be_compared(
    rates: tuple[str, str, str], formula: str, published: str, relation: str, noise: list[str]
) -> None:
    cells = {
        "big@one": {"rate": rates[0]},
        "big@two": {"rate": rates[1], "prompts": {"a": rates[2]}},
    }
    here = reference_of(
        cells=cells, claims=[claim(formula, published, relation)], repeats=repeats(*noise)
    )
    there = reference_of(id="there", cells={"big@one": {"rate": rates[2]}})
    assert len(findings_of(Rule.CLAIM, here, [there])) == 1
    assert len(findings_of(Rule.OTHER_RUN, here, [there])) == 1


def test_one_pass_cannot_tell_and_repeats_hold() -> None:
    for passes, outcome in ((1, CANNOT_TELL), (5, HOLDS)):
        audited = reference_of(protocol={"measured_passes": passes})
        assert outcomes(findings_of(Rule.REPEATS, audited)) == [outcome]
    assert findings_of(Rule.REPEATS, reference_of()) == []


@pytest.mark.parametrize(
    ("rate", "outcome"),
    [("100.0", HOLDS), ("101.0", HOLDS), ("70", CONTRADICTED), ("140", CONTRADICTED)],
)
def test_the_same_cell_of_another_run_is_compared(rate: str, outcome: AuditOutcome) -> None:
    environment = {"NCCL_NET": "Socket"}
    cells = {"big@one": {"rate": rate, "environment": environment}, "big@two:2": {"rate": "1"}}
    (finding,) = findings_of(
        Rule.OTHER_RUN, reference_of(), [reference_of(id="there", cells=cells)]
    )
    assert finding.outcome is outcome
    assert "NCCL_NET=Socket" in finding.evidence


def test_more_noise_explains_more() -> None:
    other = reference_of(id="there", cells={"big@one": {"rate": "110"}})
    quiet, noisy = repeats("100", "101", "99"), repeats("100", "90", "110")
    for noise, outcome in ((quiet, CONTRADICTED), (noisy, HOLDS)):
        assert outcomes(findings_of(Rule.OTHER_RUN, reference_of(repeats=noise), [other])) == [
            outcome
        ]
