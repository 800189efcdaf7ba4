"""What the simulated runs are made of: a suite, models and engines, with the kit's own GPU data.

GPU models have their real shapes, and the short responses of a twin.
"""

import dataclasses
from pathlib import Path

from msgspec.structs import replace

from kit.check.evidence import Catalog
from kit.edge.files import checkout
from kit.parse import detokenizer
from kit.plan.models import Twin, parse_models
from kit.plan.plan import Engine
from kit.plan.suite import Prompt, Suite, SuiteMode
from kit.plan.topology import Device, Transport
from kit.roofline.gpus import parse_gpus

ROOT = Path(__file__).resolve().parents[1]

SUITE = Suite(
    id="small",
    mode=SuiteMode.SERIAL,
    max_tokens=4096,
    system="Answer at once.",
    prompts=(
        Prompt(id="impl", text="Write a stack."),
        Prompt(id="debug", text="Mend this stack: ünïcödé."),
        Prompt(id="test", text="Test a stack."),
    ),
)

SWARM = Suite(
    id="agents",
    mode=SuiteMode.CONCURRENT,
    max_tokens=8192,
    system=SUITE.system,
    prompts=tuple(Prompt(id=f"task-{number}", text=f"Task {number}.") for number in range(64)),
)

TOKENIZER_SHA256 = "7e" * 32
TEXTS = [
    SUITE.system,
    *(prompt.text for suite in (SUITE, SWARM) for prompt in suite.prompts),
]
TEXT_IDS = {text: 1000 + number for number, text in enumerate(TEXTS)}
"""One token id for the whole of each text that a request contains."""

END_OF_TURN, END_OF_TEXT = 1100, 1101
SPECIALS = {END_OF_TURN: "<|im_end|>", END_OF_TEXT: "<|endoftext|>"}
PIECES = {
    **{number: f" {number}".encode() for number in range(1000)},
    **{number: text.encode() for text, number in TEXT_IDS.items()},
    1102: b" \xe2\x80",
}
"""Ids below 1000 are spelled as numbers; the last piece ends in the middle of a character."""
TOKENIZER = detokenizer.of_vocabulary(PIECES, SPECIALS)

TWIN = Twin(
    id="tiny",
    twin_of="moe",
    seed=1,
    max_tokens=8,
    sha256="ab" * 32,
    config={},
    files={"tokenizer.json": TOKENIZER_SHA256},
)
SHAPES = {
    name: model.config
    for name, model in parse_models((ROOT / "docker/models.toml").read_bytes(), "").items()
}
MODELS = {
    name: dataclasses.replace(TWIN, id=name, config=SHAPES.get(name, {}))
    for name in ("tiny", "moe", "dense", "moe-fp8")
}

TRANSPORTS = {
    "tp1": Transport.NONE,
    "tp2-nvlink": Transport.NVLINK,
    "tp2-pcie": Transport.SHARED_MEMORY,
    "tp2-socket": Transport.SOCKET,
}
"""The transport that each GPU topology promises."""

NCCL_ENVIRONMENTS = {
    Transport.SHARED_MEMORY: {"NCCL_P2P_DISABLE": "1"},
    Transport.SOCKET: {"NCCL_NET": "Socket", "NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"},
}

CONTEXT_LIMITS = {("dense", 1): 8192}
"""By model and ranks, where a card has not enough memory for 32,768 tokens beside the weights."""


def options_of(engine: Engine) -> dict[str, str]:
    """Return the options of a server command by name; a flag's value is empty, or "False"."""
    words = (word.removeprefix("--") for word in engine.command if word.startswith("--"))
    options = {}
    for name, _, value in (word.partition("=") for word in words):
        known = name.replace("-", "_")
        options[known.removeprefix("no_")] = "False" if known.startswith("no_") else value
    return options


def gpu_engine(model: str, transport: Transport) -> Engine:
    """Return the engine of a GPU topology, as its Compose file describes it."""
    ranks = 1 if transport is Transport.NONE else 2
    environment = {"NCCL_DEBUG": "INFO", **NCCL_ENVIRONMENTS.get(transport, {})}
    return Engine(
        device=Device.GPU,
        tensor_parallel_size=ranks,
        transport=transport,
        command=(
            "vllm",
            "serve",
            f"/models/{model}",
            f"--served-model-name={model}",
            "--host=0.0.0.0",
            "--port=8000",
            f"--tensor-parallel-size={ranks}",
            f"--max-model-len={CONTEXT_LIMITS.get((model, ranks), 32_768)}",
            "--max-num-seqs=4",
            "${KIT_EAGER:---no-enforce-eager}",
            "${KIT_PREFIX_CACHING:---enable-prefix-caching}",
            "--gpu-memory-utilization=0.92",
            "--enable-chunked-prefill",
            "--disable-custom-all-reduce",
        ),
        environment=tuple(sorted(environment.items())),
    )


ENGINE = Engine(
    device=Device.CPU,
    tensor_parallel_size=1,
    transport=Transport.NONE,
    command=(
        "vllm",
        "serve",
        "/models/tiny",
        "--max-model-len=64",
        "${KIT_PREFIX_CACHING:---enable-prefix-caching}",
        "--disable-custom-all-reduce",
    ),
    environment=(("VLLM_CPU_OMP_THREADS_BIND", "0"),),
)
ENGINES = {
    ("cpu-tp1", TWIN.id): ENGINE,
    ("cpu-tp2", TWIN.id): replace(
        ENGINE,
        tensor_parallel_size=2,
        transport=Transport.GLOO,
        environment=(("VLLM_CPU_OMP_THREADS_BIND", "0|1"),),
    ),
    **{
        (topology, model): gpu_engine(model, transport)
        for topology, transport in TRANSPORTS.items()
        for model in MODELS
    },
}

BASE_IMAGE = checkout.base_image()
GPUS = parse_gpus((ROOT / "docker/gpus.toml").read_bytes(), "")
CATALOG = Catalog(
    suites={SUITE.id: SUITE, SWARM.id: SWARM},
    models=MODELS,
    engines=ENGINES,
    gpus=GPUS,
    tokenizers={TOKENIZER_SHA256: TOKENIZER},
    base_image=BASE_IMAGE,
)
