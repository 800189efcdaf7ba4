"""Ctrl-C and its like: heard whatever Python does, held back where a step must be whole."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
_AGAIN_S = 0.01


def heed() -> None:
    """Let SIGTERM and SIGHUP end the process as Ctrl-C does, and let none of them be lost.

    Python drops an exception that is raised while it runs the callback of a weak reference or a
    finalizer ("Exception ignored in"): an interrupt that meets one is then raised again. What was
    ignored when the process began stays ignored: that is how `nohup` works.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _told_of_unraisable


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and its like back until the block has ended, so that it is done whole.

    One that came meanwhile then counts, unless an error is on its way already.
    """
    if threading.current_thread() is not threading.main_thread():  # signals do not come here
        yield
        return
    came: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if came and sys.exception() is None:
        signal.raise_signal(came[0])


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _told_of_unraisable(dropped: "sys.UnraisableHookArgs") -> None:
    if isinstance(dropped.exc_value, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)  # by then the callback has returned
    else:
        sys.__unraisablehook__(dropped)
