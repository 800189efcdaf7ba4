"""Generates `docs/topologies.md`: its text, with tables from the Compose files.

python -m kit.tools.topologies_page > docs/topologies.md
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kit.edge.files import checkout
from kit.plan.topology import Topology
from kit.tools import topology_table

_TEXT = """\
# Topologies

A topology says which devices serve a model and which transport connects the tensor-parallel ranks.
Each topology is one Compose file in `compose/`. The kit reads devices, commands and environment
from these files and repeats none of them in code. `make pages` generates this page from them.

{topologies}
- `cpu-tp1` is the default, on machines with a GPU too. The CPU topologies run vLLM's CPU build,
  as a process or in containers. GPU topologies run in containers only.
- `tp2-nvlink` needs an NVLink bridge between the two GPUs.
- `tp2-pcie` sets the variable that the article set for "PCIe only". NCCL then copies through the
  host's shared memory.
- `tp2-socket` sets the variables of an earlier run by the article's author, who called that PCIe
  too.
- `moe-fp8` has 31 GB of weights: two GPUs of 24 GB, or one of 40 GB. One claim is about it.
- All topologies pass `--disable-custom-all-reduce`. vLLM's custom all-reduce uses NVLink through
  CUDA IPC whatever NCCL's variables say, so with it two transports cannot be compared.

The verifier does not trust the name of a topology. It reads the transport of each channel from
NCCL's log, and fails a bundle whose log shows another one.

## Choose topology, model and GPUs

    make plan TOPOLOGY=tp2-pcie MODEL=moe       # shows the run and starts nothing
    make bench TOPOLOGY=tp2-pcie MODEL=moe
    KIT_GPU_0=2 KIT_GPU_1=3 make bench TOPOLOGY=tp2-pcie

Without `MODEL`, `moe` and `dense` are measured, one after another; on CPU their twins.

| Variable | Default | Sets |
| --- | --- | --- |
| `KIT_GPU_0`, `KIT_GPU_1` | GPUs that fit | GPUs to use: an index of `nvidia-smi`, or a UUID |
| `KIT_ENGINE_MEMORY` | `48g` | memory limit of the engine's container |

On CPU the kit binds each rank to one core: the first ones that its own process may use.

## Run a Compose file by hand

The files work without the kit, once `make images` has built the images:

    KIT_UID=$(id -u) KIT_GID=$(id -g) docker compose -f compose/cpu-tp1.yaml up \\
        --abort-on-container-exit

`compose/.env` selects `moe` or `moe-mini`; `--profile dense-mini` selects another model. The client
measures, writes a bundle to `results/local`, and ends, and the engine with it (without the option
it runs until Ctrl-C). `SUITE`,
`PASSES`, `PROTOCOL`, `CACHE` and `TIMEOUT_S` set the options of the run.

Such a bundle has no `host.json`, since no process on the host inspects the containers. It can be
valid but it is not reportable.

To send requests to an engine by hand, add a debug file. It publishes the engine on 127.0.0.1, port
8000 or `KIT_DEBUG_PORT`:

    docker compose -f compose/tp1.yaml -f compose/debug/gpu.yaml up moe
    docker compose -f compose/cpu-tp1.yaml -f compose/debug/cpu.yaml up moe-mini

Never measure with a debug file: another client could send requests during a pass.

## Engine commands

A model with the same options in several topologies has one row. Host, port and served model name
are left out.

{commands}
Sources: the article's text (chunked prefill, four sequences, memory, no custom all-reduce, tool
parser), and its author's scripts (context limits, float16 for the dense model). The kit adds
`--enable-prompt-tokens-details`, `--enable-auto-tool-choice` on GPUs, and `--block-size=32` on CPU.
`make plan` lists these and all other deviations from the article, each with its reason.

## Engine environment

{environments}
## Containers

{limits}
`engine` and `gpu-engine` serve. `client` and `gpu-client` send the requests and seal the bundle.
`telemetry` samples the GPUs: it has no network, and of the driver only the capability `utility`,
which reads sensors and runs no kernels. Every container has a read-only root, no capabilities, no
new privileges, and no route out of its network.
"""


class _ComposeLoader(yaml.SafeLoader):
    """Reads Compose's own tags, `!reset` and `!override`, as null: no limit has one."""


_ComposeLoader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def topologies() -> list[Topology]:
    """Return all topologies of the checkout, sorted by name."""
    return [
        checkout.topology(name) for name in sorted(path.stem for path in checkout.compose_files())
    ]


def base_services() -> Mapping[str, Any]:
    """Return the services of `compose/base.yaml`."""
    text = (checkout.ROOT / "compose" / "base.yaml").read_bytes()
    services: Mapping[str, Any] = yaml.load(text, _ComposeLoader)["services"]  # noqa: S506  # safe
    return services


def page(topologies: Sequence[Topology], services: Mapping[str, Any]) -> str:
    """Return the page in Markdown."""
    return _TEXT.format(
        topologies=topology_table.table(topologies),
        commands=topology_table.commands(topologies),
        environments=topology_table.environments(topologies),
        limits=topology_table.limits(services),
    )


if __name__ == "__main__":
    sys.stdout.write(page(topologies(), base_services()))
