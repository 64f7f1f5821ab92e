"""Which member has had no call for so long that it is to get one, however bad it looks.

They stand in a queue by the time when each will have been without a call for long if no other comes. A call that goes
to a member leaves the queue alone: whoever comes to its turn and has had a call since goes back, once in ten seconds
and not once for each call.
"""

from __future__ import annotations

import heapq
from math import inf

import attrs

from .member_record import STARVED_AFTER, MemberRecord

__all__ = ["CALLS_PER_STARVED", "StarvedMembers"]

CALLS_PER_STARVED = 10
"""At most one call in so many goes to a member only because it had none for long."""

_SENT_BACK_AT_ONCE = 32
"""How many go back into the queue by one call: no call pays for 10,000."""


@attrs.define(eq=False)
class StarvedMembers:
    """The members of one service that have been called, and are to be called again.

    Attributes:
        wait: how many calls have to go elsewhere before one may go to a starved member again; whoever counts calls that
            ended takes them off.
    """

    wait: int = 0
    _queue: list[tuple[float, int, MemberRecord]] = attrs.field(factory=list)
    _number: int = 0

    def add(self, record: MemberRecord, called: float) -> None:
        """The member was called then, and is not in the queue yet."""
        record.queued = True
        self._number += 1
        heapq.heappush(self._queue, (called + STARVED_AFTER, self._number, record))

    def next(self, now: float) -> MemberRecord | None:
        """Who is to get the next call; None if nobody is starved, or such a call has been a moment ago."""
        if self.wait:
            return None
        self._send_back(now)
        record = self._queue[0][2] if self._queue else None
        # Who is first may have had a call since, when more of them had to go back than do at once.
        if record is None or not record.shares or now <= (record.called or 0.0) + STARVED_AFTER:
            return None
        self.wait = CALLS_PER_STARVED
        return record

    def due(self, now: float) -> float:
        """When to ask for the next one."""
        if self.wait:
            return inf
        self._send_back(now)
        return self._queue[0][0] if self._queue else inf

    def forget(self) -> None:
        """Leave out those whose place is below 0, which are remembered no longer."""
        self._queue = [item for item in self._queue if item[2].place >= 0]
        heapq.heapify(self._queue)

    def __len__(self) -> int:
        return len(self._queue)

    def _send_back(self, now: float) -> None:
        for _ in range(_SENT_BACK_AT_ONCE):
            if not self._queue or now <= self._queue[0][0]:
                break
            record = self._queue[0][2]
            called = record.called or 0.0
            if record.shares and now > called + STARVED_AFTER:
                break
            heapq.heappop(self._queue)
            if record.shares:
                self.add(record, called)
            else:
                record.queued = False  # it is there again with its next call
