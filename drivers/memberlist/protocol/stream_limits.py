"""Who may hold connections to us, how many, and how much memory all of them together.

Strangers can open connections too, and a stream says who writes it only when it is over. So one source gets so many
places, all sources together so many, and together they may hold so many bytes, counted as what they take in memory. The
last part of the places and of the bytes is kept for addresses of members: strangers who hold all of theirs do not
keep members apart. The streams that we dial ourselves have a room of their own.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .stream_exchange import StreamExchange

__all__ = ["MAX_HELD_BYTES", "MAX_STREAMS", "MAX_STREAMS_PER_SOURCE", "StreamLimits"]

MAX_STREAMS = 256
"""Each takes 13 KB as it is (a socket, a task, buffers), which is not counted in what they hold."""
MAX_STREAMS_PER_SOURCE = 64
MAX_HELD_BYTES = 64 * 1024 * 1024
"""What all accepted connections together may hold, and the dialled ones as much again. A push/pull of ten thousand
nodes holds about ten megabytes.
"""
_STRANGERS_PLACES, _STRANGERS_BYTES = 2 / 3, 1 / 3
"""Shares of these. What strangers hold in small parts leaves holes in the memory of a process when it is given back, so
they get no more than two large states at a time take.
"""


@attrs.define(eq=False, repr=False)
class _Place:
    """What one connection takes; `host` is None for one that we dialled."""

    host: str | None
    held_bytes: int = 0


class StreamLimits:
    """The places and the bytes of one node.

    Args:
        max_held_bytes: see `MAX_HELD_BYTES`.
        members: the hosts of the live members, asked only when strangers have had their share.
    """

    def __init__(self, members: Callable[[], Collection[str]], max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._members = members
        self._max_held_bytes = max_held_bytes
        self._places: dict[StreamExchange, _Place] = {}
        self._by_source: collections.Counter[str] = collections.Counter()
        self._accepted_bytes = 0
        self._dialled_bytes = 0

    @property
    def accepted(self) -> int:
        """How many accepted connections are open."""
        return self._by_source.total()

    @property
    def open(self) -> int:
        """How many connections are open, those that we dialled included."""
        return len(self._places)

    @property
    def held_bytes(self) -> int:
        """What all of them hold now."""
        return self._accepted_bytes + self._dialled_bytes

    def admit(self, exchange: StreamExchange, host: str) -> str:
        """Give a connection from `host` its place; returns why there is none, "" if there is."""
        accepted = self.accepted
        places = self._fits(host, accepted, MAX_STREAMS, _STRANGERS_PLACES)
        if self._by_source[host] >= MAX_STREAMS_PER_SOURCE or not places:
            return f"{accepted} are open"
        self._by_source[host] += 1
        self._places[exchange] = _Place(host)
        return ""

    def hold(self, exchange: StreamExchange, held_bytes: int) -> str:
        """Note how much a connection holds now; returns why that is too much, "" if it is not."""
        place = self._places.get(exchange)
        if place is None:
            if exchange.address is None:
                return ""  # it is over
            place = self._places[exchange] = _Place(None)
        more = held_bytes - place.held_bytes
        place.held_bytes = held_bytes
        if place.host is None:
            self._dialled_bytes += more
            used, fits = self._dialled_bytes, self._dialled_bytes < self._max_held_bytes
        else:
            self._accepted_bytes += more
            used = self._accepted_bytes
            fits = more <= 0 or self._fits(place.host, used, self._max_held_bytes, _STRANGERS_BYTES)
        return "" if fits else f"{used} bytes are being read"

    def release(self, exchange: StreamExchange) -> None:
        """The connection is over."""
        place = self._places.pop(exchange, None)
        if place is None:
            return
        if place.host is None:
            self._dialled_bytes -= place.held_bytes
            return
        self._accepted_bytes -= place.held_bytes
        self._by_source[place.host] -= 1
        if not self._by_source[place.host]:
            del self._by_source[place.host]

    def _fits(self, host: str, used: int, most: int, strangers_share: float) -> bool:
        """Whether `host` may have more, now that `used` of `most` is taken."""
        return used < most * strangers_share or (used < most and host in self._members())
