"""Cases that tamper with the metrics that the server returned before and after each pass."""

from kit.parse import vllm_metrics
from tests.cases.case import damaged, edit, forged, group
from tests.cases.runs import NVLINK, TP1
from tests.edits.document import set_absent
from tests.edits.files import reseal_metrics
from tests.edits.metrics import (
    append_metrics,
    divide_sums,
    drop_metric,
    each_exposition,
    edit_metrics,
    with_value,
)
from tests.factory import Draft

LATER_PASSES = b'vllm:generation_tokens_total{engine="1"} 5.0\n'


def edit_moment(draft: Draft, name: str, old: bytes, new: bytes) -> None:
    """Replace some bytes of the metrics of one moment."""
    assert old in draft.metrics[name]
    draft.metrics[name] = draft.metrics[name].replace(old, new)


def edit_generated_tokens(draft: Draft, moment: str) -> None:
    """Write 999 at the end of the count of generated tokens, in the place of some digits."""
    text = draft.metrics[moment].decode()
    line = next(line for line in text.splitlines() if "generation_tokens_total{" in line)
    draft.metrics[moment] = text.replace(line, f"{line[:-4]}999.0").encode()


def count_more(draft: Draft, metric: str, more: int, *, but_for: tuple[str, ...] = ()) -> None:
    """Raise or lower a metric in the metrics of every moment but some."""
    for name, text in draft.metrics.items():
        if name not in but_for:
            value = vllm_metrics.totals(text, [metric])[metric]
            draft.metrics[name] = with_value(text, metric, float(value + more))


def tokens_before_later_passes(draft: Draft) -> None:
    """Count five tokens between the first measured pass and the second."""
    append_metrics(draft, LATER_PASSES, since="measured-2-before")


def count_no_http_requests(draft: Draft) -> None:
    """Let the server count no requests over HTTP."""
    drop_metric(draft, vllm_metrics.HTTP_COUNT)
    line = f"{vllm_metrics.HTTP_COUNT} 0.0\n".encode()
    each_exposition(draft, lambda text: text + line)


def restart(draft: Draft, started_s: float, *moments: str) -> None:
    """Let the engine have been started at another time, by some moments' metrics or by all."""
    for name in moments or draft.metrics:
        draft.metrics[name] = with_value(draft.metrics[name], vllm_metrics.STARTED, started_s)


def drop_pass(draft: Draft, name: str) -> None:
    """Remove the metrics of one pass."""
    del draft.metrics[f"{name}-before"], draft.metrics[f"{name}-after"]


def drop_all(draft: Draft) -> None:
    """Remove all metrics."""
    draft.metrics.clear()


def copy_moment(draft: Draft, source: str, target: str) -> None:
    """Add the metrics of one moment under another name."""
    draft.metrics[target] = draft.metrics[source]


METRICS = group(
    "The server's metrics",
    forged("The count of generated tokens is edited after one pass", "arithmetic-server-counter",
           edit(edit_generated_tokens, "measured-2-after")),
    forged("The count of prompt tokens is removed", "arithmetic-server-counter",
           edit(drop_metric, vllm_metrics.PROMPT_TOKENS)),
    forged("From the first measured pass on, one inter-token gap fewer is counted than tokens need",
           "arithmetic-server-counter",
           edit(count_more, vllm_metrics.BETWEEN_TOKENS_COUNT, -1,
                but_for=("warmup-0-before", "warmup-0-after", "measured-1-before"))),
    forged("The sum of requested `max_tokens` is twice the planned one",
           "arithmetic-server-counter",
           edit(divide_sums, 0.5, {vllm_metrics.BUDGETS_SUM})),
    forged("Five tokens are counted between two passes", "arithmetic-counter-gap",
           tokens_before_later_passes),
    forged("The server counts no HTTP requests", "arithmetic-time-witness", count_no_http_requests),
    forged("The sum of prefill times is doubled, to more than the sum of times to first token",
           "arithmetic-time-witness",
           edit(divide_sums, 0.5, {vllm_metrics.PREFILL_SUM})),
    forged("The metrics after one pass are of an engine started at another time",
           "arithmetic-engine-start",
           edit(restart, 1.7e9, "measured-2-after")),
    forged("All metrics are of an engine started after the run", "arithmetic-engine-start",
           edit(restart, 2.1e9)),
    forged("All metrics are labelled with another model", "topology-model",
           edit(edit_metrics, b'model_name="moe"', b'model_name="moe-mini"'), runs=(NVLINK,)),
    forged("The KV cache has one block more than in the log", "topology-model",
           edit(edit_metrics, b'num_gpu_blocks="7716"', b'num_gpu_blocks="7717"'), runs=(NVLINK,)),
    forged("`gpu_memory_utilization` is not the planned one", "topology-arguments",
           edit(edit_metrics, b'gpu_memory_utilization="0.92"', b'gpu_memory_utilization="0.5"'),
           runs=(TP1,)),
    forged("The cache configuration after one pass belongs to a second engine",
           "topology-arguments",
           edit(edit_moment, "measured-2-after", b'engine="0",gpu_mem', b'engine="1",gpu_mem')),
    forged("The metrics of one pass are missing", "protocol-metrics-files",
           edit(drop_pass, "measured-2")),
    forged("There are metrics of a pass that was not planned", "protocol-metrics-files",
           edit(copy_moment, "measured-1-before", "measured-9-before")),
    forged("All metrics are missing", "protocol-evidence", drop_all),
    forged("All metrics are missing, and declared absent", "protocol-metrics-files",
           drop_all, edit(set_absent, "metrics")),
    damaged("A counter has a million digits and a letter", "arithmetic-server-counter",
            edit(reseal_metrics,
                 lambda text: b"vllm:generation_tokens_total " + b"1" * 10**6 + b"x\n" + text,
                 "measured-1-before")),
    damaged("All metrics are two million empty lines", "arithmetic-server-counter",
            edit(reseal_metrics, lambda _: b"\n" * 2**21)),
    damaged("All metrics begin with one line of 2 MB", "arithmetic-server-counter",
            edit(reseal_metrics,
                 lambda text: b"vllm:generation_tokens_total{" * 2**16 + b"\n" + text)),
    damaged("The metrics of one moment are larger than allowed", "integrity-gzip",
            edit(reseal_metrics, lambda text: text.ljust(2**21 + 1, b"\n"), "measured-1-before")),
)  # fmt: skip
