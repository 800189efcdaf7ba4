"""Ctrl-C and the signals that end a process: never lost, and deferred while a bundle is written."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
_AGAIN_S = 0.01


def handle() -> None:
    """Make SIGTERM and SIGHUP raise `KeyboardInterrupt`, as Ctrl-C does, and let none be lost.

    Python drops an exception that is raised in the callback of a weak reference or in a finalizer
    ("Exception ignored in"): an interrupt that was dropped so is raised again. Signals ignored at
    the process's start stay ignored, as `nohup` needs it.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _on_unraisable


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer signals until the block has ended.

    The first deferred signal is then raised, unless the block raised an error.
    """
    if threading.current_thread() is not threading.main_thread():  # which gets no signals
        yield
        return
    deferred: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        deferred.append(number)

    before = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if deferred and sys.exception() is None:
        signal.raise_signal(deferred[0])


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _on_unraisable(dropped: "sys.UnraisableHookArgs") -> None:
    if isinstance(dropped.exc_value, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)  # the callback has returned by then
    else:
        sys.__unraisablehook__(dropped)
