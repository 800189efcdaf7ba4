"""Quantities of a formula, from a set of comparable bundles.

One function for each quantity of `kit.claims.claim.VOCABULARY`; numbers from records come from
`kit.figures`. `Missing` says why the bundles do not have a quantity: the claim is not testable.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from kit.bundle.record import Record
from kit.check.finding import Outcome
from kit.claims.eligible import EligibleBundle
from kit.claims.estimate import Estimate, Repetitions, sampled
from kit.claims.formula import CellName, Quantity
from kit.figures import intervals, latency, throughput, window
from kit.figures.throughput import Throughput
from kit.parse.vllm_log import ServerLog
from kit.plan.schedule import Phase

T = TypeVar("T", int, float)

GB_PER_GIB = 2**30 / 10**9
WEIGHT_FILES = (".safetensors", ".bin", ".pt")

Cells = Mapping[CellName, Sequence[EligibleBundle]]
"""The bundles of each cell: each is one start of its engine."""


class Missing(LookupError):
    """A quantity that these bundles do not have, and why."""


def by_suite(bundles: Sequence[EligibleBundle]) -> Mapping[str, Cells]:
    """Group the bundles of a set by their suites and cells."""
    suites: dict[str, dict[CellName, list[EligibleBundle]]] = {}
    for bundle in bundles:
        cells = suites.setdefault(bundle.document.plan.cell.suite, {})
        cells.setdefault(bundle.cell, []).append(bundle)
    return suites


def resolve(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the estimate of a quantity; raise `Missing` where the bundles do not have it."""
    for cell in quantity.cells:
        if cell not in cells:
            raise Missing(f"no bundle of {cell} is in this set")
    return _FUNCTIONS[quantity.name](quantity, cells)


def _rate(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the pooled rate in tok/s, of all prompts or of one; of agents that of all together."""
    return _of_starts(quantity, cells, _rates)


def _request_rate(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the pooled rate of single requests in tok/s; of agents of those in the windows."""
    return _of_starts(quantity, cells, _request_rates)


_Rates = tuple[Throughput | None, Sequence[Throughput]]
"""Of one start of an engine: pooled, and of each pass."""


def _of_starts(
    quantity: Quantity, cells: Cells, rates_of: Callable[[EligibleBundle, Sequence[str]], _Rates]
) -> Estimate:
    (cell,) = quantity.cells
    starts = [rates_of(bundle, quantity.words) for bundle in cells[cell]]
    pooled = [rate for rate, _ in starts if rate is not None]
    passes = [rate for _, rates in starts for rate in rates]
    has_tokens = len(pooled) == len(starts) and all(rate.tokens for rate in (*pooled, *passes))
    if not pooled or not has_tokens:
        raise Missing(f"{quantity}: nothing was measured of it")
    repeated = pooled if len(starts) >= intervals.STARTS_WITHOUT_FLOOR else passes
    repetitions = Repetitions(
        cell=cell,
        name=", ".join(quantity.words) or "pooled",
        spread=intervals.spread([rate.tokens_per_s for rate in repeated]),
        starts=len(starts),
    )
    return sampled(repetitions, throughput.combined(pooled).tokens_per_s)


def _rates(bundle: EligibleBundle, words: Sequence[str]) -> _Rates:
    agents = bundle.document.plan.cell.agents
    if agents is None or words:
        return _request_rates(bundle, words)
    measured = (record for record in bundle.records if record.phase is Phase.MEASURED)
    passes = [found.throughput for found in window.windows_of(measured, agents)]
    return throughput.combined(passes) if passes else None, passes


def _request_rates(bundle: EligibleBundle, words: Sequence[str]) -> _Rates:
    records: Sequence[Record] = _of_prompt(bundle.records, words)
    if (agents := bundle.document.plan.cell.agents) is not None:
        measured = [record for record in records if record.phase is Phase.MEASURED]
        windows = tuple(window.windows_of(measured, agents))
        records = tuple(window.in_windows(measured, windows))
    return throughput.pooled(records), tuple(throughput.by_pass(records).values())


def _of_prompt(records: Sequence[Record], words: Sequence[str]) -> list[Record]:
    return [record for record in records if not words or record.prompt_id == words[0]]


def _ttft(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the geometric mean of the streamed requests' times to first token, in seconds."""
    (cell,) = quantity.cells
    times_s = [
        time_s
        for bundle in cells[cell]
        for time_s in latency.times_to_first_token(bundle.records)
        if time_s > 0
    ]
    if not times_s:
        raise Missing(f"{quantity}: no request was streamed (PROTOCOL=article has no such pass)")
    repetitions = Repetitions(
        cell=cell, name="ttft", spread=intervals.spread(times_s), starts=len(cells[cell])
    )
    return sampled(repetitions, latency.geometric_mean(times_s))


def _kv_tokens(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the tokens that the KV cache holds, the fewest of all starts."""
    return _from_log(quantity, cells, lambda log: log.kv_cache_tokens)


def _weights_gb(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the GB of weights on one GPU; the server's log has GiB."""
    gib = _from_log(quantity, cells, lambda log: log.model_gib)
    return Estimate(gib.value * GB_PER_GIB)


def _from_log(
    quantity: Quantity, cells: Cells, field: Callable[[ServerLog], tuple[T, ...]]
) -> Estimate:
    (cell,) = quantity.cells
    logs = [bundle.server_log for bundle in cells[cell]]
    values = [value for log in logs if log is not None for value in field(log)]
    if not values:
        raise Missing(f"{quantity}: the server's log does not have it")
    return Estimate(float(min(values)))


def _checkpoint_gb(quantity: Quantity, cells: Cells) -> Estimate:
    (cell,) = quantity.cells
    files = cells[cell][0].document.engine.model_files or ()
    sizes = [file.size_bytes for file in files if file.name.endswith(WEIGHT_FILES)]
    if not sizes:
        raise Missing(f"{quantity}: the bundle lists no weight files")
    return Estimate(sum(sizes) / 1e9)


def _not_passed(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the number of findings of a check that failed or warned."""
    (check,) = quantity.words
    outcomes = [
        outcome
        for cell in quantity.cells
        for bundle in cells[cell]
        for outcome in bundle.outcomes(check)
    ]
    if not outcomes or Outcome.COULD_NOT_CHECK in outcomes:
        raise Missing(f"{check} could not be checked")
    return Estimate(float(sum(outcome is not Outcome.PASS for outcome in outcomes)))


_FUNCTIONS: Mapping[str, Callable[[Quantity, Cells], Estimate]] = {
    "rate": _rate,
    "request-rate": _request_rate,
    "ttft": _ttft,
    "kv-tokens": _kv_tokens,
    "weights-gb": _weights_gb,
    "checkpoint-gb": _checkpoint_gb,
    "not-passed": _not_passed,
}
