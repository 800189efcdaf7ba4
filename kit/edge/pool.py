"""Applies a function to many items in a few processes: results in order, memory flat."""

import ctypes
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from kit.errors import MachineError

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

T = TypeVar("T")
R = TypeVar("R")

BATCH = 16
"""Items sent to a process at a time, so that pickling costs little beside the work."""

AHEAD = 3
"""Batches for each process that are submitted and not yet consumed: a bound on memory."""

_PR_SET_PDEATHSIG = 1  # prctl(2)

_work: list[Callable[[Any], Any]] = []
"""The function, in a process of the pool."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(work: Callable[[T], R], items: Iterable[T], processes: int) -> Iterator[R]:
    """Yield `work(item)` for each item, in order; with one process, in the calling one.

    Processes are forked, and so inherit what `work` refers to; results are pickled. Raises
    `MachineError` where one of them is killed, as by the kernel when memory runs out.
    """
    if processes == 1:
        yield from map(work, items)
        return
    # Imported here: for one bundle this would take longer than its check.
    import multiprocessing  # noqa: PLC0415
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor  # noqa: PLC0415

    executor = ProcessPoolExecutor(
        processes, multiprocessing.get_context("fork"), initializer=_start, initargs=(work,)
    )
    try:
        yield from _results(executor, iter(items), processes * AHEAD)
    except BrokenProcessPool as error:
        raise MachineError(
            "a worker process of the kit was killed",
            "most likely memory ran out",
            "free -h, then the same command with --jobs 1",
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _results(executor: "Executor", items: Iterator[T], ahead: int) -> Iterator[Any]:
    submitted: deque[Future[list[Any]]] = deque()
    while batch := list(islice(items, BATCH)):
        submitted.append(executor.submit(_apply, batch))
        if len(submitted) == ahead:
            yield from submitted.popleft().result()
    while submitted:
        yield from submitted.popleft().result()


def _start(work: Callable[[Any], Any]) -> None:
    """Prepare a process of the pool: the kernel kills it when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _work[:] = [work]


def _apply(batch: Sequence[Any]) -> list[Any]:
    (work,) = _work
    return [work(item) for item in batch]
