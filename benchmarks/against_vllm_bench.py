"""Measures one vLLM server with the kit and with `vllm bench serve` in turns, and compares them.

    .kit/venv/bin/python benchmarks/against_vllm_bench.py http://127.0.0.1:8000 --tokens 128

Both send the suite's prompts one at a time to a server that has seen them before. The kit's figures
are tokens over the seconds of the requests, not streamed (its headline) and streamed; that of
`vllm bench serve` is its "output throughput": tokens, streamed, over the seconds of the whole run,
its own work between requests included.

On a shared machine two runs differ by more than two tools do. So each figure is also divided by the
server's own for the very same requests (`vllm:generation_tokens_total` over
`vllm:e2e_request_latency_seconds_sum`): what is left is the tool. A round is one run of each, in
alternating order. Printed are every round, and geometric means of the ratios with Student-t
intervals at 95 %.

With `--agents 4` both send the prompts of the suite `swarm`, four at a time, all streamed. Then
each tool's figure is tokens over the seconds of its requests, times the agents, as the server's is.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import requests

from kit.bundle import bag
from kit.edge.files import checkout
from kit.figures.intervals import student_t_quantile
from kit.parse import vllm_metrics
from kit.parse.vllm_metrics import E2E_LATENCY_SUM, GENERATION_TOKENS
from kit.plan.plan import PUBLISHED_SAMPLING

VLLM = checkout.ENGINE / "bin" / "vllm"
KIT = checkout.STATE / "venv" / "bin" / "kit"
ROUNDS_AT_LEAST = 2
PEER = "vllm bench serve"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """What a tool says of its run, and what the server says of the same requests, in tok/s."""

    told: float
    served: float

    @property
    def share(self) -> float:
        return self.told / self.served


def main() -> None:
    """Run the rounds, print each, and the ratios."""
    options = _options()
    with TemporaryDirectory() as scratch:
        _write_prompts(options, Path(scratch, "prompts.json"))
        _kit(options, Path(scratch, "warm-up"))
        _vllm_bench(options, Path(scratch))
        rounds = [_round(options, Path(scratch), number) for number in range(options.rounds)]
    print("\nover the server's own figure for the same requests")
    for name in rounds[0]:
        print(f"  {name:18} {_mean([one[name].share for one in rounds])}")
    print("over vllm bench serve, each over the server's own")
    for name in rounds[0]:
        if name == PEER:
            continue
        ratios = [one[name].share / one[PEER].share for one in rounds]
        print(f"  {name:18} {_mean(ratios)}")


def _round(options: argparse.Namespace, scratch: Path, number: int) -> dict[str, Figure]:
    if number % 2:
        peer = _vllm_bench(options, scratch)
        figures = {**_kit(options, scratch / str(number)), PEER: peer}
    else:
        own = _kit(options, scratch / str(number))
        figures = {**own, PEER: _vllm_bench(options, scratch)}
    told = "  ".join(f"{name} {one.told:.2f} / {one.served:.2f}" for name, one in figures.items())
    print(f"round {number + 1:2}, tok/s told / served: {told}", flush=True)
    return figures


def _kit(options: argparse.Namespace, folder: Path) -> dict[str, Figure]:
    """Return the figures of one measured pass and of the streaming pass; of agents of the first."""
    command = [KIT, "bench", "--endpoint", options.url, "--passes", "1", "--quiet"]
    bound = ["--max-tokens", str(options.tokens), "-o", folder]
    phases = {"kit, whole": "measured", "kit, streamed": "stream"}
    if options.agents is not None:
        bound += ["--suite", "swarm", "--agents", str(options.agents)]
        phases = {"kit": "measured"}
    agents = options.agents or 1
    subprocess.run([*command, *bound], check=True, stdout=subprocess.DEVNULL)
    data = next(folder.glob("*/data"))
    lines = (data / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return {
        name: Figure(
            told=agents * _rate(records, phase), served=agents * _served(data / "metrics", phase)
        )
        for name, phase in phases.items()
    }


def _rate(records: Iterable[Mapping[str, Any]], phase: str) -> float:
    chosen = [record for record in records if record["phase"] == phase]
    tokens = sum(record["completion_tokens"] for record in chosen)
    return float(tokens / sum(record["wall_s"] for record in chosen))


def _served(metrics: Path, phase: str) -> float:
    before, after = (
        bag.inflate((metrics / f"{phase}-1-{moment}.prom.gz").read_bytes())
        for moment in ("before", "after")
    )
    return _served_between(before, after)


def _served_between(before: bytes, after: bytes) -> float:
    names = (GENERATION_TOKENS, E2E_LATENCY_SUM)
    old, new = vllm_metrics.totals(before, names), vllm_metrics.totals(after, names)
    return (new[GENERATION_TOKENS] - old[GENERATION_TOKENS]) / (
        new[E2E_LATENCY_SUM] - old[E2E_LATENCY_SUM]
    )


def _vllm_bench(options: argparse.Namespace, scratch: Path) -> Figure:
    """Return the output throughput of one run of `vllm bench serve`."""
    agents = options.agents or 1
    sampling = PUBLISHED_SAMPLING
    command = [
        VLLM, "bench", "serve",
        "--backend=openai-chat", "--endpoint=/v1/chat/completions", f"--base-url={options.url}",
        f"--model={options.model}", f"--served-model-name={options.model}",
        f"--tokenizer={options.tokenizer}",
        "--dataset-name=sharegpt", f"--dataset-path={scratch / 'prompts.json'}",
        "--disable-shuffle", f"--num-prompts={len(_prompts(options))}",
        f"--sharegpt-output-len={options.tokens}", f"--max-concurrency={agents}",
        "--percentile-metrics=e2el",
        f"--temperature={sampling.temperature}", f"--top-p={sampling.top_p}",
        f"--top-k={sampling.top_k}", f"--repetition-penalty={sampling.repetition_penalty}",
        "--ready-check-timeout-sec=0",  # else it sends a request that it does not count
        "--disable-tqdm", "--save-result", f"--result-dir={scratch}",
        "--result-filename=vllm.json",
    ]  # fmt: skip
    before = _metrics(options.url)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"vllm bench serve failed:\n{done.stderr[-2000:]}")
    result = json.loads((scratch / "vllm.json").read_text())
    told = float(result["output_throughput"])
    if options.agents is not None:
        seconds = result["mean_e2el_ms"] / 1e3 * result["completed"]
        told = agents * result["total_output_tokens"] / seconds
    return Figure(told=told, served=agents * _served_between(before, _metrics(options.url)))


def _metrics(url: str) -> bytes:
    return requests.get(f"{url}/metrics", timeout=30).content


def _prompts(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the suite's prompts as one message each: this peer sends no system message."""
    suite = checkout.suite("single" if options.agents is None else "swarm")
    sent = suite.prompts if options.agents is None else suite.prompts[: len(suite.prompts) // 2]
    return tuple(f"{suite.system}\n\n{prompt.text}" for prompt in sent)


def _write_prompts(options: argparse.Namespace, path: Path) -> None:
    """Write ShareGPT's form, which `vllm bench serve` reads without pandas."""
    turns = [[{"value": text}, {"value": "any"}] for text in _prompts(options)]
    path.write_text(json.dumps([{"conversations": pair} for pair in turns]))


def _mean(ratios: Sequence[float]) -> str:
    logarithms = [math.log(ratio) for ratio in ratios]
    half = student_t_quantile(len(ratios) - 1) * stdev(logarithms) / math.sqrt(len(ratios))
    centre = fmean(logarithms)
    low, middle, high = (math.exp(value) for value in (centre - half, centre, centre + half))
    return f"{middle:.4f} ({low:.4f} to {high:.4f}) of {len(ratios)} rounds"


def _rounds(text: str) -> int:
    rounds = int(text)
    if rounds < ROUNDS_AT_LEAST:
        raise argparse.ArgumentTypeError(f"an interval takes {ROUNDS_AT_LEAST} rounds or more")
    return rounds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="a vLLM server that already runs")
    parser.add_argument("--model", default="moe-mini", help="its served name")
    parser.add_argument("--tokenizer", default=str(checkout.STATE / "models" / "moe-mini"))
    parser.add_argument("--tokens", type=int, default=128, help="of each response")
    parser.add_argument("--agents", type=int, help="so many at once, of up to 8")
    parser.add_argument("--rounds", type=_rounds, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
