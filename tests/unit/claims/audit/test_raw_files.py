"""Small data files in the author's formats."""

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.claims.audit import raw_format
from kit.claims.audit.finding import AuditOutcome, Rule
from kit.claims.audit.raw_format import COLUMNS, NotThisFormat
from tests.unit.claims.audit.factory import (
    CANNOT_TELL,
    CONTRADICTED,
    HOLDS,
    findings_of,
    outcomes,
    reference_of,
)

HEADER = (
    "concurrency,run,task,label,task_type,completion_tokens,wall_seconds,tok_per_sec,"
    "finish_reason,run_wall_seconds,run_aggregate_tokens,run_effective_tok_per_sec"
)


def swarm(*requests: tuple[int, int, int, float, float]) -> bytes:
    """Return a CSV of (level, run, tokens, seconds of the request, seconds of the run)."""
    rows = [
        f"{level},{run},task_{number},A Label,kind,{tokens},{wall_s},0,stop,{run_s},0,0"
        for number, (level, run, tokens, wall_s, run_s) in enumerate(requests)
    ]
    return "\n".join([HEADER, *rows, ""]).encode()


def one_run(level: int, requests: int, run: int = 1) -> list[tuple[int, int, int, float, float]]:
    """Return requests of 1000 tokens in 10 s, all of them from the run's start."""
    return [(level, run, 1000, 10.0, 10.0)] * requests


FILES = {"swarms": {"a.csv": "big@one"}}


@pytest.mark.parametrize(
    ("level", "requests", "outcome"),
    [(4, 4, HOLDS), (4, 8, HOLDS), (5, 4, CONTRADICTED), (8, 7, CONTRADICTED), (1, 1, HOLDS)],
)
def test_no_more_are_in_flight_than_there_are(
    level: int, requests: int, outcome: AuditOutcome
) -> None:
    audited = reference_of(raw=FILES)
    data = {"a.csv": swarm(*one_run(level, requests))}
    (finding,) = findings_of(Rule.IN_FLIGHT, audited, raw=data)
    assert finding.outcome is outcome
    assert f"{float(requests):.1f} on average" in finding.found


def test_the_mean_in_flight_is_seconds_of_requests_over_seconds_of_the_run() -> None:
    (run,) = raw_format.read_swarms(swarm((3, 1, 100, 10.0, 20.0), (3, 1, 300, 20.0, 20.0)))
    assert (run.mean_in_flight, run.tokens_per_s, run.agents) == (1.5, 20.0, 3)


@pytest.mark.parametrize(("tokens", "outcome"), [(8191, HOLDS), (8192, CONTRADICTED)])
def test_a_response_never_fills_the_context(tokens: int, outcome: AuditOutcome) -> None:
    audited = reference_of(raw=FILES, cells={"big@one": {"rate": "100.0", "max_model_len": 8192}})
    data = {"a.csv": swarm((2, 1, 10, 1.0, 9.0), (2, 1, tokens, 9.0, 9.0))}
    assert outcomes(findings_of(Rule.CONTEXT_LIMIT, audited, raw=data)) == [outcome]


def test_without_a_known_limit_there_is_no_finding() -> None:
    data = {"a.csv": swarm((2, 1, 99999, 1.0, 9.0))}
    assert findings_of(Rule.CONTEXT_LIMIT, reference_of(raw=FILES), raw=data) == []


@pytest.mark.parametrize(("wall_s", "outcome"), [(10.0, HOLDS), (21.0, CONTRADICTED)])
def test_requests_one_at_a_time_agree_with_the_published_cell(
    wall_s: float, outcome: AuditOutcome
) -> None:
    """Also where the file is of another reference: that is what other runs are for."""
    other = reference_of(id="there", raw=FILES, cells={"big@one:2": {"rate": "1"}})
    data = {"a.csv": swarm((1, 1, 1000, wall_s, wall_s), (2, 1, 1, 1.0, 1.0))}
    findings = findings_of(Rule.RAW_OTHER_RUN, reference_of(), [other], data)
    assert outcomes(findings) == [outcome]


