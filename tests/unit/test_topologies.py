"""The README's table of topologies is the one that the Compose files make."""

from kit import topologies
from kit.edge import checkout
from tests.factory import ROOT


def shipped() -> str:
    names = sorted(path.stem for path in checkout.compose_files())
    return topologies.table([checkout.topology(name) for name in names])


def test_the_readme_has_the_table_of_the_compose_files() -> None:
    assert shipped() in (ROOT / "README.md").read_text()


def test_a_row_says_devices_transport_and_limits() -> None:
    (row,) = [line for line in shipped().splitlines() if "`tp2-pcie`" in line]
    assert row == (
        "| `tp2-pcie` | GPU 0 and 1 | shared memory of the host | `NCCL_P2P_DISABLE=1` "
        "| moe 131072, dense 32768, moe-fp8 131072 |"
    )
