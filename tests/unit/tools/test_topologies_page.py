"""`docs/topologies.md` is generated from the Compose files."""

from kit.tools import topologies_page, topology_table
from tests.factory import ROOT

TOPOLOGIES = topologies_page.topologies()
SERVICES = topologies_page.base_services()


def test_the_page_is_the_one_that_the_compose_files_make() -> None:
    page = (ROOT / "docs" / "topologies.md").read_text(encoding="utf-8")
    assert page == topologies_page.page(TOPOLOGIES, SERVICES), "make pages"


def test_a_row_says_devices_transport_and_limits() -> None:
    rows = topology_table.table(TOPOLOGIES).splitlines()
    (row,) = [row for row in rows if "`tp2-pcie`" in row]
    assert row == (
        "| `tp2-pcie` | GPU 0 and 1 | host shared memory | `NCCL_P2P_DISABLE=1` "
        "| moe 131072, dense 32768, moe-fp8 131072 |"
    )


def test_a_variable_of_one_topology_is_not_said_of_all() -> None:
    rows = topology_table.environments(TOPOLOGIES).splitlines()
    assert "| `NCCL_SHM_DISABLE=1` | `tp2-socket` |" in rows
    assert "| `NCCL_DEBUG=INFO` | all on GPU |" in rows
    assert "| `DO_NOT_TRACK=1` | all |" in rows


def test_only_an_engine_with_gpus_may_lock_memory() -> None:
    rows = topology_table.limits(SERVICES).splitlines()[2:]
    locked = {line.split(" | ")[0].strip("| `"): line for line in rows}
    assert locked["gpu-engine"].endswith("| no limit |")
    assert {name for name in locked if "no limit" in locked[name]} == {"gpu-engine"}
