"""The kit's client in its own process: `-m benchmarks.fidelity.kit_client URL STREAMS REQUESTS`.

Prints what it measured as JSON, with the names of `benchmarks.fidelity.tools.Told`.
"""

import json
import sys
import time
from statistics import median

from msgspec.structs import replace

from kit.edge.cells import CellChoices, planned_cells
from kit.edge.http_client import Client
from kit.edge.null_server import MODEL
from kit.figures.latency import inter_token_latencies, times_to_first_token
from kit.plan.plan import Plan
from kit.plan.schedule import Phase, Request


def main() -> None:
    """Send the requests, so many at once, and print what was measured."""
    url, streams, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    plan = plan_of_agents()
    requests = [
        Request(
            phase=Phase.STREAM, pass_number=1, prompt_id=str(number),
            prompt=plan.prompts[0].text, seed=number, cache_salt=None,
        )
        for number in range(count)
    ]  # fmt: skip
    with Client(url, MODEL, plan, time.monotonic()) as client:
        records = client.send_together(requests, streams, 0, lambda _: None).records
    if any(record.error for record in records):
        sys.exit(f"failed: {[record.error for record in records if record.error]}")
    seconds = max(it.sent_s + it.wall_s for it in records) - min(it.sent_s for it in records)
    tokens = sum(record.completion_tokens or 0 for record in records)
    told = {
        "tokens_per_s": tokens / seconds,
        "ttft_s": median(times_to_first_token(records)),
        "inter_token_s": median(inter_token_latencies(records)),
    }
    print(json.dumps(told))


def plan_of_agents() -> Plan:
    """Return a plan of agents, whose responses are streamed."""
    (cell,) = planned_cells(
        CellChoices(
            topology=None, models=("moe-mini",), suite="swarm", agents=(1,), passes=1,
            protocol="kit", cache="warm", timeout_s=60, runtime=None,
        )
    )  # fmt: skip
    return replace(cell.plan, sampling=replace(cell.plan.sampling, max_tokens=4096))


if __name__ == "__main__":
    main()
