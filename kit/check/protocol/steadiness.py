"""Warnings of the protocol tier: a valid bundle whose figures wander, or whose host was busy.

They never make a bundle invalid; each says what to do about it.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean

from kit.bundle.document import Host, Load
from kit.check.codes import Code
from kit.check.evidence import Evidence
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, findings, unchecked, warn
from kit.figures import intervals, throughput

SLOW_FIRST_PASS_RATIO = 0.03
"""More than twice the 1.3 % by which the author's repeats of a cell differ."""

SPREAD_RATIO = 0.05
"""hyperfine and pyperf warn at like spreads; an undisturbed pass varies by about 1 %."""

STEAL_RATIO = 0.02
"""Time that the hypervisor gave to others, of all time since the host's start."""

LOAD_PER_CPU = 0.5
"""One-minute load average a CPU before the run, when the kit itself does next to nothing."""

PERFORMANCE = "performance"


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield the warnings of the protocol tier."""
    rates = [rate.tokens_per_s for _, rate in sorted(throughput.by_pass(evidence.records).items())]
    host = evidence.document.host
    yield from findings(Code.PROTOCOL_PASSES, _few_passes(rates))
    yield from findings(Code.PROTOCOL_FIRST_PASS, _slow_first_pass(rates))
    yield from findings(Code.PROTOCOL_SPREAD, _spread(rates))
    yield from findings(Code.PROTOCOL_HOST_LOAD, _host_load(host))
    yield from findings(Code.PROTOCOL_GOVERNOR, _governor(host))


def _few_passes(rates: Sequence[float]) -> Iterator[Problem]:
    if len(rates) < intervals.FEWEST_PASSES:
        wanted = f"{intervals.FEWEST_PASSES} or more, for an interval"
        yield warn(BUNDLE, f"{len(rates)} measured passes", wanted)


def _slow_first_pass(rates: Sequence[float]) -> Iterator[Problem]:
    if len(rates) < intervals.FEWEST_PASSES:
        yield unchecked(BUNDLE, f"{len(rates)} measured passes", "three or more")
        return
    rest = fmean(rates[1:])
    if rates[0] < rest * (1 - SLOW_FIRST_PASS_RATIO):
        wanted = f"within {SLOW_FIRST_PASS_RATIO:.0%} of the rest, {rest:.2f} tok/s"
        yield warn("measured-1", f"{rates[0]:.2f} tok/s", wanted)


def _spread(rates: Sequence[float]) -> Iterator[Problem]:
    if len(rates) < intervals.FEWEST_PASSES:
        yield unchecked(BUNDLE, f"{len(rates)} measured passes", "three or more")
        return
    spread = intervals.coefficient_of_variation(rates)
    if spread > SPREAD_RATIO:
        observed = f"a coefficient of variation of {spread:.1%} over passes"
        yield warn(BUNDLE, observed, f"at most {SPREAD_RATIO:.0%}")


def _host_load(host: Host) -> Iterator[Problem]:
    if host.load_before is None:
        yield unchecked(BUNDLE, "the host's load is not known", "the load before the run")
    elif host.load_before.load_average > LOAD_PER_CPU * host.cpu_count:
        yield warn(
            BUNDLE,
            f"a load average of {host.load_before.load_average} before the run",
            f"at most {LOAD_PER_CPU * host.cpu_count:g} with {host.cpu_count} CPUs",
        )
    for name, load in (("before", host.load_before), ("after", host.load_after)):
        yield from _steal(name, load)


def _steal(name: str, load: Load | None) -> Iterator[Problem]:
    if load is not None and (load.steal_ratio or 0.0) > STEAL_RATIO:
        observed = f"{load.steal_ratio:.1%} of CPU time stolen by the hypervisor, {name} the run"
        yield warn(BUNDLE, observed, f"at most {STEAL_RATIO:.0%}")


def _governor(host: Host) -> Iterator[Problem]:
    if host.governor is None:
        yield unchecked(BUNDLE, "the host tells no governor, as a virtual one", PERFORMANCE)
    elif host.governor != PERFORMANCE:
        yield warn(BUNDLE, clip(host.governor), PERFORMANCE)
