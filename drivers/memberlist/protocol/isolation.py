"""Is it the others who are gone, or is it us who are cut off? From inside the two look alike.

A node whose network fails loses everybody, one after the other as it comes to probe them; what it would report then
is that no service has any member left. So losing *two or more* others, and thereby the last, *without an answer from
anybody in between* counts as our own trouble. An answer is an ack to a ping of ours, or an exchange of states: both
ways work. One lost out of one may be either; it is taken for a failure, as in any other cluster.

Because an answer ends the count, those who died one after the other, long ago or just now, are not counted together:
while the second still answered, the first was lost by itself. And a node that says that it leaves has been heard: the
count ends as well, so that a leave is never held back.
"""

from __future__ import annotations

from .messages import State
from .node_list import Roster

__all__ = ["Isolation"]

_AT_ONCE = 2
_REMEMBERED = 1024
"""More names make no difference."""


class Isolation:
    """Counts whom we have lost since anybody answered."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._lost: set[str] = set()

    @property
    def cut_off(self) -> bool:
        """Whether we take ourselves for cut off. We are one of those alive, until we leave."""
        return len(self._lost) >= _AT_ONCE and self._roster.count(State.ALIVE) <= 1

    def lost(self, name: str) -> None:
        """A node that was alive so far is suspected or dead."""
        if len(self._lost) < _REMEMBERED:
            self._lost.add(name)

    def found(self, name: str) -> None:
        """A node is alive again."""
        self._lost.discard(name)

    def answered(self) -> None:
        """Somebody has answered us, or was heard to leave."""
        self._lost.clear()
