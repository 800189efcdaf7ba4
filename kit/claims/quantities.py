"""What the quantities of a formula stand for, in a set of bundles that can be compared.

One function a quantity of `kit.claims.claim.VOCABULARY`. What the bundles do not hold is `Missing`,
with the reason: the claim is then not testable.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import variance
from typing import TypeVar

from kit.bundle.record import Record
from kit.check.finding import Outcome
from kit.claims.eligible import EligibleBundle
from kit.claims.estimate import Estimate, Sample, sampled
from kit.claims.formula import CellName, Quantity
from kit.figures import intervals, latency, throughput
from kit.figures.throughput import Throughput
from kit.parse.vllm_log import ServerLog

T = TypeVar("T", int, float)

GIB_PER_GB = 2**30 / 10**9
WEIGHT_FILES = (".safetensors", ".bin", ".pt")

Cells = Mapping[CellName, Sequence[EligibleBundle]]
"""The bundles of each cell: several are several starts of its engine."""


class Missing(LookupError):
    """A quantity that these bundles cannot tell, and why."""


def by_cell(witnesses: Sequence[EligibleBundle]) -> Cells:
    """Group the bundles of a set by their cells."""
    cells: dict[CellName, list[EligibleBundle]] = {}
    for one in witnesses:
        if one.cell is not None:
            cells.setdefault(one.cell, []).append(one)
    return cells


def resolve(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the estimate of a quantity; raise `Missing` with the reason where there is none."""
    for cell in quantity.cells:
        if cell not in cells:
            raise Missing(f"no bundle of {cell} is in this set")
    return _READERS[quantity.name](quantity, cells)


def _rate(quantity: Quantity, cells: Cells) -> Estimate:
    (cell,) = quantity.cells
    starts = [
        [record for record in one.bundle.records if _is_asked(record, quantity.words)]
        for one in cells[cell]
    ]
    pooled = [found for records in starts if (found := throughput.pooled(records)) is not None]
    passes = [rate for records in starts for rate in throughput.by_pass(records).values()]
    if len(pooled) < len(starts) or not all(rate.tokens for rate in (*pooled, *passes)):
        raise Missing(f"{quantity}: nothing was measured of it")
    units = pooled if len(starts) >= intervals.STARTS_WITHOUT_FLOOR else passes
    name = ", ".join(quantity.words) or "pooled"
    rates = [one.tokens_per_s for one in units]
    return sampled(_sample(cell, name, rates, len(starts)), _over_all(pooled))


def _is_asked(record: Record, words: Sequence[str]) -> bool:
    return not words or record.prompt_id == words[0]


def _over_all(pooled: Sequence[Throughput]) -> float:
    return sum(one.tokens for one in pooled) / math.fsum(one.seconds for one in pooled)


def _ttft(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the geometric mean of the streamed requests' times to first token, in seconds."""
    (cell,) = quantity.cells
    times_s = [
        time_s
        for one in cells[cell]
        for time_s in latency.times_to_first_token(one.bundle.records)
        if time_s > 0
    ]
    if not times_s:
        raise Missing(f"{quantity}: no request was streamed (PROTOCOL=article has no such pass)")
    centre = math.exp(math.fsum(math.log(time_s) for time_s in times_s) / len(times_s))
    return sampled(_sample(cell, "ttft", times_s, len(cells[cell])), centre)


def _sample(cell: CellName, name: str, values: Sequence[float], starts: int) -> Sample:
    is_enough = len(values) >= intervals.FEWEST_PASSES
    logs = [math.log(value) for value in values]
    return Sample(
        cell=cell,
        name=name,
        variance=variance(logs) / len(logs) if is_enough else None,
        degrees=len(values) - 1,
        starts=starts,
    )


def _kv_tokens(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the tokens that the KV cache holds, by the server's log; the fewest of all starts."""
    return _told(quantity, cells, lambda log: log.kv_cache_tokens)


def _weights_gb(quantity: Quantity, cells: Cells) -> Estimate:
    """Return the GB of weights on one GPU, by the server's log, which tells GiB."""
    gib = _told(quantity, cells, lambda log: log.model_gib)
    return Estimate(gib.value * GIB_PER_GB)


def _told(
    quantity: Quantity, cells: Cells, field: Callable[[ServerLog], tuple[T, ...]]
) -> Estimate:
    (cell,) = quantity.cells
    logs = [one.server_log for one in cells[cell]]
    told = [value for log in logs if log is not None for value in field(log)]
    if not told:
        raise Missing(f"{quantity}: the server's log does not tell it")
    return Estimate(float(min(told)))


def _checkpoint_gb(quantity: Quantity, cells: Cells) -> Estimate:
    (cell,) = quantity.cells
    files = cells[cell][0].document.engine.model_files or ()
    sizes = [file.size_bytes for file in files if file.name.endswith(WEIGHT_FILES)]
    if not sizes:
        raise Missing(f"{quantity}: the bundle lists no weight files")
    return Estimate(sum(sizes) / 1e9)


def _not_passed(quantity: Quantity, cells: Cells) -> Estimate:
    """Count the findings of a code that failed or warned; `Missing` where nobody could look."""
    (code,) = quantity.words
    outcomes = [
        outcome for cell in quantity.cells for one in cells[cell] for outcome in one.outcomes(code)
    ]
    if not outcomes or Outcome.COULD_NOT_CHECK in outcomes:
        raise Missing(f"{code} could not be checked")
    return Estimate(float(sum(outcome is not Outcome.PASS for outcome in outcomes)))


def _no_load(quantity: Quantity, cells: Cells) -> Estimate:
    """Return a request's rate among several: no suite of this version has several in flight."""
    (cell,) = quantity.cells
    if cell.agents == 1:
        return _rate(quantity, cells)
    raise Missing(f"no bundle of {cell} is in this set")


_READERS: Mapping[str, Callable[[Quantity, Cells], Estimate]] = {
    "rate": _rate,
    "request-rate": _no_load,
    "ttft": _ttft,
    "kv-tokens": _kv_tokens,
    "weights-gb": _weights_gb,
    "checkpoint-gb": _checkpoint_gb,
    "not-passed": _not_passed,
}
