"""Twelve ways to make a level of agents look like more than it was."""

from msgspec.structs import replace

from kit.bundle.record import ErrorCode, Record
from kit.plan.schedule import Phase
from tests.cases.case import edit, forged, group
from tests.cases.runs import SWARM, SWARM_ALONE, SWARM_PUBLISHED
from tests.edits.document import set_plan
from tests.edits.records import each_record
from tests.factory import Draft, change_record

MEASURED = 32
"""The position of the first measured record: one pass of 32 prompts comes before it."""


def claim_agents(draft: Draft, agents: int) -> None:
    """Say in the plan that there were so many agents."""
    set_plan(draft, "cell.agents", agents)


def spread_over(draft: Draft, agents: int) -> None:
    """Give the records of fewer agents to so many in turn."""
    for position, record in enumerate(draft.records):
        change_record(draft, position, agent=position % agents, sent_s=record.sent_s)


def set_load(draft: Draft, running: float | None) -> None:
    """Let the server say that it ran so many requests."""
    draft.load = tuple(replace(sample, running=running) for sample in draft.load or ())


def arrive_earlier(draft: Draft, factor: float) -> None:
    """Divide the times of all chunks, and of the responses."""

    def earlier(record: Record) -> Record:
        chunks = tuple((round(at_s / factor, 6), tokens) for at_s, tokens in record.chunks or ())
        return replace(record, chunks=chunks, wall_s=round(record.wall_s / factor, 6))

    each_record(draft, earlier, phase=Phase.MEASURED)


def count_twice(draft: Draft, position: int) -> None:
    """Let each chunk of a response count for two tokens."""
    chunks = draft.records[position].chunks or ()
    change_record(draft, position, chunks=tuple((at_s, 2 * tokens) for at_s, tokens in chunks))


def drop(draft: Draft, position: int) -> None:
    del draft.records[position]


def overlap(draft: Draft) -> None:
    """Send an agent's next request while its last one is under way."""
    first = draft.records[MEASURED]
    later = next(
        position
        for position, record in enumerate(draft.records)
        if position > MEASURED and record.agent == first.agent
    )
    change_record(draft, later, sent_s=round(first.sent_s + first.wall_s / 2, 6))


AGENTS = group(
    "Agents",
    forged("The plan of 4 agents says 8", "protocol-agents", edit(claim_agents, 8), runs=(SWARM,)),
    forged("Records of 4 agents are dealt out to 8", "protocol-agents",
           edit(spread_over, 8), runs=(SWARM,)),
    forged("Records name no agent", "schema-answer protocol-agents",
           edit(each_record, lambda record: replace(record, agent=None)), runs=(SWARM,)),
    forged("The server says that nothing was running", "protocol-concurrency",
           edit(set_load, 0.0), runs=(SWARM_ALONE,)),
    forged("Measured responses take half the time", "arithmetic-time-witness",
           edit(arrive_earlier, 2), runs=(SWARM,)),
    forged("Chunks of a response count twice", "arithmetic-chunks",
           edit(count_twice, MEASURED), runs=(SWARM,)),
    forged("A slow request is left out", "protocol-requests arithmetic-server-counter",
           edit(drop, MEASURED + 3), runs=(SWARM,)),
    forged("An agent sends its next request before its last response is complete",
           "arithmetic-overlap", edit(overlap), runs=(SWARM,)),
    forged("An answered request is called failed, and its time is shortened",
           "schema-arrays",
           edit(change_record, MEASURED, error=ErrorCode.DISCONNECTED, wall_s=0.001),
           runs=(SWARM,)),
    forged("Two requests of agents are swapped", "protocol-requests",
           edit(lambda made: made.records.insert(MEASURED, made.records.pop(MEASURED + 5))),
           runs=(SWARM,)),
    forged("The published protocol is called the kit's", "protocol-plan",
           edit(lambda made: set_plan(made, "protocol", SWARM.settings.protocol)),
           runs=(SWARM_PUBLISHED,)),
    forged("Waiting between an agent's requests is hidden: they are sent later",
           "arithmetic-idle",
           edit(lambda made: [change_record(made, p, sent_s=made.records[p].sent_s + 40)
                              for p in range(64, len(made.records))]), runs=(SWARM_ALONE,)),
)  # fmt: skip
