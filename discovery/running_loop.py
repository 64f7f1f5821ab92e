"""Whether the calling thread runs an event loop, and how another thread gets something done on it."""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["from_any_thread", "in_event_loop", "runs_here"]

_threads: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def runs_here(loop: Any) -> None:
    """Tell that our own event loop runs in the calling thread.

    With gevent's patches our thread is a greenlet beside those of the application, all of them in one thread of the
    system, where asyncio sees this loop run whichever greenlet asks.
    """
    _threads[loop] = threading.get_ident()


def in_event_loop() -> bool:
    """Whether the calling thread runs an event loop of asyncio or trio, which waiting would hold up.

    A greenlet of gevent counts as a thread without one: there only the greenlet waits.
    """
    if (asyncio := sys.modules.get("asyncio")) is not None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            return _threads.get(loop, threading.get_ident()) == threading.get_ident()
    if (lowlevel := sys.modules.get("trio.lowlevel")) is not None:
        try:
            lowlevel.current_trio_token()
        except RuntimeError:
            return False
        return True
    return False


def from_any_thread(action: Callable[[], object]) -> Callable[[], None]:
    """`action`, to be run by the running event loop whichever thread asks for it, without waiting for it.

    anyio's own way into a loop waits until the call was made, which a driver's thread must not.
    """
    from anyio.lowlevel import current_token

    token: Any = current_token()
    native = getattr(token, "native_token", token)
    soon = native.call_soon_threadsafe if hasattr(native, "call_soon_threadsafe") else native.run_sync_soon

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # that event loop is closed
            soon(action)

    return wake
