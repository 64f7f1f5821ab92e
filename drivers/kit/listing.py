"""From a full list to what changed: backends tell who is there, the registry wants to know who came, changed and went.

A list is complete: whoever was listed and is not any more is gone. With one exception. A server that was restarted
knows nobody at first, and its clients come back one after the other. So after `reconnected` a list says nothing about
those that it does not name until they were listed once on the new connection; `expire` ends the wait.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ..members import Member, MemberState

__all__ = ["Listing"]

_Key = tuple[tuple[str, str, int], str]


class Listing:
    """What one list said last. Every changing method returns what to report to the sink.

    Args:
        gone: how to report who is not listed any more: FAILED where the list does not tell why, LEFT where somebody
            took the member off it.
    """

    def __init__(self, gone: MemberState = MemberState.FAILED) -> None:
        self._gone = gone
        self._known: dict[_Key, Member] = {}
        self._confirmed: set[_Key] = set()

    def __len__(self) -> int:
        """How many members are known."""
        return len(self._known)

    @property
    def members(self) -> tuple[Member, ...]:
        """Who is known, as last listed."""
        return tuple(self._known.values())

    def listed(self, members: Iterable[Member], *, waits: bool = False) -> list[Member]:
        """Take in a new list.

        Args:
            waits: the server may not know everybody yet; see the head of the module.
        """
        present = {(member.key, member.node): member for member in members}
        changed = [member for key, member in present.items() if self._known.get(key) != member]
        absent = [key for key in self._known if key not in present and not (waits and key not in self._confirmed)]
        gone = self._take(absent, self._gone)
        self._known |= present
        self._confirmed = set(present)
        return gone + changed

    def reconnected(self) -> None:
        """A connection begins: nothing of what is known has been confirmed on it."""
        self._confirmed = set()

    def expire(self) -> list[Member]:
        """Whoever was not listed since the connection began is gone."""
        return self._take([key for key in self._known if key not in self._confirmed], self._gone)

    def withdraw(self) -> list[Member]:
        """Nobody asks for this list any more: everybody leaves it."""
        return self._take(list(self._known), MemberState.LEFT)

    def _take(self, keys: Iterable[_Key], state: MemberState) -> list[Member]:
        return [attrs.evolve(self._known.pop(key), state=state) for key in keys]
