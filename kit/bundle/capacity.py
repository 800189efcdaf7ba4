"""How many measured passes of a plan fit into a bundle, so that none is made too large to verify.

An upper estimate: it assumes that every response uses its whole token budget. Used before a run.
One that goes on for a time asks after each pass whether there is room for another.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.bundle import telemetry
from kit.bundle.limits import (
    CHUNK_LIMIT,
    LINE_LIMIT_BYTES,
    RECORD_LIMIT,
    RECORDS_LIMIT_BYTES,
    TOKEN_ID_LIMIT,
)
from kit.bundle.record import Record
from kit.plan.plan import Dialect, Plan
from kit.plan.schedule import Phase
from kit.plan.topology import Device

TEXT_BYTES = 5
"""Per token of a response, as JSON: prose and code of real models take about 4.5."""

TOKEN_ID_BYTES = 7
"""Six digits, since vocabularies are below a million, and a comma."""

CHUNK_BYTES = 15
"""`[12.345678,1],`: one streamed token."""

RECORD_BYTES = 500
"""The part of a record that does not grow with its tokens."""

TOKENS_PER_PROMPT_BYTE = 1 / 3
"""About 1/4 for the prompt's text; the rest is for the chat template."""

SLOWEST_TOKENS_PER_S = 40.0
"""The slowest published cell, dense on one GPU, has 41."""

SAMPLE_BYTES, READING_BYTES = 50, 330
"""Of a line of telemetry: its own fields, and those of each GPU at their longest."""

SAMPLE_INTERVAL_S = 1.0
STARTUP_S = 1800.0
"""Allowed for loading the model; sampling starts before that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """One limit of the format, and how many measured passes of a plan stay within it."""

    what: str
    passes: int


def capacities(plan: Plan) -> Iterator[Capacity]:
    """Yield the capacity for this plan under each limit that applies to it."""
    prompts, max_tokens = len(plan.prompts), plan.sampling.max_tokens
    tokens_per_pass = prompts * max_tokens
    pass_bytes, chunks_bytes = _pass_bytes(plan), max_tokens * CHUNK_BYTES
    yield _capacity(plan, f"{RECORD_LIMIT} records", RECORD_LIMIT, prompts)
    yield _capacity(
        plan,
        f"{RECORDS_LIMIT_BYTES / 2**20:.0f} MiB of records",
        RECORDS_LIMIT_BYTES - plan.stream_passes * prompts * chunks_bytes,
        pass_bytes,
    )
    if plan.dialect is Dialect.VLLM:
        ids_per_pass = tokens_per_pass + _prompt_tokens(plan)
        yield _capacity(plan, f"{TOKEN_ID_LIMIT} token ids", TOKEN_ID_LIMIT, ids_per_pass)
    if plan.is_concurrent:
        yield _capacity(plan, f"{CHUNK_LIMIT} chunks", CHUNK_LIMIT, tokens_per_pass)
    record_bytes = pass_bytes // prompts + bool(plan.stream_passes) * chunks_bytes
    if record_bytes > LINE_LIMIT_BYTES:
        yield Capacity(what=f"{LINE_LIMIT_BYTES / 2**20:.0f} MiB a record", passes=0)
    if plan.engine is not None and plan.engine.device is Device.GPU:
        yield _telemetry_capacity(plan, plan.engine.tensor_parallel_size)


def _telemetry_capacity(plan: Plan, gpus: int) -> Capacity:
    lines = min(
        telemetry.LINE_LIMIT, telemetry.LIMIT_BYTES // (SAMPLE_BYTES + READING_BYTES * gpus)
    )
    pass_s = len(plan.prompts) * plan.sampling.max_tokens / SLOWEST_TOKENS_PER_S
    return _capacity(
        plan, f"{lines} lines of telemetry", lines * SAMPLE_INTERVAL_S - STARTUP_S, pass_s
    )


def _capacity(plan: Plan, what: str, limit: float, per_pass: float) -> Capacity:
    """Return how many passes fit, without those for warming up and streaming."""
    others = plan.warmup_passes + plan.stream_passes
    return Capacity(what=what, passes=max(0, int(limit // per_pass) - others))


def _pass_bytes(plan: Plan) -> int:
    id_bytes = TOKEN_ID_BYTES if plan.dialect is Dialect.VLLM else 0
    tokens = len(plan.prompts) * plan.sampling.max_tokens
    responses_bytes = tokens * (TEXT_BYTES + id_bytes)
    prompts_bytes = _prompt_tokens(plan) * id_bytes
    chunks_bytes = tokens * CHUNK_BYTES if plan.is_concurrent else 0
    return responses_bytes + chunks_bytes + prompts_bytes + len(plan.prompts) * RECORD_BYTES


def has_room(plan: Plan, records: Sequence[Record]) -> bool:
    """Tell whether another pass of agents, as large as the largest so far, fits into the bundle."""
    tokens: Counter[tuple[Phase, int]] = Counter()
    for record in records:
        tokens[record.phase, record.pass_number] += record.completion_tokens or 0
    most = sum(tokens.values()) + max(tokens.values(), default=0)
    passes = len(tokens) + 1
    others = passes * (_prompt_tokens(plan) * TOKEN_ID_BYTES + len(plan.prompts) * RECORD_BYTES)
    size = most * (TEXT_BYTES + TOKEN_ID_BYTES + CHUNK_BYTES) + others
    return most <= CHUNK_LIMIT and size <= RECORDS_LIMIT_BYTES


def _prompt_tokens(plan: Plan) -> int:
    prompt_bytes = sum(len(f"{plan.system}{prompt.text}".encode()) for prompt in plan.prompts)
    return int(prompt_bytes * TOKENS_PER_PROMPT_BYTE)
