"""Warnings never make a bundle invalid, and appear only beyond their thresholds."""

import pytest
from msgspec.structs import replace

from kit.bundle.document import Host, Load, Runtime
from kit.check.finding import Outcome
from kit.errors import ExitCode
from kit.plan.plan import Dialect
from kit.plan.schedule import Phase
from tests.factory import Draft, Settings, draft, judge, utc

OPENAI = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False, passes=5)
PASS, WARN, UNCHECKED = Outcome.PASS, Outcome.WARN, Outcome.COULD_NOT_CHECK


def _outcome(code: str, made: Draft) -> Outcome:
    verdict = judge(made.seal())
    assert verdict.exit_code is ExitCode.DONE
    return next(found.outcome for found in verdict.findings if found.code == f"protocol-{code}")


def _stretched(factors: tuple[float, ...]) -> Draft:
    """Return a run whose measured passes take this many times as long."""
    made = draft(OPENAI)
    now_s = 0.0
    for position, record in enumerate(made.records):
        measured = record.phase is Phase.MEASURED
        factor = factors[record.pass_number - 1] if measured else 1.0
        wall_s = round(record.wall_s * factor, 6)
        made.records[position] = replace(record, sent_s=round(now_s, 6), wall_s=wall_s)
        now_s += wall_s + 0.001
    end_s = round(now_s + 1, 6)
    clock = replace(made.document.clock, end_s=end_s, end_utc=utc(end_s))
    made.document = replace(made.document, clock=clock)
    return made


def _host(**changes: object) -> Draft:
    made = draft()
    made.document = replace(made.document, host=replace(made.document.host, **changes))
    return made


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, PASS), (1.015, PASS), (1.06, WARN), (0.9, PASS)]
)
def test_a_slow_first_pass(factor: float, expected: Outcome) -> None:
    assert _outcome("first-pass", _stretched((factor, 1, 1, 1, 1))) is expected


@pytest.mark.parametrize(
    ("factors", "expected"),
    [((1, 1, 1, 1, 1), PASS), ((1, 1.05, 1, 0.97, 1), PASS), ((1, 1.3, 1, 0.8, 1), WARN)],
)
def test_passes_that_differ(factors: tuple[float, ...], expected: Outcome) -> None:
    assert _outcome("spread", _stretched(factors)) is expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Load(load_average=0.1), Load(load_average=9.0), PASS),
        (Load(load_average=1.5), None, WARN),
        (Load(load_average=0.1, steal_ratio=0.1), None, WARN),
        (Load(load_average=0.1), Load(load_average=1.0, steal_ratio=0.1), WARN),
        (None, None, UNCHECKED),
    ],
)
def test_a_busy_host(before: Load | None, after: Load | None, expected: Outcome) -> None:
    assert _outcome("host-load", _host(load_before=before, load_after=after)) is expected


@pytest.mark.parametrize(
    ("governor", "expected"), [("performance", PASS), ("powersave", WARN), (None, UNCHECKED)]
)
def test_the_governor(governor: str | None, expected: Outcome) -> None:
    assert _outcome("governor", _host(governor=governor)) is expected


def test_a_host_is_described_without_a_name() -> None:
    assert not {"name", "hostname", "user"} & set(Host.__struct_fields__)
