"""Ways to tamper with what is known of the engine itself, each with the code that must name it."""

import re
from itertools import accumulate

from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.bundle.record import FinishReason
from tests.factory import Draft, change_record


def containers_called_a_process(made: Draft) -> None:
    """Nobody then asks for the host's facts, nor for the image's base."""
    made.host_facts = None
    identity = replace(made.document.engine, build="cpu", lock_sha256="00" * 32, cores=(0,))
    made.document = replace(made.document, runtime=Runtime.PROCESS, engine=identity)


def more_cached_than_was_asked(made: Draft) -> None:
    """Ten million tokens of each prompt, and the server's counter moved alike."""
    for position in range(len(made.records)):
        change_record(made, position, cached_tokens=10_000_000)
    _count_hits(made)


def whole_prompts_from_the_cache(made: Draft) -> None:
    """What was to be computed of a prompt is nothing, so that any first token is soon enough."""
    for position, record in enumerate(made.records):
        if record.cached_tokens:
            change_record(made, position, cached_tokens=record.prompt_tokens)
    _count_hits(made)


def a_response_that_ended_by_itself(made: Draft) -> None:
    """It did not: it was as long as it could be."""
    change_record(made, 4, finish_reason=FinishReason.STOP)


def metrics_of_another_model(made: Draft) -> None:
    _relabelled(made, b'model_name="moe"', b'model_name="moe-mini"')


def metrics_of_another_cache(made: Draft) -> None:
    _relabelled(made, b'num_gpu_blocks="7716"', b'num_gpu_blocks="7717"')


def another_share_of_memory_by_the_metrics(made: Draft) -> None:
    _relabelled(made, b'gpu_memory_utilization="0.92"', b'gpu_memory_utilization="0.5"')


def metrics_of_two_configurations(made: Draft) -> None:
    text = made.metrics["measured-2-after"]
    made.metrics["measured-2-after"] = text.replace(b'engine="0",gpu_mem', b'engine="1",gpu_mem')


def _relabelled(made: Draft, old: bytes, new: bytes) -> None:
    assert all(old in text for text in made.metrics.values())
    made.metrics = {name: text.replace(old, new) for name, text in made.metrics.items()}


def _count_hits(made: Draft) -> None:
    """Have the server's counter of cache hits say what the records say, pass by pass."""
    passes = list(dict.fromkeys((one.phase, one.pass_number) for one in made.records))
    hits = [
        sum(one.cached_tokens or 0 for one in made.records if (one.phase, one.pass_number) == key)
        for key in passes
    ]
    totals = list(accumulate(hits, initial=0))
    for (phase, number), before, after in zip(passes, totals, totals[1:], strict=False):
        for moment, total in (("before", before), ("after", after)):
            name = f"{phase.value}-{number}-{moment}"
            made.metrics[name] = re.sub(
                rb"(?m)^(vllm:prefix_cache_hits_total\S* ).*$",
                rb"\g<1>" + str(float(total)).encode(),
                made.metrics[name],
            )
