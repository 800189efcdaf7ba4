"""Work in several processes: in order, few at a time, and no process remains."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.edge import pool
from kit.errors import MachineError
from tests.factory import ROOT

SOME = 10 * pool.BATCH
GONE_WITHIN_S = 60

LINGERING = """
import os, sys, time
from pathlib import Path
from kit.edge import pool

def work(number):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(600)

list(pool.in_order(work, range(100), 2))
"""


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_results_come_in_the_order_of_the_things(processes: int) -> None:
    def slow_at_first(number: int) -> tuple[int, int]:
        time.sleep(0.1 if number == 0 else 0)
        return number, os.getpid()

    found = list(pool.in_order(slow_at_first, range(SOME), processes))
    assert [number for number, _ in found] == list(range(SOME))
    workers = {process for _, process in found}
    assert (os.getpid() in workers) == (processes == 1)
    assert len(workers) <= processes


def test_things_are_taken_as_results_are_wanted() -> None:
    taken = []

    def things() -> Iterator[int]:
        for number in range(100 * pool.BATCH):
            taken.append(number)
            yield number

    results = pool.in_order(str, things(), 2)
    assert [next(results) for _ in range(3)] == ["0", "1", "2"]
    assert len(taken) == 2 * pool.AHEAD * pool.BATCH
    results.close()  # type: ignore[attr-defined]  # a generator
    assert len(taken) == 2 * pool.AHEAD * pool.BATCH


def test_an_error_is_raised_where_its_result_would_be() -> None:
    results = pool.in_order(lambda number: 1 // (number - 20), range(SOME), 2)
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_a_process_that_is_ended_from_outside_is_the_machines_fault() -> None:
    def end(number: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(MachineError, match="was killed"):
        list(pool.in_order(end, range(SOME), 2))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_one_that_began_it(number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LINGERING, str(tmp_path)]
    with subprocess.Popen(command, env=environment) as began:
        _wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        began.send_signal(number)
    _wait_until(lambda: not any(_runs(worker) for worker in workers))


def _wait_until(condition: object) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while not condition():  # type: ignore[operator]  # a lambda
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # ended, and not yet asked about
