"""Cases that make a whole run faster, and let most or all that can be counted twice agree."""

from msgspec.structs import replace

from kit.bundle.document import Failure, Status
from kit.parse import vllm_metrics
from tests.cases.case import edit, forged, group
from tests.cases.runs import DENSE_TP1, NVLINK, PCIE, TP1
from tests.cases.times import divide_wall_times
from tests.edits.document import set_absent, step_utc_clock
from tests.edits.metrics import SUMS, drop_metric
from tests.edits.speed import faster, faster_client
from tests.edits.telemetry import set_readings, telemetry_in, with_cards, with_samples
from tests.factory import Draft


def stop_early_without_metrics(draft: Draft) -> None:
    """Call the run interrupted before its last request, and its metrics lost."""
    draft.records = draft.records[:-1]
    draft.metrics = {}
    draft.document = replace(
        draft.document,
        status=Status.PARTIAL,
        failure=Failure(stage="measure", code="interrupted"),
    )
    set_absent(draft, "metrics")


def add_idle_unknown_card(draft: Draft) -> None:
    """Add a third card of an unknown model, which never does anything."""
    first, *rest = telemetry_in(draft).header.inventory.gpus
    with_cards(draft, first, *rest, replace(first, index=2, name="NVIDIA T400 4GB"))
    with_samples(
        draft,
        lambda samples: [
            replace(
                sample,
                gpus=(*sample.gpus, replace(sample.gpus[0], index=2, utilization_percent=0)),
            )
            for sample in samples
        ],
    )


SPEED = group(
    "Whole runs made faster",
    forged("All client times divided by 10, and the UTC clock stepped by 900 s to hide it",
           "arithmetic-time-witness",
           edit(faster_client, 10), edit(step_utc_clock, 900)),
    forged("All times divided by 10, and the server's sums of end-to-end latency removed",
           "arithmetic-time-witness",
           edit(faster_client, 10, SUMS), edit(drop_metric, vllm_metrics.E2E_LATENCY_SUM)),
    forged("All times divided by 10, and the server's sums of HTTP durations removed",
           "arithmetic-time-witness",
           edit(faster_client, 10, SUMS), edit(drop_metric, vllm_metrics.HTTP_SUM)),
    forged("All client times divided by 3, and of the server's sums only end-to-end latency",
           "arithmetic-time-witness",
           edit(faster_client, 3, {vllm_metrics.E2E_LATENCY_SUM})),
    forged("All times divided by 3, except the server's sum of inter-token latencies",
           "arithmetic-time-witness",
           edit(faster_client, 3, SUMS - {vllm_metrics.BETWEEN_TOKENS_SUM})),
    forged("All times divided by 3, except the server's sums of decode and inference times",
           "arithmetic-time-witness",
           edit(faster_client, 3, SUMS - {vllm_metrics.DECODE_SUM, vllm_metrics.INFERENCE_SUM})),
    forged("All times divided by 3, except the server's sum of HTTP durations by handler",
           "arithmetic-time-witness",
           edit(faster_client, 3, SUMS - {vllm_metrics.HTTP_BY_HANDLER_SUM})),
    forged("Times of requests divided by 10, in a run declared interrupted and without metrics",
           "protocol-metrics-files",
           edit(divide_wall_times, 10), stop_early_without_metrics),
    forged("All times divided by 10: records, clocks, the server's sums and telemetry agree",
           "physics-roofline physics-stream",
           edit(faster, 10), runs=(TP1, NVLINK, PCIE)),
    forged("All times divided by 1.5: one GPU is as fast as two are published to be",
           "physics-roofline",
           edit(faster, 1.5), runs=(DENSE_TP1,)),
    forged("All times divided by 10, and the memory clock multiplied by 10",
           "physics-roofline",
           edit(faster, 10), edit(set_readings, memory_clock_mhz=95_010), runs=(TP1,)),
    forged("The memory clock is 405 MHz, a twentieth of its maximum, at the same speed",
           "physics-roofline",
           edit(set_readings, memory_clock_mhz=405), runs=(TP1,)),
    forged("All times divided by 10, and a third, idle card of an unknown model added",
           "physics-roofline",
           edit(faster, 10), add_idle_unknown_card, runs=(NVLINK,)),
)  # fmt: skip
