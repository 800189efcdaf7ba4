"""Requests of agents: as many in flight as planned, by the records and by the server's word."""

from collections import Counter
from collections.abc import Iterator

from kit.bundle.bag import LOAD
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence, is_whole, measured_records, span_s, subject_of
from kit.figures.window import Window, windows_of
from kit.plan.plan import PUBLISHED_SWARM_PROMPTS, TOLERATED_FAILURES, ProtocolName
from kit.plan.suite import SuiteMode

SAMPLES_RATIO = 0.95
"""Of the server's samples in the windows: between two requests of an agent there is a moment."""

SHORTEST_WINDOWS_S = 5.0
"""Of all windows together, for five samples or so."""


def _agents(evidence: Evidence) -> Iterator[Problem]:
    """Each record names its agent; every agent has sent something in every whole pass."""
    agents = evidence.document.plan.cell.agents
    for record in evidence.records:
        if (record.agent is None) != (agents is None):
            observed = "no agent" if record.agent is None else f"agent {record.agent}"
            yield fail(subject_of(record), observed, "an agent for each record of a suite of them")
        elif agents is not None and (record.agent or 0) >= agents:
            yield fail(subject_of(record), f"agent {record.agent}", f"one of {agents}, from 0 on")
    at_work = min(agents or 1, len(evidence.document.plan.prompts))
    for pass_ in evidence.passes:
        found = len({record.agent for record in pass_.records})
        if is_whole(evidence, pass_) and found < at_work:
            yield fail(pass_.name, f"requests of {found} agents", f"{at_work}")


def _failures(evidence: Evidence) -> Iterator[Problem]:
    """Name failed requests; with more than are tolerated a level has no figure."""
    failed = [record for record in evidence.records if record.error is not None]
    if not failed:
        return
    codes = Counter(record.error.value for record in failed if record.error is not None)
    told = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    observed = f"{len(failed)} of {len(evidence.records)} requests failed: {told}"
    allowed = TOLERATED_FAILURES * len(evidence.records)
    problem = warn if len(failed) <= allowed else unchecked
    yield problem(BUNDLE, observed, f"none; with more than {TOLERATED_FAILURES:.0%} no figure")


def _concurrency(evidence: Evidence) -> Iterator[Problem]:
    """Compare the server's own count of running requests with the number of agents."""
    agents, load = evidence.document.plan.cell.agents or 1, evidence.observed.load
    windows = _windows(evidence)
    seconds = sum(window.end_s - window.start_s for window in windows)
    if load is None or seconds < SHORTEST_WINDOWS_S:
        observed = "no samples" if load is None else f"{seconds:.1f} s of windows"
        yield unchecked(LOAD, observed, f"the server's word that {agents} requests were running")
        return
    running = [
        sample.running
        for sample in load
        if sample.running is not None
        and any(window.start_s <= sample.t_s <= window.end_s for window in windows)
    ]
    if len(running) < seconds / 2:
        observed = f"{len(running)} samples in {seconds:.0f} s of windows"
        yield unchecked(LOAD, observed, "one a second")
        return
    right = sum(count == agents for count in running)
    if right < SAMPLES_RATIO * len(running):
        usual = Counter(running).most_common(1)[0][0]
        observed = f"{right} of {len(running)} samples say {agents} running, most say {usual:g}"
        problem = fail if evidence.is_own_engine and max(running) < agents else warn
        yield problem(LOAD, observed, f"{SAMPLES_RATIO:.0%} of them")


def _published_level(evidence: Evidence) -> Iterator[Problem]:
    """Say which levels of the published protocol never had as many requests as agents."""
    plan = evidence.document.plan
    agents = plan.cell.agents or 1
    if plan.protocol is ProtocolName.ARTICLE and agents > PUBLISHED_SWARM_PROMPTS:
        observed = f"{PUBLISHED_SWARM_PROMPTS} prompts for {agents} agents"
        expected = f"as many prompts as agents: this level says nothing about {agents} agents"
        yield warn(BUNDLE, observed, expected)


def _duration(evidence: Evidence) -> Iterator[Problem]:
    """Compare the seconds of the measured passes with the planned time."""
    planned_s = evidence.document.plan.duration_s or 0.0
    start_s, end_s = span_s(measured_records(evidence))
    if end_s - start_s < planned_s:
        yield warn(BUNDLE, f"measured for {end_s - start_s:.0f} s", f"for {planned_s:.0f} s")


def _windows(evidence: Evidence) -> tuple[Window, ...]:
    agents = evidence.document.plan.cell.agents or 1
    return tuple(windows_of(measured_records(evidence), agents))


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-agents",
        holds="each record of a suite of agents names the agent that sent it",
        hint="ask for the original: records were edited",
        look=_agents,
        suites=(SuiteMode.CONCURRENT,),
    ),
    Check(
        id="protocol-failed-requests",
        holds="no request failed",
        hint="see the server's log; with few failures the level has figures, and says so",
        look=_failures,
        suites=(SuiteMode.CONCURRENT,),
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="protocol-concurrency",
        holds="in the steady windows the server was running as many requests as there are agents",
        hint="the server ran fewer at once: look at --max-num-seqs, the KV cache and preemptions",
        look=_concurrency,
        applies=lambda evidence: evidence.document.plan.protocol is ProtocolName.KIT,
        suites=(SuiteMode.CONCURRENT,),
    ),
    Check(
        id="protocol-duration",
        holds="a run for a time was measured for so long",
        hint="its bundle was full: measure with fewer agents, or for a shorter time",
        look=_duration,
        applies=lambda evidence: evidence.document.plan.duration_s is not None,
        suites=(SuiteMode.CONCURRENT,),
    ),
    Check(
        id="protocol-published-level",
        holds="a level of the published protocol has as many prompts as agents",
        hint="measure this level with PROTOCOL=kit",
        look=_published_level,
        suites=(SuiteMode.CONCURRENT,),
    ),
)
