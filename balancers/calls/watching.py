"""Who watches the attempts at HTTP calls, for traces: nobody, unless a program asks for it.

Metrics need less, and hear it from the registry's observers. A watcher is told of an attempt before it is sent, so that
the request can carry what ties it to the trace, and when it has ended, by the thread or task that makes the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...discovery.configuration import changes
from ..memory.pick import Pick, Watched

if TYPE_CHECKING:
    from .call import Call

__all__ = ["Watcher", "watch", "watched"]


Watcher = Callable[["Call", Pick], Watched | None]
"""Is told of an attempt that begins; None if it does not watch that one, or those that follow it."""

watcher: Watcher | None = None
"""Who watches; None: nobody."""


def watch(by: Watcher | None) -> None:
    """Have `by` told of every attempt of this process at an HTTP call; None: nobody."""
    global watcher
    watcher = by
    changes.changed()


def watched(call: Call, attempt: Pick) -> Watched | None:
    """Tell of an attempt that begins."""
    return None if watcher is None else watcher(call, attempt)
