"""How much of a plan fits into one bundle: what is longer than that, `kit verify` would refuse.

Reckoned with each response at its whole token budget, which few of them spend: that is the margin.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from kit.bundle import telemetry
from kit.bundle.limits import (
    CHUNK_LIMIT,
    LINE_LIMIT_BYTES,
    RECORD_LIMIT,
    RECORDS_LIMIT_BYTES,
    TOKEN_ID_LIMIT,
)
from kit.plan.plan import Dialect, Plan
from kit.plan.topology import Device

TEXT_BYTES = 5
"""A token's, as JSON: prose and code of real models take about 4.5."""

TOKEN_ID_BYTES = 7
"""Six digits, since vocabularies are below a million, and a comma."""

CHUNK_BYTES = 15
"""`[12.345678,1],`: one token that was streamed."""

RECORD_BYTES = 500
"""All of a record that does not grow with its tokens."""

TOKENS_A_PROMPT_BYTE = 1 / 3
"""Prompts take one token for 4 bytes or so, and a template's own."""

SLOWEST_TOKENS_PER_S = 40.0
"""Dense on one GPU, the slowest cell that was published, makes 41."""

SAMPLE_BYTES, READING_BYTES = 50, 330
"""A line of telemetry, with each field of a GPU at its longest."""

INTERVAL_S = 1.0
STARTING_S = 1800.0
"""What an engine may take to load its model; the sampler is started before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a bundle has a limit for, and how many measured passes of a plan keep to it."""

    what: str
    passes: int


def rooms(plan: Plan) -> Iterator[Room]:
    """Yield the room that a plan has, by each limit that it may come to."""
    yield _room(plan, f"{RECORD_LIMIT} records", RECORD_LIMIT, len(plan.prompts))
    a_pass_bytes, streamed_bytes = _pass_bytes(plan), plan.sampling.max_tokens * CHUNK_BYTES
    yield _room(
        plan,
        f"{RECORDS_LIMIT_BYTES / 2**20:.0f} MiB of records",
        RECORDS_LIMIT_BYTES - plan.stream_passes * len(plan.prompts) * streamed_bytes,
        a_pass_bytes,
    )
    a_pass_tokens = len(plan.prompts) * plan.sampling.max_tokens
    if plan.dialect is Dialect.VLLM:
        a_pass_ids = a_pass_tokens + _prompt_tokens(plan)
        yield _room(plan, f"{TOKEN_ID_LIMIT} token ids", TOKEN_ID_LIMIT, a_pass_ids)
    if plan.stream_passes * a_pass_tokens > CHUNK_LIMIT:
        yield Room(what=f"{CHUNK_LIMIT} chunks", passes=0)
    longest_bytes = a_pass_bytes // len(plan.prompts) + bool(plan.stream_passes) * streamed_bytes
    if longest_bytes > LINE_LIMIT_BYTES:
        yield Room(what=f"{LINE_LIMIT_BYTES / 2**20:.0f} MiB a record", passes=0)
    if plan.engine is not None and plan.engine.device is Device.GPU:
        line_bytes = SAMPLE_BYTES + READING_BYTES * plan.engine.tensor_parallel_size
        lines = min(telemetry.LINE_LIMIT, telemetry.LIMIT_BYTES // line_bytes)
        a_pass_s = len(plan.prompts) * plan.sampling.max_tokens / SLOWEST_TOKENS_PER_S
        left_s = lines * INTERVAL_S - STARTING_S
        yield _room(plan, f"{lines} lines of telemetry", left_s, a_pass_s)


def _room(plan: Plan, what: str, limit: float, a_pass: float) -> Room:
    """Divide what there is by what a pass takes; warm-up and streaming passes are counted off."""
    others = plan.warmup_passes + plan.stream_passes
    return Room(what=what, passes=max(0, int(limit // a_pass) - others))


def _pass_bytes(plan: Plan) -> int:
    id_bytes = TOKEN_ID_BYTES if plan.dialect is Dialect.VLLM else 0
    responses_bytes = len(plan.prompts) * plan.sampling.max_tokens * (TEXT_BYTES + id_bytes)
    prompts_bytes = _prompt_tokens(plan) * id_bytes
    return responses_bytes + prompts_bytes + len(plan.prompts) * RECORD_BYTES


def _prompt_tokens(plan: Plan) -> int:
    asked_bytes = sum(len(f"{plan.system}{prompt.text}".encode()) for prompt in plan.prompts)
    return int(asked_bytes * TOKENS_A_PROMPT_BYTE)
