"""What a plan sends, request by request, in the order of sending."""

import hashlib
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache

import msgspec

from kit.plan.plan import CachePolicy, Plan


class Phase(Enum):
    """Which part of a run a request belongs to."""

    WARMUP = "warmup"
    MEASURED = "measured"
    STREAM = "stream"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a plan; `pass_number` is 0 for the warm-up and counts from 1 otherwise."""

    phase: Phase
    pass_number: int
    prompt_id: str
    prompt: str
    seed: int
    cache_salt: str | None


def requests(plan: Plan, run_salt: str = "") -> Iterator[Request]:
    """Yield every request of the plan in the order in which it is to be sent.

    With a cold cache `run_salt` keeps a run from the blocks that an earlier one left in the server.
    """
    is_cold = plan.cache is CachePolicy.COLD
    for phase, number in passes(plan):
        for prompt in plan.prompts:
            yield Request(
                phase=phase,
                pass_number=number,
                prompt_id=prompt.id,
                prompt=prompt.text,
                seed=request_seed(plan.seed, phase, number, prompt.id),
                cache_salt=_salt(run_salt, phase, number, prompt.id) if is_cold else None,
            )


def passes(plan: Plan) -> Iterator[tuple[Phase, int]]:
    """Yield (phase, pass number): the warm-up is 0, measured and streaming passes count from 1."""
    for _ in range(plan.warmup_passes):
        yield Phase.WARMUP, 0
    for number in range(1, plan.measured_passes + 1):
        yield Phase.MEASURED, number
    for number in range(1, plan.stream_passes + 1):
        yield Phase.STREAM, number


@lru_cache(maxsize=1024)
def request_seed(plan_seed: int, phase: Phase, pass_number: int, prompt_id: str) -> int:
    """Return a seed below 2^31; were they equal, passes would be copies of each other."""
    name = f"{plan_seed}/{phase.value}/{pass_number}/{prompt_id}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1


def _salt(run_salt: str, phase: Phase, pass_number: int, prompt_id: str) -> str:
    name = f"{run_salt}/{phase.value}/{pass_number}/{prompt_id}"
    return hashlib.sha256(name.encode()).hexdigest()
