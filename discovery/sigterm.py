"""SIGTERM, with which service managers end a process, and by which Python ends without running any exit handler.

While a registry that registers something runs, our handler leaves and then ends the process as the signal would have.
It is set when such a registry is started in the main thread, only if the signal has its default disposition, and taken
back when the last one stops. It takes no lock, because the code that it interrupts may hold any: it has the event loops
of the drivers do the leaving, and waits two seconds at most. A second SIGTERM ends the process at once.

An application's own handler keeps its say, and ends the process its own way: by `sys.exit`, after which the registry
leaves at exit, or by calling `pydoudou.shutdown()`. uvicorn is the exception: it raises the signal again after its own
shutdown, with Python's disposition restored. So its handler is called by one of ours, which has the registry leave.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Protocol

__all__ = ["Leaving", "forget", "forked", "watch"]

logger = logging.getLogger(__name__)

_WITHIN = 2.0
_RAISE_AGAIN = ("uvicorn",)
"""Servers whose handler is followed by the signal itself."""


class Leaving(Protocol):
    """What runs, and can be told to leave without a lock and without waiting."""

    def leave_soon(self) -> None:
        """Tell the others that this process goes, and serve on."""

    def stop_soon(self) -> None:
        """Leave, and end."""

    def wait_until_over(self, timeout: float) -> bool:
        """Wait for the end, without a lock that anybody else acquires."""


_running: dict[Leaving, None] = {}


def watch(run: Leaving) -> None:
    """Have `run` leave when SIGTERM comes. Does nothing but in the main thread, which is the only one that may."""
    if threading.current_thread() is not threading.main_thread():
        logger.debug("not started in the main thread: SIGTERM is left as it is")
        return
    _running[run] = None
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _leave_and_end)
    elif callable(before) and before is not _leave_and_end and not isinstance(before, _Chained):
        _respect(before)


def _respect(handler: Callable[[int, FrameType | None], Any]) -> None:
    module = getattr(handler, "__module__", "") or ""
    if module.partition(".")[0] in _RAISE_AGAIN:
        signal.signal(signal.SIGTERM, _Chained(handler))
        return
    logger.info(
        "SIGTERM has a handler already (%s.%s): unless it ends the process by sys.exit(), call pydoudou.shutdown() in "
        "it, or nobody is told that this process goes",
        module,
        getattr(handler, "__qualname__", repr(handler)),
    )


def forget(run: Leaving) -> None:
    """`run` has ended. The handler is taken back when it was the last one, in the main thread."""
    _running.pop(run, None)
    if _running or threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGTERM)
    if handler is _leave_and_end:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    elif isinstance(handler, _Chained):
        signal.signal(signal.SIGTERM, handler.handler)


def forked() -> None:
    """In a child process nothing runs."""
    _running.clear()


class _Chained:
    """Has everything leave, and calls the handler that was there."""

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        for run in tuple(_running):
            run.leave_soon()
        return self.handler(number, frame)


def _leave_and_end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    _leave(tuple(_running))
    if os.getpid() == 1:
        os._exit(128 + number)  # the kernel ignores the default disposition of the first process of a container
    os.kill(os.getpid(), number)


def _leave(runs: Iterable[Leaving]) -> None:
    deadline = time.monotonic() + _WITHIN
    for run in runs:
        run.stop_soon()
    for run in runs:
        run.wait_until_over(max(0.0, deadline - time.monotonic()))
