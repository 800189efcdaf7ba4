"""Bundles for the report's tests: realistic figures, and one field changed at a time."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from kit.bundle.bag import Bundle
from kit.bundle.document import Clock, Document, EngineIdentity, Failure, Host, Runtime, Status
from kit.bundle.record import FinishReason, Record
from kit.format.canonical import digest
from kit.plan.plan import (
    CachePolicy,
    Cell,
    Connection,
    Deviation,
    Dialect,
    Engine,
    Plan,
    ProtocolName,
    Sampling,
)
from kit.plan.schedule import Phase, passes
from kit.plan.suite import Prompt
from kit.plan.topology import Device, Transport

PROMPTS = ("impl", "debug", "test", "refactor", "design")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a made-up cell behaves: its level, its noise, and how much of it was run."""

    model: str = "moe-mini"
    twin_of: str | None = "moe"
    tokens: int = 192
    tokens_per_s: float = 75.0
    noise: float = 0.012
    passes: int = 5
    stream_passes: int = 1
    prompts: Sequence[str] = PROMPTS
    topology: str = "cpu-tp1"
    host_id: str = "0123456789abcdef" * 2
    runtime: Runtime = Runtime.PROCESS
    seed: int = 1
    kept: int | None = None
    deviation: str = "client and server on one host"


MOE = Shape()
DENSE = Shape(model="dense-mini", twin_of="dense", tokens=40, tokens_per_s=17.0, seed=2)


def make(shape: Shape = MOE) -> Bundle:
    """Return a bundle of this shape; `kept` records of it, and partial, where that is given."""
    plan = make_plan(shape)
    records = tuple(_records(shape, plan))[: shape.kept]
    document = _document(shape, plan, records[-1].sent_s + records[-1].wall_s if records else 0.0)
    name = digest([document, records])
    return Bundle(id=name, document=document, records=records)


def with_plan(bundle: Bundle, plan: Plan) -> Bundle:
    """Return the bundle with another plan and its digest."""
    document = msgspec.structs.replace(bundle.document, plan=plan, plan_digest=plan.digest())
    return Bundle(id=digest([document]), document=document, records=bundle.records)


def make_plan(shape: Shape) -> Plan:
    return Plan(
        cell=Cell(model=shape.model, topology=shape.topology, suite="single"),
        twin_of=shape.twin_of,
        engine=Engine(
            device=Device.CPU,
            tensor_parallel_size=1,
            transport=Transport.NONE,
            command=("vllm", "serve", f"/models/{shape.model}", "--dtype=bfloat16"),
            environment=(("VLLM_CPU_KVCACHE_SPACE", "1"),),
        ),
        protocol=ProtocolName.KIT,
        warmup_passes=1,
        measured_passes=shape.passes,
        stream_passes=shape.stream_passes,
        connection=Connection.KEPT,
        cache=CachePolicy.WARM,
        dialect=Dialect.VLLM,
        seed=20260306,
        sampling=Sampling(
            max_tokens=shape.tokens, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05
        ),
        published_max_tokens=4096,
        timeout_s=600.0,
        system="Answer directly.",
        prompts=tuple(Prompt(id=name, text=f"Please {name}.") for name in shape.prompts),
        deviations=(Deviation(what=shape.deviation, why="one machine must be enough"),),
    )


def _records(shape: Shape, plan: Plan) -> Iterator[Record]:
    dice = random.Random(shape.seed)
    now_s = 1.5
    for phase, number in passes(plan):
        level = shape.tokens_per_s * (0.85 if phase is Phase.WARMUP else 1.0)
        level *= dice.lognormvariate(0, shape.noise)
        for prompt in plan.prompts:
            wall_s = shape.tokens / (level * dice.lognormvariate(0, shape.noise / 2))
            yield Record(
                phase=phase,
                pass_number=number,
                prompt_id=prompt.id,
                seed=dice.randrange(2**31),
                sent_s=now_s,
                wall_s=wall_s,
                prompt_tokens=390,
                completion_tokens=shape.tokens,
                finish_reason=FinishReason.LENGTH,
                chunks=tuple(_chunks(shape, wall_s, dice)) if phase is Phase.STREAM else None,
            )
            now_s += wall_s + 0.004


def _chunks(shape: Shape, wall_s: float, dice: random.Random) -> Iterator[tuple[float, int]]:
    first_s = min(0.12, wall_s / 5)
    gaps = [dice.lognormvariate(0, 0.06) * (3 if dice.random() < 0.01 else 1) for _ in range(400)]
    gaps = gaps[: shape.tokens - 1]
    scale = (wall_s - first_s) / sum(gaps)
    arrival_s = first_s
    yield arrival_s, 1
    for gap in gaps:
        arrival_s += gap * scale
        yield arrival_s, 1


def _document(shape: Shape, plan: Plan, end_s: float) -> Document:
    partial = shape.kept is not None
    return Document(
        schema_version=1,
        kit_version="0.1.0",
        status=Status.PARTIAL if partial else Status.COMPLETE,
        failure=Failure(stage="measured-2", code="disconnected") if partial else None,
        runtime=shape.runtime,
        host_id=shape.host_id,
        plan=plan,
        plan_digest=plan.digest(),
        clock=Clock(
            start_utc="2026-03-06T10:00:00Z", end_utc="2026-03-06T10:02:00Z", end_s=end_s + 1
        ),
        engine=EngineIdentity(
            version="0.17.0", build="vllm-cpu", lock_sha256=hashlib.sha256(b"lock").hexdigest()
        ),
        host=Host(
            system="Linux",
            kernel="6.1.0",
            machine="x86_64",
            python="3.11.7",
            cpu_model="AMD EPYC 7B13",
            cpu_count=2,
            memory_bytes=8 * 2**30,
        ),
        packages={"msgspec": "0.22.0"},
        absent={"data/host.json": "the CPU topologies have no GPU to describe"},
    )
