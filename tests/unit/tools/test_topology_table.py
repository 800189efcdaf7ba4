"""The README's tables of topologies are the ones that the Compose files make."""

import pytest
import yaml

from kit.edge.files import checkout
from kit.plan.topology import Topology
from kit.tools import topology_table
from tests.factory import ROOT


def shipped() -> list[Topology]:
    return [
        checkout.topology(name) for name in sorted(path.stem for path in checkout.compose_files())
    ]


class ComposeLoader(yaml.SafeLoader):
    """Bears Compose's own tags, `!reset` and `!override`: the limits have none."""


ComposeLoader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def limits() -> str:
    base = (ROOT / "compose" / "base.yaml").read_bytes()
    return topology_table.limits(yaml.load(base, ComposeLoader)["services"])


@pytest.mark.parametrize(
    "made",
    [
        topology_table.table(shipped()),
        topology_table.commands(shipped()),
        topology_table.environments(shipped()),
        limits(),
    ],
    ids=["topologies", "commands", "environments", "limits"],
)
def test_the_readme_has_the_tables_of_the_compose_files(made: str) -> None:
    assert made in (ROOT / "README.md").read_text()


def test_a_row_says_devices_transport_and_limits() -> None:
    (row,) = [line for line in topology_table.table(shipped()).splitlines() if "`tp2-pcie`" in line]
    assert row == (
        "| `tp2-pcie` | GPU 0 and 1 | shared memory of the host | `NCCL_P2P_DISABLE=1` "
        "| moe 131072, dense 32768, moe-fp8 131072 |"
    )


def test_a_variable_of_one_topology_is_not_said_of_all() -> None:
    rows = topology_table.environments(shipped()).splitlines()
    assert "| `NCCL_SHM_DISABLE=1` | `tp2-socket` |" in rows
    assert "| `NCCL_DEBUG=INFO` | all on GPU |" in rows
    assert "| `DO_NOT_TRACK=1` | all |" in rows


def test_only_an_engine_with_gpus_may_lock_memory() -> None:
    locked = {line.split(" | ")[0].strip("| `"): line for line in limits().splitlines()[2:]}
    assert locked["gpu-engine"].endswith("| no limit |")
    assert {name for name in locked if "no limit" in locked[name]} == {"gpu-engine"}
