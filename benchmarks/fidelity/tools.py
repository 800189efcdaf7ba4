"""The clients that are compared: how each is started, and where it says what it measured."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.edge.files import checkout
from kit.edge.null_server import MODEL

PYTHON = checkout.STATE / "dev" / "bin" / "python"
VLLM = checkout.ENGINE / "bin" / "vllm"
TOKENIZER = checkout.STATE / "models" / "moe-mini"


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What a client is asked to send."""

    url: str
    streams: int
    requests: int
    tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a client says that it measured: tok/s of the whole run, and medians in seconds."""

    tokens_per_s: float
    ttft_s: float
    inter_token_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """A client; `command` may write into a folder, from which `told` reads, or print."""

    name: str
    command: Callable[[Load, Path], list[str]]
    told: Callable[[str, Path], Told]
    environment: Mapping[str, str]


def kit() -> Tool:
    """Return the kit's own client."""
    return Tool(
        name="kit",
        command=lambda load, _: [
            str(PYTHON), "-m", "benchmarks.fidelity.kit_client",
            load.url, str(load.streams), str(load.requests),
        ],
        told=lambda printed, _: Told(**json.loads(printed)),
        environment={},
    )  # fmt: skip


def vllm_bench() -> Tool:
    """Return `vllm bench serve` of the CPU engine's environment."""
    return Tool(
        name="vllm bench serve",
        command=lambda load, folder: [
            str(VLLM), "bench", "serve", "--backend=openai-chat",
            "--endpoint=/v1/chat/completions", f"--base-url={load.url}", f"--model={MODEL}",
            f"--tokenizer={TOKENIZER}", "--dataset-name=random", "--random-input-len=16",
            f"--random-output-len={load.tokens}", f"--num-prompts={load.requests}",
            f"--max-concurrency={load.streams}", "--ready-check-timeout-sec=0", "--disable-tqdm",
            "--save-result", f"--result-dir={folder}", "--result-filename=told.json",
        ],
        told=_vllm_told,
        environment={},
    )  # fmt: skip


def aiperf(executable: Path) -> Tool:
    """Return AIPerf, installed elsewhere."""
    return Tool(
        name="AIPerf",
        command=lambda load, folder: [
            str(executable), "profile", f"--model={MODEL}", f"--url={load.url}",
            "--endpoint-type=chat", "--streaming", f"--concurrency={load.streams}",
            f"--request-count={load.requests}", f"--tokenizer={TOKENIZER}", "--ui-type=none",
            f"--output-artifact-dir={folder}", "--prompt-input-tokens-mean=16",
            f"--prompt-output-tokens-mean={load.tokens}", "--no-server-metrics",
            "--no-gpu-telemetry", "--use-server-token-count",
        ],
        told=_aiperf_told,
        environment={},
    )  # fmt: skip


def guidellm(executable: Path) -> Tool:
    """Return GuideLLM, installed elsewhere."""
    return Tool(
        name="GuideLLM",
        command=lambda load, folder: [
            str(executable), "run", "--disable-console",
            f"--backend=kind=openai_http,target={load.url},model={MODEL}",
            f"--profile=kind=concurrent,streams={load.streams}",
            f"--constraint=kind=max_requests,count={load.requests}",
            f"--tokenizer=kind=huggingface_auto,model={TOKENIZER}",
            f"--data=kind=synthetic_text,prompt_tokens=16,output_tokens={load.tokens}",
            f"--output=kind=json,path={folder / 'told.json'}",
        ],
        told=_guidellm_told,
        environment={"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


def _vllm_told(_: str, folder: Path) -> Told:
    found = json.loads((folder / "told.json").read_text())
    return Told(
        tokens_per_s=found["output_throughput"],
        ttft_s=found["median_ttft_ms"] / 1e3,
        inter_token_s=found["median_itl_ms"] / 1e3,
    )


def _aiperf_told(_: str, folder: Path) -> Told:
    found = json.loads((folder / "profile_export_aiperf.json").read_text())
    return Told(
        tokens_per_s=found["output_token_throughput"]["avg"],
        ttft_s=found["time_to_first_token"]["p50"] / 1e3,
        inter_token_s=found["inter_token_latency"]["p50"] / 1e3,
    )


def _guidellm_told(_: str, folder: Path) -> Told:
    (benchmark,) = json.loads((folder / "told.json").read_text())["benchmarks"]
    found = benchmark["metrics"]
    return Told(
        tokens_per_s=found["output_tokens_per_second"]["successful"]["mean"],
        ttft_s=found["time_to_first_token_ms"]["successful"]["median"] / 1e3,
        inter_token_s=found["inter_token_latency_ms"]["successful"]["median"] / 1e3,
    )
