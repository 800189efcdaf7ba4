"""A matrix of cells on this machine: which there are, how long each takes, a cool start."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kit.bundle.document import Status
from kit.edge.cells import CellChoices, PlannedCell, planned_cells
from kit.edge.files import checkout
from kit.edge.host import machine, nvml
from kit.edge.verify_paths import verify_paths
from kit.errors import MachineError
from kit.plan.plan import Cell
from kit.plan.topology import Device
from kit.run import readiness

COOLER_C = 5
"""Above the temperature of the first cell's start, at which the next ones may start."""

LONGEST_COOLING_S = 300.0
LOOK_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixChoices:
    """Which cells; nothing named is everything that this machine has. `common` has the rest."""

    topologies: tuple[str, ...]
    suites: tuple[str, ...]
    common: CellChoices


def matrix_cells(choices: MatrixChoices) -> dict[Cell, tuple[PlannedCell, CellChoices]]:
    """Return every cell with the choices that it was planned from.

    Raises `UsageError` for what does not exist, `MachineError` where nothing can run here.
    """
    topologies = choices.topologies or _ready_topologies()
    found: dict[Cell, tuple[PlannedCell, CellChoices]] = {}
    for topology in topologies:
        for suite in choices.suites:
            agents = choices.common.agents if suite != "single" else ()
            one = replace(choices.common, topology=topology, suite=suite, agents=agents)
            for cell in planned_cells(one):
                found[cell.plan.cell] = cell, one
    return found


def _ready_topologies() -> tuple[str, ...]:
    """Return the topologies of this machine: those on GPUs where there are any, else on CPU."""
    names = [path.stem for path in checkout.compose_files()]
    topologies = {name: checkout.topology(name) for name in names}
    shapes = checkout.yardsticks().shapes
    cells = readiness.examine(machine.look(), topologies, shapes, machine.named_gpus())
    ready = dict.fromkeys(cell.topology for cell in cells if not cell.lacks)
    on_gpu = tuple(name for name in ready if topologies[name].device is Device.GPU)
    if not ready:
        raise MachineError("no topology can run here", "see what is lacking", "make doctor")
    return on_gpu or tuple(ready)


def measured_s(results: Path) -> dict[Cell, float]:
    """Return how long the last whole run of each cell took, from the bundles in a folder."""
    if not results.is_dir() or not any(results.iterdir()):
        return {}
    documents = [
        verified.evidence.document
        for verified in verify_paths([results])
        if verified.evidence is not None
    ]
    whole = [document for document in documents if document.status is Status.COMPLETE]
    in_order = sorted(whole, key=lambda document: document.clock.start_utc)
    return {document.plan.cell: document.clock.end_s for document in in_order}


def cool_down(idle_c: int | None, say: Callable[[str], None]) -> int | None:
    """Wait until the cards are nearly as cool as before the first cell; return that temperature."""
    now_c = hottest_c()
    if idle_c is None or now_c is None:
        return idle_c or now_c
    enough_c, start_s = idle_c + COOLER_C, time.monotonic()
    if now_c > enough_c:
        say(f"  the cards have {now_c} degrees: waiting for {enough_c}")
    while now_c is not None and now_c > enough_c:
        if time.monotonic() - start_s > LONGEST_COOLING_S:
            say(f"  still {now_c} degrees after {LONGEST_COOLING_S / 60:.0f} minutes: going on")
            break
        time.sleep(LOOK_S)
        now_c = hottest_c()
    return idle_c


def hottest_c() -> int | None:
    """Return the temperature of the hottest card; None where there is none, or none is told."""
    try:
        with nvml.opened() as driver:
            temperatures = [reading.temperature_c for reading in driver.readings()]
    except MachineError:
        return None
    return max((value for value in temperatures if value is not None), default=None)


def each_topology(
    cells: Sequence[tuple[PlannedCell, CellChoices]],
) -> Iterator[Sequence[PlannedCell]]:
    """Yield the cells of each topology together: they are made ready at once."""
    groups: dict[str, list[PlannedCell]] = {}
    for cell, _ in cells:
        groups.setdefault(cell.topology.id, []).append(cell)
    yield from groups.values()
