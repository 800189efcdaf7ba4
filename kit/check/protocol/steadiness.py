"""Warnings of a valid bundle: its figures vary too much, or its host was busy."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from kit.bundle.document import Load
from kit.check.check import BUNDLE, Check, Problem, unchecked, warn
from kit.check.evidence import Evidence, measured_records
from kit.figures import intervals, throughput
from kit.figures.window import windows_of

SLOW_FIRST_PASS_RATIO = 0.03
"""More than twice the 1.3 % by which the author's repeats of a cell differ."""

SPREAD_RATIO = 0.05
"""hyperfine and pyperf warn at like spreads; an undisturbed pass varies by about 1 %."""

STEAL_RATIO = 0.02
"""Time that the hypervisor gave to others, of all time since the host's start."""

LOAD_PER_CPU = 0.5
"""One-minute load average a CPU before the run, when the kit itself does next to nothing."""

PERFORMANCE = "performance"


def _rates(evidence: Evidence) -> Sequence[float]:
    """Return the tok/s of each measured pass, in their order; of agents, those of its window."""
    if evidence.document.plan.cell.agents is not None:
        windows = windows_of(measured_records(evidence), evidence.document.plan.cell.agents)
        return [window.throughput.tokens_per_s for window in windows]
    return [rate.tokens_per_s for _, rate in sorted(throughput.by_pass(evidence.records).items())]


def _few_passes(evidence: Evidence) -> Iterator[Problem]:
    rates = _rates(evidence)
    if len(rates) < intervals.FEWEST_PASSES:
        wanted = f"{intervals.FEWEST_PASSES} or more, for an interval"
        yield warn(BUNDLE, f"{len(rates)} measured passes", wanted)


def _slow_first_pass(evidence: Evidence) -> Iterator[Problem]:
    rates = _rates(evidence)
    if len(rates) < intervals.FEWEST_PASSES:
        yield unchecked(BUNDLE, f"{len(rates)} measured passes", "three or more")
        return
    rest = fmean(rates[1:])
    if rates[0] < rest * (1 - SLOW_FIRST_PASS_RATIO):
        wanted = f"within {SLOW_FIRST_PASS_RATIO:.0%} of the rest, {rest:.2f} tok/s"
        yield warn("measured-1", f"{rates[0]:.2f} tok/s", wanted)


def _spread(evidence: Evidence) -> Iterator[Problem]:
    rates = _rates(evidence)
    if len(rates) < intervals.FEWEST_PASSES:
        yield unchecked(BUNDLE, f"{len(rates)} measured passes", "three or more")
        return
    spread = intervals.coefficient_of_variation(rates)
    if spread > SPREAD_RATIO:
        observed = f"a coefficient of variation of {spread:.1%} over passes"
        yield warn(BUNDLE, observed, f"at most {SPREAD_RATIO:.0%}")


def _host_load(evidence: Evidence) -> Iterator[Problem]:
    host = evidence.document.host
    if host.load_before is None:
        yield unchecked(BUNDLE, "no load of the host was recorded", "the load before the run")
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


def _governor(evidence: Evidence) -> Iterator[Problem]:
    host = evidence.document.host
    if host.governor is None:
        yield unchecked(BUNDLE, "the host has no governor, as virtual ones do not", PERFORMANCE)
    elif host.governor != PERFORMANCE:
        yield warn(BUNDLE, host.governor, PERFORMANCE)


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-passes",
        holds="there are enough measured passes for an interval",
        hint="measure with PASSES=3 or more",
        look=_few_passes,
    ),
    Check(
        id="protocol-first-pass",
        holds="the first measured pass is as fast as the rest",
        hint="the server was still warming up: measure again with more passes, on an idle host",
        look=_slow_first_pass,
    ),
    Check(
        id="protocol-spread",
        holds="measured passes agree with each other",
        hint="close other programs, fix the clock frequency, and measure with more passes",
        look=_spread,
    ),
    Check(
        id="protocol-host-load",
        holds="the host was not busy with other things",
        hint="close other programs, or use a host of your own, and measure again",
        look=_host_load,
    ),
    Check(
        id="protocol-governor",
        holds="the CPU's frequency governor is `performance`",
        hint="sudo cpupower frequency-set --governor performance",
        look=_governor,
    ),
)
