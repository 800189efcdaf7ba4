"""Measures how far clients are from the truth that a null server logs.

    .kit/dev/bin/python -m benchmarks.fidelity --aiperf PATH --guidellm PATH -o benchmarks

Each client streams from a fresh null server: a first token after 50 ms, then 100 tok/s a stream.
Server and client have one core each; the order of the clients alternates by round. Errors are the
client's median less the server's, tok/s the client's over the server's, both of the whole run.
"ideal" is what really went through, over what streams without any pause between two requests would
have given. CPU seconds are of the client's processes, their start included. A run in which the
server itself was late is marked. The peers are not the kit's to install: `pip install aiperf`,
`pip install guidellm`, each in an environment of its own.
"""

import argparse
import io
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.fidelity import tools
from benchmarks.fidelity.tools import Load, Told, Tool
from kit.edge.calibration import Truth, null_server, read_log
from kit.edge.files import checkout

STREAMS = (1, 8, 64)
REQUESTS_EACH = 3
TOKENS = 200
FIRST_S, INTERVAL_S = 0.05, 0.01
IDEAL_S = FIRST_S + (TOKENS - 1) * INTERVAL_S
LATE_S = 0.001
SERVER_CORE, CLIENT_CORE = 0, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of a client, beside the truth."""

    rate_ratio: float
    ttft_error_s: float
    inter_token_error_s: float
    ideal_ratio: float
    cpu_s: float
    late_s: float


def main() -> None:
    """Run the rounds; print the table, and write it with a picture."""
    options = _options()
    clients = [tools.kit(), tools.vllm_bench()]
    clients += [tools.aiperf(options.aiperf)] if options.aiperf else []
    clients += [tools.guidellm(options.guidellm)] if options.guidellm else []
    runs: dict[tuple[str, int], list[Run]] = {}
    for number in range(options.rounds):
        for streams in STREAMS:
            for client in clients if number % 2 == 0 else reversed(clients):
                run = _run(client, streams)
                runs.setdefault((client.name, streams), []).append(run)
                print(client.name, streams, run, file=sys.stderr, flush=True)
    table = "\n".join(_table(runs))
    print(table)
    if options.output is not None:
        (options.output / "fidelity.md").write_text(table + "\n", encoding="utf-8")
        _draw(runs, options.output / "fidelity.svg")


def _run(client: Tool, streams: int) -> Run:
    with TemporaryDirectory() as folder:
        log = Path(folder, "log.jsonl")
        os.sched_setaffinity(0, {SERVER_CORE})
        with null_server(log, f"--tokens={TOKENS}") as url:
            os.sched_setaffinity(0, {CLIENT_CORE})
            requests = REQUESTS_EACH * streams
            load = Load(url=url, streams=streams, requests=requests, tokens=TOKENS)
            told, cpu_s = _measure(client, load, Path(folder))
        return _compare(told, read_log(log), streams, cpu_s)


def _measure(client: Tool, load: Load, folder: Path) -> tuple[Told, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        client.command(load, folder),
        cwd=checkout.ROOT,
        env={**os.environ, **client.environment},
        check=False,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{client.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    spent = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return client.told(done.stdout, folder), spent


def _compare(told: Told, truths: Sequence[Truth], streams: int, cpu_s: float) -> Run:
    tokens = sum(count for truth in truths for _, count in truth.arrivals)
    first_s = min(truth.received_s for truth in truths)
    last_s = max(truth.received_s + truth.end_s for truth in truths)
    true_rate = tokens / (last_s - first_s)
    gaps = [b - a for truth in truths for (a, _), (b, _) in pairwise(truth.arrivals)]
    return Run(
        rate_ratio=told.tokens_per_s / true_rate - 1,
        ttft_error_s=told.ttft_s - median(truth.arrivals[0][0] for truth in truths),
        inter_token_error_s=told.inter_token_s - median(gaps),
        ideal_ratio=true_rate * IDEAL_S / (streams * TOKENS),
        cpu_s=cpu_s,
        late_s=median(truth.late_s for truth in truths),
    )


def _table(runs: dict[tuple[str, int], list[Run]]) -> Iterator[str]:
    yield "| Client | Streams | tok/s | TTFT | Between tokens | Of ideal | CPU s | |"
    yield "|---|---:|---:|---:|---:|---:|---:|---|"
    for (name, streams), found in sorted(runs.items(), key=lambda item: item[0][1]):
        limited = "server-limited" if median(run.late_s for run in found) > LATE_S else ""
        cells = (
            f"{median(run.rate_ratio for run in found):+.2%}",
            f"{1e3 * median(run.ttft_error_s for run in found):+.2f} ms",
            f"{1e3 * median(run.inter_token_error_s for run in found):+.3f} ms",
            f"{median(run.ideal_ratio for run in found):.2%}",
            f"{median(run.cpu_s for run in found):.1f}",
            limited,
        )
        yield f"| {name} | {streams} | {' | '.join(cells)} |"


def _draw(runs: dict[tuple[str, int], list[Run]], path: Path) -> None:
    """Draw each client's error of TTFT, and what it kept of the ideal rate, by streams."""
    mpl.rcParams["svg.hashsalt"] = "kit"
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in dict.fromkeys(name for name, _ in runs):
        errors = [1e3 * abs(median(r.ttft_error_s for r in runs[name, n])) for n in STREAMS]
        shares = [100 * median(r.ideal_ratio for r in runs[name, n]) for n in STREAMS]
        left.plot(STREAMS, errors, marker="o", label=name)
        right.plot(STREAMS, shares, marker="o", label=name)
    left.set(xlabel="streams", ylabel="error of TTFT (ms)", xscale="log", yscale="log")
    right.set(xlabel="streams", ylabel="of the ideal rate (%)", xscale="log")
    left.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    for axes in (left, right):
        axes.set_xticks(STREAMS, [str(n) for n in STREAMS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    left.legend()
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    lines = (line.rstrip() for line in drawn.getvalue().splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--aiperf", type=Path, help="its executable")
    parser.add_argument("--guidellm", type=Path, help="its executable")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, help="folder for the table and the picture")
    return parser.parse_args()


if __name__ == "__main__":
    main()
