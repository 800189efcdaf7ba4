"""Ways to tamper that only physics sees, each with the code that must name it.

All that can be counted twice is changed alike: nothing contradicts anything but the hardware.
"""

from collections.abc import Collection

from msgspec.structs import replace

from kit.bundle.telemetry import ClockReason, Telemetry
from kit.parse import vllm_metrics
from kit.plan.schedule import Phase
from tests.cases.topologies import retold
from tests.factory import Draft, change_record, utc

SUMS = (
    vllm_metrics.E2E_LATENCY_SUM,
    vllm_metrics.FIRST_TOKEN_SUM,
    vllm_metrics.BETWEEN_TOKENS_SUM,
    vllm_metrics.DECODE_SUM,
    vllm_metrics.PREFILL_SUM,
    vllm_metrics.INFERENCE_SUM,
    vllm_metrics.HTTP_SUM,
    vllm_metrics.HTTP_BY_HANDLER_SUM,
)
"""What a server adds up in seconds."""


def ten_times_as_fast(made: Draft) -> None:
    faster(made, 10)


def one_and_a_half_times_as_fast(made: Draft) -> None:
    """What two GPUs are published with, sold as one GPU's."""
    faster(made, 1.5)


def faster(made: Draft, factor: float) -> None:
    """Divide every time of a bundle: records, chunks, both clocks, the server's sums, telemetry."""
    for position, record in enumerate(made.records):
        chunks = tuple((round(at_s / factor, 6), tokens) for at_s, tokens in record.chunks or ())
        change_record(
            made,
            position,
            sent_s=round(record.sent_s / factor, 6),
            wall_s=round(record.wall_s / factor, 6),
            chunks=None if record.chunks is None else chunks,
        )
    end_s = round(made.document.clock.end_s / factor, 6)
    clock = replace(made.document.clock, end_s=end_s, end_utc=utc(end_s))
    made.document = replace(made.document, clock=clock)
    made.metrics = {name: shorter_sums(text, factor) for name, text in made.metrics.items()}
    if made.telemetry is not None:
        made.telemetry = _sooner(made.telemetry, factor)


def a_first_token_before_its_prompt(made: Draft) -> None:
    for position, record in enumerate(made.records):
        if record.chunks:
            (_, tokens), *later = record.chunks
            change_record(made, position, chunks=((0.002, tokens), *later))


def chunks_five_times_as_fast(made: Draft) -> None:
    """Inter-token latency is made of them, and nothing else is."""
    for position, record in enumerate(made.records):
        if record.chunks:
            first_s = record.chunks[0][0]
            chunks = tuple(
                (round(first_s + (at_s - first_s) / 5, 6), tokens) for at_s, tokens in record.chunks
            )
            change_record(made, position, chunks=chunks)


def late_chunks_all_at_once(made: Draft) -> None:
    """Latency between tokens of next to nothing, in the time that the response really took."""
    for position, record in enumerate(made.records):
        if record.phase is Phase.STREAM:
            chunks = tuple((round(record.wall_s - 1e-5 * (21 - n), 6), 1) for n in range(21))
            change_record(made, position, chunks=chunks, completion_tokens=21)


def telemetry_of_an_idle_machine(made: Draft) -> None:
    retold(made, utilization_percent=0, clock_reasons=(ClockReason.GPU_IDLE,))


def one_gpu_of_two_at_work(made: Draft) -> None:
    assert made.telemetry is not None
    samples = tuple(
        replace(one, gpus=(one.gpus[0], replace(one.gpus[1], utilization_percent=0)))
        for one in made.telemetry.samples
    )
    made.telemetry = replace(made.telemetry, samples=samples)


def too_little_power_for_the_tokens(made: Draft) -> None:
    retold(made, power_w=9.0)


def more_power_than_the_card_may_draw(made: Draft) -> None:
    retold(made, power_w=700.0)


def a_memory_clock_that_would_explain_it(made: Draft) -> None:
    """Ten times as fast, on memory with ten times the clock."""
    faster(made, 10)
    assert made.telemetry is not None
    samples = tuple(
        replace(one, gpus=tuple(replace(gpu, memory_clock_mhz=95010) for gpu in one.gpus))
        for one in made.telemetry.samples
    )
    made.telemetry = replace(made.telemetry, samples=samples)


def shorter_sums(text: bytes, factor: float, sums: Collection[str] = SUMS) -> bytes:
    """Divide a server's sums of seconds."""
    lines = []
    for line in text.decode().splitlines():
        name, _, value = line.rpartition(" ")
        is_sum = name.partition("{")[0] in sums
        lines.append(f"{name} {float(value) / factor}" if is_sum else line)
    return ("\n".join(lines) + "\n").encode()


def _sooner(told: Telemetry, factor: float) -> Telemetry:
    samples = tuple(replace(one, t_s=round(one.t_s / factor, 6)) for one in told.samples)
    assert told.end is not None
    end_s = round(told.end.t_s / factor, 6)
    return replace(told, samples=samples, end=replace(told.end, t_s=end_s, utc=utc(end_s)))
