"""Ways to write other times than the server's clocks had, each with the code that must name it."""

import re
from collections.abc import Callable, Collection

from msgspec.structs import replace

from kit.parse import vllm_metrics
from kit.plan.schedule import Phase, requests
from tests.cases.physics import SUMS, faster, shorter_sums
from tests.factory import Draft, change_plan, change_record, utc


def a_clock_that_was_set_for_an_alibi(made: Draft) -> None:
    """The monotonic end goes with the times; the UTC clock seems to have been set in mid-run."""
    _faster(made, 10, ())
    clock = replace(made.document.clock, end_utc=utc(made.document.clock.end_s + 900))
    made.document = replace(made.document, clock=clock)


def faster_without_latency_sums(made: Draft) -> None:
    _faster(made, 10, SUMS)
    _strike(made, vllm_metrics.E2E_LATENCY_SUM)


def faster_without_sums_over_http(made: Draft) -> None:
    _faster(made, 10, SUMS)
    _strike(made, vllm_metrics.HTTP_SUM)


def faster_in_one_of_the_servers_sums(made: Draft) -> None:
    _faster(made, 3, {vllm_metrics.E2E_LATENCY_SUM})


def faster_in_all_of_the_servers_sums_but_one(made: Draft) -> None:
    """What the engine counts between tokens would not fit into the requests."""
    _faster(made, 3, {*SUMS} - {vllm_metrics.BETWEEN_TOKENS_SUM})


def faster_in_all_sums_but_those_of_decoding(made: Draft) -> None:
    """What passes from the first token to the last is added up twice."""
    _faster(made, 3, {*SUMS} - {vllm_metrics.DECODE_SUM, vllm_metrics.INFERENCE_SUM})


def faster_in_all_sums_but_those_by_handler(made: Draft) -> None:
    _faster(made, 3, {*SUMS} - {vllm_metrics.HTTP_BY_HANDLER_SUM})


def faster_in_all_sums_but_those_of_first_tokens(made: Draft) -> None:
    """First tokens and the steps between tokens would not fit into the requests together."""
    _faster(made, 1.05, {*SUMS} - {vllm_metrics.FIRST_TOKEN_SUM, vllm_metrics.PREFILL_SUM})


def requests_over_http_not_counted(made: Draft) -> None:
    for name, text in made.metrics.items():
        lines = text.decode().splitlines(keepends=True)
        other = [line for line in lines if not line.startswith(vllm_metrics.HTTP_COUNT)]
        made.metrics[name] = ("".join(other) + f"{vllm_metrics.HTTP_COUNT} 0.0\n").encode()


def first_tokens_sooner_than_the_server_had_them(made: Draft) -> None:
    _streamed(made, first=0.1, rest=1.0)


def tokens_closer_together_than_the_server_made_them(made: Draft) -> None:
    _streamed(made, first=1.0, rest=0.1)


def a_stream_moved_together_by_a_quarter(made: Draft) -> None:
    """As far as a starved client may hear chunks late: and yet the last came before it was made."""
    _streamed(made, first=1.0, rest=0.75)


def first_tokens_soon_by_a_clock_a_little_off(made: Draft) -> None:
    """The UTC clock may be slewed; what the engine times by a monotonic one has no such excuse."""
    _slewed(made)
    _streamed(made, first=0.05, rest=1.0)


def responses_shorter_by_a_clock_a_little_off(made: Draft) -> None:
    _slewed(made)
    for position, record in enumerate(made.records):
        if record.phase is Phase.MEASURED:
            change_record(made, position, wall_s=round(record.wall_s * 0.95, 6))


def first_tokens_later_than_the_server_had_them(made: Draft) -> None:
    _arrive(made, lambda times_s: [max(at_s, times_s[-1] * 0.9) for at_s in times_s])


def _arrive(made: Draft, change: Callable[[list[float]], list[float]]) -> None:
    """Let the chunks of each streamed response arrive at other times."""
    for position, record in enumerate(made.records):
        if record.chunks:
            times_s = change([at_s for at_s, _ in record.chunks])
            chunks = tuple((round(at_s, 6), 1) for at_s in times_s)
            change_record(made, position, chunks=chunks)


def _slewed(made: Draft) -> None:
    clock = replace(made.document.clock, end_utc=utc(made.document.clock.end_s + 1.9))
    made.document = replace(made.document, clock=clock)


