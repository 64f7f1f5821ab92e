"""How much datagrams may make us work: a compressed one, or one full of messages, takes milliseconds.

A budget fills up with time and is used up by the bytes of such datagrams; what it does not cover is dropped, as a
network drops what is too much for it. Strangers have a small one, so that a node that works for them all it may goes on
answering its members; all together have a larger one, because a datagram's source can be forged. An honest cluster
gossips some hundred kilobytes a second to a node in its worst moments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

__all__ = ["ALL_BYTES_PER_SECOND", "STRANGERS_BYTES_PER_SECOND", "WorkBudget"]

ALL_BYTES_PER_SECOND = 1024 * 1024
STRANGERS_BYTES_PER_SECOND = 128 * 1024
"""128 KB keep a processor busy for 100 ms at the most."""
_SAVED_SECONDS = 2.0


class _Bucket:
    """Fills up with time, to what comes in in two seconds."""

    __slots__ = ("_at", "_left", "_per_second")

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._left = per_second * _SAVED_SECONDS
        self._at = now

    def take(self, size: int, now: float) -> bool:
        """Use up `size`; False if so much is not left."""
        saved = self._left + (now - self._at) * self._per_second
        self._left, self._at = min(saved, self._per_second * _SAVED_SECONDS), now
        if self._left < size:
            return False
        self._left -= size
        return True


class WorkBudget:
    """The budget of one node.

    Args:
        members: the hosts of the live members.
        now: the present moment.
    """

    def __init__(self, members: Callable[[], Collection[str]], now: float) -> None:
        self._members = members
        self._strangers = _Bucket(STRANGERS_BYTES_PER_SECOND, now)
        self._all = _Bucket(ALL_BYTES_PER_SECOND, now)

    def covers(self, host: str, size: int, now: float) -> bool:
        """Whether `size` bytes from `host` may make us work now; they are used up then."""
        if host not in self._members() and not self._strangers.take(size, now):
            return False
        return self._all.take(size, now)
