"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

import time
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kit.bundle.document import Status
from kit.bundle.record import Record
from kit.edge.session import RunObserver
from kit.plan.plan import Plan
from kit.plan.schedule import Phase


def observer(*, quiet: bool) -> RunObserver:
    """Return the observer for standard error; `rich` itself honours NO_COLOR."""
    console = stderr_console(quiet=quiet)
    return Bar(console) if console.is_terminal and not quiet else Lines(console)


def stderr_console(*, quiet: bool = False) -> Console:
    """Return a console that prints text as it is."""
    return Console(stderr=True, highlight=False, markup=False, quiet=quiet)


class Lines:
    """Prints a line for each step and each pass."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plan: Plan | None = None
        self._pass: list[Record] = []

    def starting(self, plan: Plan) -> None:
        self._plan = plan
        self._pass = []
        step = "measuring the endpoint" if plan.engine is None else "waiting for the engine"
        self._console.print(f"{plan.cell}: {step}", soft_wrap=True)

    def ready(self, seconds: float) -> None:
        if self._plan is not None and self._plan.engine is not None:
            self._console.print(f"  ready after {seconds:.0f} s", soft_wrap=True)

    def answered(self, pieces: int) -> None:
        """Print nothing: a pass has a line of its own."""

    def recorded(self, record: Record) -> None:
        self._pass.append(record)
        if self._plan is not None and len(self._pass) == len(self._plan.prompts):
            self._console.print(f"  {_pass_line(self._pass)}", soft_wrap=True)
            self._pass = []

    def sealed(self, path: Path, status: Status) -> None:
        self._console.print(f"  {status.value} bundle: {path}", soft_wrap=True)

    def printed(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


class PassLines(Lines):
    """Prints passes only, in the client's container: the kit on the host prints the other steps."""

    def starting(self, plan: Plan) -> None:
        self._plan = plan

    def ready(self, seconds: float) -> None:  # noqa: ARG002  # Compose waited for the engine
        self._console.print("  the engine is ready", soft_wrap=True)

    def sealed(self, path: Path, status: Status) -> None:
        """Print nothing: the path is one inside the container."""


class Bar(Lines):
    """Prints the same lines above a bar that counts requests, with the time that is left.

    Of agents it also says how many requests are in flight, and the tok/s of the pass so far.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._pieces = 0
        self._pass_start_s = 0.0
        self._bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("waiting", total=None)

    def starting(self, plan: Plan) -> None:
        super().starting(plan)
        passes = plan.warmup_passes + plan.measured_passes + plan.stream_passes
        total = passes * len(plan.prompts) if plan.duration_s is None else None
        self._bar.reset(self._task, total=total, description="starting")
        self._bar.start()

    def ready(self, seconds: float) -> None:
        super().ready(seconds)
        self._pass_start_s = time.monotonic()
        self._bar.update(self._task, description="warm-up")

    def answered(self, pieces: int) -> None:
        agents = 0 if self._plan is None else self._plan.cell.agents
        self._pieces += pieces
        rate = self._pieces / max(1e-3, time.monotonic() - self._pass_start_s)
        told = f"{agents} in flight, about {rate:.0f} tok/s"
        self._bar.update(self._task, advance=1, description=told)

    def recorded(self, record: Record) -> None:
        super().recorded(record)
        advance = 1 if record.agent is None else 0
        self._pieces, self._pass_start_s = 0, time.monotonic()
        self._bar.update(self._task, advance=advance, description=_name(record))

    def sealed(self, path: Path, status: Status) -> None:
        self._bar.stop()
        super().sealed(path, status)


def _pass_line(records: list[Record]) -> str:
    tokens = sum(record.completion_tokens or 0 for record in records)
    seconds = sum(record.wall_s for record in records)
    if records[0].agent is not None:  # all together
        start_s = min(record.sent_s for record in records)
        seconds = max(record.sent_s + record.wall_s for record in records) - start_s
    rate = f"{tokens / seconds:7.1f} tok/s" if seconds > 0 else ""
    return f"{_name(records[0]):18}{tokens:6} tokens {seconds:7.1f} s {rate}"


def _name(record: Record) -> str:
    match record.phase:
        case Phase.WARMUP:
            return "warm-up"
        case Phase.MEASURED:
            return f"measured pass {record.pass_number}"
        case Phase.STREAM:
            return "streaming pass"
