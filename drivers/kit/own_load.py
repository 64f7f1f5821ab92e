"""How much more this process can take, as those say that serve its requests.

Of the whole process and not of one registry, as the load of a machine's processors is. A driver that tells others how
much a member can take asks here; nobody has to say anything.
"""

from __future__ import annotations

import threading
from typing import Protocol
from weakref import WeakSet

__all__ = ["LoadSource", "add_source", "headroom", "is_told"]


class LoadSource(Protocol):
    """Something that serves requests, and knows how many more it could."""

    def headroom(self) -> float:
        """The share of what it can take that is free, 0 to 1. Called by any thread: quick, without raising."""


_sources: WeakSet[LoadSource] = WeakSet()
_lock = threading.Lock()


def add_source(source: LoadSource) -> None:
    """Ask `source` too, for as long as somebody else holds it."""
    with _lock:
        _sources.add(source)


def is_told() -> bool:
    """Whether there is any source."""
    return bool(_sources)


def headroom() -> float:
    """The free share of whichever source has least; 1 without any."""
    with _lock:
        sources = tuple(_sources)
    return min((source.headroom() for source in sources), default=1.0)
