"""One piece of work done to many things by a few processes: results in order, few at a time."""

import ctypes
import gc
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
"""Things handed to a process at a time: what that costs is then small beside the work."""

AHEAD = 3
"""Batches a process that are under way or wait to be taken, so that memory stays flat."""

ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000
"""What is read holds no cycles, so that looking for them 140 times as often finds nothing."""

KEPT_BYTES = 16 * 2**20
"""Freed memory that a process keeps for the next thing: to get it anew takes a twentieth of the
time of a large bundle."""

_PR_SET_PDEATHSIG = 1  # prctl(2)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)

_work: list[Callable[[Any], Any]] = []
"""In a process of the pool: what it does."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(work: Callable[[T], R], things: Iterable[T], processes: int) -> Iterator[R]:
    """Yield `work(thing)` for each thing, in order; with one process, in this one.

    The processes are forked, and so have what `work` holds; results are pickled. Raises
    `MachineError` where one of them is ended from outside, as by a kernel that is out of memory.
    """
    if processes == 1:
        yield from map(work, things)
        return
    # Imported here: for one bundle this would take longer than its check.
    import multiprocessing  # noqa: PLC0415
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor  # noqa: PLC0415

    executor = ProcessPoolExecutor(
        processes, multiprocessing.get_context("fork"), initializer=_begin, initargs=(work,)
    )
    try:
        yield from _results(executor, iter(things), processes * AHEAD)
    except BrokenProcessPool as error:
        raise MachineError(
            "a process of the kit was ended from outside",
            "most likely there is not enough memory",
            "free -h, then the same with --jobs 1",
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _results(executor: "Executor", things: Iterator[T], ahead: int) -> Iterator[Any]:
    waiting: deque[Future[list[Any]]] = deque()
    while batch := list(islice(things, BATCH)):
        waiting.append(executor.submit(_do, batch))
        if len(waiting) == ahead:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _begin(work: Callable[[Any], Any]) -> None:
    """Prepare a process of the pool: it ends with its parent, whatever ends that."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if hasattr(libc, "mallopt"):  # glibc's
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    _work[:] = [work]


def _do(batch: Sequence[Any]) -> list[Any]:
    (work,) = _work
    return [work(thing) for thing in batch]