@pytest.mark.parametrize(
    ("rate", "outcome"),
    [("100", HOLDS), ("150", CONTRADICTED), ("99.9", CONTRADICTED), ("100.1", HOLDS)],
)
def test_published_throughput_is_the_mean_of_runs(rate: str, outcome: AuditOutcome) -> None:
    audited = reference_of(raw=FILES, cells={"big@one:2": {"rate": rate}})
    rows = [(2, 1, 500, 5.0, 10.0), (2, 1, 500, 5.0, 10.0), (2, 2, 1000, 10.0, 10.0)]
    rows[2] = (2, 2, 1001, 10.0, 10.0)
    assert outcomes(findings_of(Rule.RAW_RATE, audited, raw={"a.csv": swarm(*rows)})) == [outcome]


def test_runs_of_no_tokens_do_not_agree_with_a_published_rate() -> None:
    audited = reference_of(raw=FILES)
    data = {"a.csv": swarm((1, 1, 0, 1.0, 1.0), (1, 2, 0, 1.0, 1.0))}
    assert outcomes(findings_of(Rule.RAW_OTHER_RUN, audited, raw=data)) == [CONTRADICTED]
    assert outcomes(findings_of(Rule.RAW_RATE, audited, raw=data)) == [CONTRADICTED]


def _lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of Python a piece of work takes, each turn of a loop counted."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_work_grows_with_the_levels_of_a_file_and_not_with_their_square() -> None:
    cells = {f"big@one:{level}": {"rate": "1"} for level in range(2, 402)}

    def lines_run(levels: int) -> int:
        audited = reference_of(raw=FILES, cells=dict(list(cells.items())[:levels]))
        data = {"a.csv": swarm(*((level, 1, 1, 1.0, 1.0) for level in range(levels)))}
        return _lines_run(lambda: findings_of(Rule.IN_FLIGHT, audited, raw=data))

    assert lines_run(400) < 2.2 * lines_run(200)


def table(**changes: object) -> bytes:
    cell = {"avg_tps": 100.0, "per_prompt": {"a": 99.0}, "total_tokens": 500, "total_time_s": 5.0,
            "gpu_mem_mb": [1, 2], "context_limit": 8192, "notes": "any"}  # fmt: skip
    document = {"metadata": {"date": "2026-01-02"}, "results": {"big|ONE": {**cell, **changes}}}
    return msgspec.json.encode(document)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [HOLDS, HOLDS]),
        ({"avg_tps": 100.1}, [HOLDS, CONTRADICTED]),
        ({"per_prompt": {"a": 98.9}}, [HOLDS, CONTRADICTED]),
        ({"total_tokens": 501}, [HOLDS, CONTRADICTED]),
        ({"total_time_s": 5.1}, [HOLDS, CONTRADICTED]),
        ({"gpu_mem_mb": [1, 3]}, [HOLDS, CONTRADICTED]),
        ({"context_limit": 4096}, [HOLDS, CONTRADICTED]),
        ({"total_tokens": None, "gpu_mem_mb": None}, [HOLDS, HOLDS]),
    ],
)
def test_a_file_of_results_has_the_published_figures(
    changes: dict[str, Any], expected: Sequence[AuditOutcome]
) -> None:
    cells = {"big@one": {"rate": "100.0", "prompts": {"a": "99.0"}, "tokens": 500, "seconds": "5.0",
                         "gpu_memory_mib": [1, 2], "max_model_len": 8192}}  # fmt: skip
    audited = reference_of(cells=cells, raw={"tables": {"r.json": {"big|ONE": "big@one"}}})
    assert (
        outcomes(findings_of(Rule.RAW_TABLE, audited, raw={"r.json": table(**changes)})) == expected
    )


def test_another_day_of_measurement_contradicts() -> None:
    files = {"tables": {"r.json": {}}}
    audited = reference_of(measured="2026-01-01", raw=files)
    assert outcomes(findings_of(Rule.RAW_TABLE, audited, raw={"r.json": table()})) == [CONTRADICTED]