def measured_passes_that_begin_late(made: Draft) -> None:
    """As if each pass before had been shortened, with all of the server's sums."""
    later_s = 0.0
    for position, record in enumerate(made.records):
        is_first = record.prompt_id == made.records[0].prompt_id
        later_s += 0.9 if is_first and record.phase is Phase.MEASURED else 0.0
        change_record(made, position, sent_s=round(record.sent_s + later_s, 6))
    end_s = made.document.clock.end_s + later_s
    clock = replace(made.document.clock, end_s=end_s, end_utc=utc(end_s))
    made.document = replace(made.document, clock=clock)


def a_slow_pass_called_the_warm_up(made: Draft) -> None:
    """The warm-up is left out, and each pass called the one before it: no number is changed."""
    plan = made.document.plan
    change_plan(made, measured_passes=plan.measured_passes - 1)
    kept = made.records[len(plan.prompts) :]
    asked = requests(made.document.plan)
    made.records = [
        replace(record, phase=one.phase, pass_number=one.pass_number, seed=one.seed)
        for record, one in zip(kept, asked, strict=True)
    ]
    texts = list(made.metrics.values())[2:]
    names = list(made.metrics)[:-4] + list(made.metrics)[-2:]
    made.metrics = dict(zip(names, texts, strict=True))


def responses_shortened_where_they_stood(made: Draft) -> None:
    """With all of the server's sums: the client would have waited for nothing after each."""
    for position, record in enumerate(made.records):
        chunks = tuple((round(at_s / 2, 6), tokens) for at_s, tokens in record.chunks or ())
        change_record(
            made,
            position,
            wall_s=round(record.wall_s / 2, 6),
            chunks=None if record.chunks is None else chunks,
        )
    made.metrics = {name: shorter_sums(text, 2) for name, text in made.metrics.items()}


def measured_passes_that_were_moved_together(made: Draft) -> None:
    """What they took less is spent before the stream."""
    for position, record in enumerate(made.records):
        if record.phase is Phase.STREAM:
            change_record(made, position, sent_s=record.sent_s + 20)
    end_s = made.document.clock.end_s + 20
    clock = replace(made.document.clock, end_s=end_s, end_utc=utc(end_s))
    made.document = replace(made.document, clock=clock)


def metrics_of_another_engine(made: Draft) -> None:
    name = "measured-2-after"
    made.metrics[name] = _started(made.metrics[name], 1.7e9)


def first_tokens_sooner_than_their_prefills(made: Draft) -> None:
    made.metrics = {
        name: shorter_sums(text, 0.5, {vllm_metrics.PREFILL_SUM})
        for name, text in made.metrics.items()
    }


def metrics_of_a_later_engine(made: Draft) -> None:
    made.metrics = {name: _started(text, 2.1e9) for name, text in made.metrics.items()}


def metrics_of_requests_with_another_budget(made: Draft) -> None:
    made.metrics = {
        name: shorter_sums(text, 0.5, {vllm_metrics.BUDGETS_SUM})
        for name, text in made.metrics.items()
    }


def _started(text: bytes, moment_s: float) -> bytes:
    line = rf"(?m)^({vllm_metrics.STARTED}\S*) .*$"
    return re.sub(line, rf"\1 {moment_s}", text.decode()).encode()


def _streamed(made: Draft, *, first: float, rest: float) -> None:
    """Scale the time to the first chunk, and those between chunks; all else stays."""
    for position, record in enumerate(made.records):
        if record.phase is Phase.STREAM and record.chunks:
            begun_s = record.chunks[0][0]
            chunks = tuple(
                (round(first * begun_s + rest * (at_s - begun_s), 6), tokens)
                for at_s, tokens in record.chunks
            )
            change_record(made, position, chunks=chunks)


def _faster(made: Draft, factor: float, sums: Collection[str]) -> None:
    """Divide all times of the client, and of the server's only these sums."""
    metrics = made.metrics
    faster(made, factor)
    made.metrics = {name: shorter_sums(text, factor, sums) for name, text in metrics.items()}


def _strike(made: Draft, sample: str) -> None:
    for name, text in made.metrics.items():
        lines = text.decode().splitlines(keepends=True)
        made.metrics[name] = "".join(x for x in lines if not x.startswith(sample)).encode()
