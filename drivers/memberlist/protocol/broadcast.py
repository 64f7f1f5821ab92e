"""The transmit-limited queue: what gossip still has to spread (SWIM section 4.1, "infection-style dissemination").

Every message is sent a limited number of times, which grows with the logarithm of the cluster. Those sent least go
first, among equals the longest that fits, then the newest. A message about a node replaces the older one about the
same node.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["BroadcastQueue"]

_Broadcast = tuple[int, int, int, bytes | None, Hashable, Callable[[], None] | None]
"""Minus the times sent, the length, the running number; the message, or None for the statement of the node that is the
name; the name; and whom to tell when it is done with.

A plain tuple, because the first three are its place in the queue, and because the garbage collector takes no interest
in a tuple of numbers and strings: ten thousand new members at once would otherwise cost it a noticeable pause.
"""


class BroadcastQueue:
    """Messages ordered by (times sent, longest first, newest first), the first at the end of the list.

    A sorted list serves better than a tree here: it rarely holds more than a few thousand items, and moving a few
    kilobytes of pointers costs less than one comparison in Python. What is new goes to the end, where nothing moves.
    """

    def __init__(self) -> None:
        self._order: list[_Broadcast] = []
        self._named: dict[Hashable, _Broadcast] = {}
        self._next = 0
        self.statement_of: Callable[[Any], bytes] = lambda name: b""
        """What a node says of itself, encoded, by its name."""
        self.on_news: Callable[[], None] = lambda: None
        """Called before a message is added to the empty queue."""

    def __len__(self) -> int:
        return len(self._order)

    def queue(self, message: bytes, name: Hashable | None = None, finished: Callable[[], None] | None = None) -> None:
        """Add `message`. With a `name`, it replaces the message of that name; `finished` is called once, when the
        message has been sent often enough or was replaced.
        """
        if name is not None:
            self.invalidate(name)
        if not self._order:
            self._next = 0
            self.on_news()
        self._next += 1
        self._insert((0, len(message), self._next, message, name, finished))

    def queue_statement(self, name: Hashable, size: int) -> None:
        """Add what a node says of itself, which will be encoded when it is sent; `size` is its length then."""
        self.invalidate(name)
        if not self._order:
            self._next = 0
            self.on_news()
        self._next += 1
        self._insert((0, size, self._next, None, name, None))

    def _insert(self, item: _Broadcast) -> None:
        if item[4] is not None:
            self._named[item[4]] = item
        order = self._order
        if not order or order[-1] < item:
            order.append(item)
        else:
            bisect.insort(order, item)

    def invalidate(self, name: Hashable) -> None:
        """Drop the message of that name, if there is one."""
        old = self._named.get(name)
        if old is not None:
            del self._order[bisect.bisect_left(self._order, old)]
            self._finish(old)

    def take(self, overhead: int, limit: int, transmit_limit: int) -> list[bytes]:
        """Messages for one packet: together at most `limit` bytes, `overhead` bytes counted for each. Each one taken
        has been sent once more, and is done with after `transmit_limit` times.
        """
        if not self._order:
            return []
        taken: list[_Broadcast] = []
        room = limit - overhead
        tier, last = self._order[-1][0], self._order[0][0]
        while tier >= last and room > 0:
            # The first of this tier that is no longer than the room left.
            at = bisect.bisect_left(self._order, (tier, room, self._next + 1)) - 1
            if at < 0:
                break
            item = self._order[at]
            if item[0] != tier:
                tier = item[0]
                continue
            del self._order[at]
            taken.append(item)
            room -= item[1] + overhead
        messages = [self.statement_of(name) if message is None else message for _, _, _, message, name, _ in taken]
        for minus_transmits, length, number, message, name, finished in taken:
            sent = (minus_transmits - 1, length, number, message, name, finished)
            if 1 - minus_transmits < transmit_limit:
                self._insert(sent)
            else:
                self._finish(sent)
        return messages

    def take_first(self, transmit_limit: int) -> list[bytes]:
        """The message whose turn it is, however long, or nothing."""
        if not self._order:
            return []
        return self.take(0, self._order[-1][1], transmit_limit)

    def prune(self, keep: int) -> None:
        """Drop all but `keep` messages, those that were sent most often first."""
        count = max(0, len(self._order) - keep)
        dropped, self._order = self._order[:count], self._order[count:]
        for item in dropped:
            self._finish(item)

    def _finish(self, item: _Broadcast) -> None:
        _, _, _, _, name, finished = item
        if name is not None:
            del self._named[name]
        if finished is not None:
            finished()
