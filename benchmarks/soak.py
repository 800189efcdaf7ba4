"""Agents against a null server with faults, for a long time: every request is accounted for.

    .kit/dev/bin/python -m benchmarks.soak --seconds 600

Eight agents; a tenth of the responses, drawn from a seed, are 429, 503, a reset, half a stream or
nothing. At the end the client's counts must equal the server's, fault by fault, and its memory,
threads and sockets must be as at the beginning; else it exits with 1.
"""

import argparse
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec.structs import replace

from benchmarks.fidelity.kit_client import plan_of_agents
from kit.bundle.record import ErrorCode, Record
from kit.edge.calibration import null_server
from kit.edge.http_client import Client
from kit.edge.null_server import MODEL
from kit.plan.schedule import Phase, Request

AGENTS = 8
REQUESTS = 400
"""Of a pass; after each the client's process is looked at."""

TIMEOUT_S = 1.0
SEEN_AS = {
    "429": ErrorCode.HTTP_CLIENT_ERROR,
    "503": ErrorCode.HTTP_SERVER_ERROR,
    "reset": ErrorCode.DISCONNECTED,
    "cut": ErrorCode.DISCONNECTED,
    "silent": ErrorCode.TIMED_OUT,
    "whole": None,
}
GROWTH_BYTES = 8 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """What this process uses."""

    memory_bytes: int
    threads: int
    files: int


def main() -> None:
    """Send for so long, then compare."""
    options = _options()
    with TemporaryDirectory() as folder:
        log = Path(folder, "log.jsonl")
        faults = (f"--fault-share={options.share}", f"--seed={options.seed}")
        with null_server(
            log, "--tokens=20", "--interval-ms=2", "--first-token-ms=5", *faults
        ) as url:
            seen, used = _send(url, options.seconds)
        sent = _logged(log)
    print(f"server: {dict(sorted(sent.items()))}")
    print(f"client: { {str(code and code.value): count for code, count in seen.items()} }")
    print(f"first {used[1]}\nlast  {used[-1]}")
    expected: Counter[ErrorCode | None] = Counter()
    for name, count in sent.items():
        expected[SEEN_AS[name]] += count
    is_flat = (
        used[-1].memory_bytes - used[1].memory_bytes < GROWTH_BYTES
        and used[-1].threads == used[1].threads
        and used[-1].files <= used[1].files + AGENTS
    )
    print(
        f"totals {'exact' if seen == expected else 'DIFFER'}, {'flat' if is_flat else 'NOT FLAT'}"
    )
    sys.exit(0 if seen == expected and is_flat else 1)


def _send(url: str, seconds: float) -> tuple[Counter[ErrorCode | None], list[Process]]:
    plan = replace(plan_of_agents(), timeout_s=TIMEOUT_S)
    seen: Counter[ErrorCode | None] = Counter()
    used: list[Process] = []
    end_s = time.monotonic() + seconds
    with Client(url, MODEL, plan, time.monotonic()) as client:
        while time.monotonic() < end_s or len(used) < 3:
            requests = [_request(number, plan.prompts[0].text) for number in range(REQUESTS)]
            sent = client.send_together(requests, AGENTS, REQUESTS, lambda _: None)
            seen.update(_codes(sent.records))
            used.append(_process())
    return seen, used


def _codes(records: Sequence[Record]) -> list[ErrorCode | None]:
    return [record.error for record in records]


def _request(number: int, prompt: str) -> Request:
    return Request(
        phase=Phase.MEASURED,
        pass_number=1,
        prompt_id=str(number),
        prompt=prompt,
        seed=number,
        cache_salt=None,
    )


def _logged(log: Path) -> Counter[str]:
    lines = map(msgspec.json.decode, log.read_bytes().splitlines())
    return Counter(line.get("fault", "whole") for line in lines)


def _process() -> Process:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Process(
        memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        threads=threading.active_count(),
        files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--share", type=float, default=0.1, help="of responses that are faults")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