def test_a_cell_that_is_not_in_the_file_cannot_tell() -> None:
    files = {"tables": {"r.json": {"big|TWO": "big@one"}}}
    findings = findings_of(Rule.RAW_FORMAT, reference_of(raw=files), raw={"r.json": table()})
    assert outcomes(findings) == [CANNOT_TELL]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("unknown.csv", swarm()),
        ("a.csv", b"\xff"),
        ("a.csv", b""),
        ("a.csv", b"concurrency,run\n1,1\n"),
        ("a.csv", swarm()),
        ("a.csv", b"\xef\xbb\xbf" + swarm((1, 1, 1, 1.0, 1.0))),
        ("a.csv", swarm((1, 1, 1, 1.0, 1.0)).decode().encode("utf-16")),
        ("a.csv", bytes(1000)),
        ("a.csv", HEADER.encode() + b",x" * 100 + b"\n1,1,a,b,c,1,1,1,s,1,1,1\n"),
        ("a.csv", HEADER.encode() + b"\n" * 2**20),
        ("a.csv", swarm((1, 1, 1, 0.0, 1.0))),
        ("a.csv", swarm((1, 1, 1, 1.0, float("nan")))),
        ("a.csv", swarm((1, 1, 1, 1.0, 1.0)) + b"1,1\n"),
        ("a.csv", swarm((1, 1, 1, float("inf"), 1.0))),
        ("a.csv", swarm((1, 1, 1, 1e300, 1.0))),
        ("a.csv", swarm((1, 1, 1, -1.0, 1.0))),
        ("a.csv", swarm((1, 1, -1, 1.0, 1.0))),
        ("a.csv", swarm((1, 1, 10**400, 1.0, 1.0))),
        ("a.csv", b" " * (raw_format.LIMIT_BYTES + 1)),
        ("r.json", b"{"),
        ("r.json", b'{"results": {"a": {"avg_tps": "fast"}}}'),
        ("r.json", b'{"results": {"a": {"avg_tps": 1e999}}}'),
        ("r.json", b'{"results": {"a": {"avg_tps": NaN}}}'),
        ("r.json", b'{"results": {"a": {"avg_tps": -1}}}'),
        ("r.json", b'{"results": {"a": {"avg_tps": 1' + b"0" * 5000 + b"}}}"),
        ("r.json", b'{"results": {"a": {"avg_tps": 1, "total_tokens": 1' + b"0" * 5000 + b"}}}"),
        ("r.json", b'{"results": null}'),
        ("r.json", b""),
        ("r.json", b"[" * 100_000),
    ],
)
def test_a_malformed_file_is_reported_and_does_not_stop_the_rest(name: str, data: bytes) -> None:
    files = {"swarms": {"a.csv": "big@one", "b.csv": "big@two"}, "tables": {"r.json": {}}}
    good = {"b.csv": swarm(*one_run(4, 4))}
    audited = reference_of(raw=files)
    assert outcomes(findings_of(Rule.RAW_FORMAT, audited, raw={name: data, **good})) == [
        CANNOT_TELL
    ]
    assert outcomes(findings_of(Rule.IN_FLIGHT, audited, raw={name: data, **good})) == [HOLDS]


@given(data=st.binary(max_size=300) | st.text(alphabet='0123456789.,"\n-', max_size=200).map(
    lambda text: ",".join(COLUMNS).encode() + b"\n" + text.encode()
))  # fmt: skip
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (raw_format.read_swarms, raw_format.read_table):
        try:
            read(data)
        except NotThisFormat:
            continue


@given(
    requests=st.lists(
        st.tuples(
            st.integers(1, 9),
            st.integers(1, 3),
            st.integers(0, 10**6),
            st.floats(0.001, 1e4),
            st.floats(0.001, 1e4),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_every_request_of_a_file_is_in_one_run(
    requests: list[tuple[int, int, int, float, float]],
) -> None:
    runs = raw_format.read_swarms(swarm(*requests))
    assert sum(len(run.requests) for run in runs) == len(requests)
    assert len({(run.agents, run.requests[0].run) for run in runs}) == len(runs)


@given(
    requests=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 2),
            st.integers(0, 10**9 - 1),
            st.floats(0, 1e7, exclude_min=True, exclude_max=True),
            st.floats(0, 1e7, exclude_min=True, exclude_max=True),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_requests_can_be_compared_with_what_was_published(
    requests: list[tuple[int, int, int, float, float]],
) -> None:
    cells = {"big@one": {"rate": "100.0", "max_model_len": 8192}, "big@one:2": {"rate": "0.1"}}
    audited = reference_of(raw=FILES, cells=cells)
    assert len(findings_of(Rule.CONTEXT_LIMIT, audited, raw={"a.csv": swarm(*requests)})) == 1
