"""The requests of a plan, in the order of sending."""

import hashlib
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache

import msgspec

from kit.plan.plan import CachePolicy, Plan


class Phase(Enum):
    """Part of a run: the warm-up pass, the measured passes, or the streaming passes."""

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
    """Yield every request of the plan in the order of sending.

    With a cold cache, `run_salt` keeps requests from hitting prefix-cache blocks of an earlier run.
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
    """Yield (phase, pass number): 0 for the warm-up; the others count from 1."""
    for _ in range(plan.warmup_passes):
        yield Phase.WARMUP, 0
    for number in range(1, plan.measured_passes + 1):
        yield Phase.MEASURED, number
    for number in range(1, plan.stream_passes + 1):
        yield Phase.STREAM, number


def is_streamed(plan: Plan, phase: Phase) -> bool:
    """Tell whether the responses of a phase are streamed: of agents all are."""
    return plan.is_concurrent or phase is Phase.STREAM


@lru_cache(maxsize=1024)
def request_seed(plan_seed: int, phase: Phase, pass_number: int, prompt_id: str) -> int:
    """Return a seed below 2^31, different for each pass, whose responses would else be equal."""
    name = f"{plan_seed}/{phase.value}/{pass_number}/{prompt_id}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1


def _salt(run_salt: str, phase: Phase, pass_number: int, prompt_id: str) -> str:
    name = f"{run_salt}/{phase.value}/{pass_number}/{prompt_id}"
    return hashlib.sha256(name.encode()).hexdigest()
