"""What one process remembers of the members of one service."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

from ...drivers.members import Member, Outcome
from .member_record import MemberRecord
from .pick import Ended

__all__ = ["REMEMBERED_AFTER_GOING", "ServiceMemory"]

REMEMBERED_AFTER_GOING = 300.0
"""Seconds that a member is remembered after it was last seen: a restart or a partition is over by then."""

MAX_GONE = 1024
"""Members remembered besides those of the view. A service whose members get new ports all the time has many."""

Address = tuple[str, int]


@attrs.define(eq=False)
class ServiceMemory:
    """The records of a service's members, for all balancers of the process that read the same registry.

    Attributes:
        epoch: changes whenever what is remembered changes whom a balancer may pick, or with what weight.
        ended: attempts that ended and are not counted yet. Whoever ends one appends, from any thread and from
            finalizers; whoever begins one calls `settle` first.
    """

    epoch: int = 0
    ended: deque[Ended] = attrs.field(factory=deque)
    _records: dict[Address, MemberRecord] = attrs.field(factory=dict)

    def begin(self, member: Member, now: float) -> MemberRecord:
        """The record of `member`, with one attempt more in flight."""
        record = self._records.get((member.host, member.port))
        if record is None:
            record = self._seen(member, now)
        record.last_seen = now
        record.in_flight += 1
        return record

    def settle(self) -> list[Outcome]:
        """Count what has ended; returns the outcomes of which nobody has been told."""
        untold = []
        while self.ended:
            record, outcome, tell = self.ended.popleft()
            record.end(outcome)
            if tell and outcome is not None:
                untold.append(outcome)
        return untold

    def see(self, members: Iterable[Member], now: float) -> None:
        """These are the members now; those that went long ago are forgotten."""
        present = {(member.host, member.port) for member in members}
        gone = [(address, record) for address, record in self._records.items() if address not in present]
        for member in members:
            self._seen(member, now)
        gone.sort(key=lambda item: item[1].last_seen)
        surplus = len(gone) - MAX_GONE
        for place, (address, record) in enumerate(gone):
            if place < surplus or now - record.last_seen > REMEMBERED_AFTER_GOING:
                del self._records[address]

    def record(self, member: Member) -> MemberRecord | None:
        """What is remembered of a member, by its address."""
        return self._records.get((member.host, member.port))

    def __len__(self) -> int:
        return len(self._records)

    def _seen(self, member: Member, now: float) -> MemberRecord:
        address = (member.host, member.port)
        record = self._records.get(address)
        if record is None:
            record = self._records[address] = MemberRecord(now, now)
        record.last_seen = now
        return record
