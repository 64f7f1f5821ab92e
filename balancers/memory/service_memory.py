"""What one process remembers of the members of one service."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence

import attrs

from ...drivers.members import Member, Outcome
from .loads import Loads
from .member_record import FIRST_GUESS, STARVED_AFTER, MemberRecord
from .pick import Ended

__all__ = ["REMEMBERED_AFTER_GOING", "ServiceMemory"]

REMEMBERED_AFTER_GOING = 300.0
"""Seconds that a member is remembered after it was last seen: a restart or a partition is over by then."""

MAX_GONE = 1024
"""Members remembered besides those of the view. A service whose members get new ports all the time has many."""

_SAMPLE = 512
"""How many members a median is taken of at most: it is exact enough to guess by, and costs the same for all sizes."""

CALLS_PER_STARVED = 10

Address = tuple[str, int]


@attrs.define(eq=False)
class ServiceMemory:
    """The records of a service's members, for all balancers of the process that read the same registry.

    Attributes:
        epoch: changes whenever what is remembered changes whom a balancer may pick, or with what weight.
        ended: attempts that ended and are not counted yet. Whoever ends one appends, from any thread and from
            finalizers; whoever begins one calls `settle` first.
        round_trip: seconds that a round trip to a member takes, as a backend measured it; None if none has.
        loads: the numbers of all members, for picks.
    """

    epoch: int = 0
    ended: deque[Ended] = attrs.field(factory=deque)
    round_trip: Callable[[Member], float | None] = lambda member: None
    loads: Loads = attrs.field(factory=Loads)
    _records: dict[Address, MemberRecord] = attrs.field(factory=dict)
    _unlearned: dict[Address, MemberRecord] = attrs.field(factory=dict)
    _learned: int = 0
    _guess_again_at: int = 1
    _called: OrderedDict[int, MemberRecord] = attrs.field(factory=OrderedDict)
    _starved_after_calls: int = 0

    def begin(self, member: Member, now: float) -> MemberRecord:
        """The record of `member`, with one attempt more in flight."""
        record = self._records.get((member.host, member.port))
        if record is None:
            record = self._seen(member, now)
        record.last_seen = record.called = now
        place = record.place
        record.in_flight = self.loads.pending[place] = record.in_flight + 1
        self._called[place] = record
        self._called.move_to_end(place)
        if self._starved_after_calls:
            self._starved_after_calls -= 1
        return record

    def starved(self, now: float) -> Member | None:
        """The member that has had no call for the longest time, if that is too long and it shares the traffic.

        One call in ten at most goes to such a member: where there are fewer calls than that, all are starved.
        """
        while self._called and not self._starved_after_calls:
            record = next(iter(self._called.values()))
            if record.called is not None and now - record.called <= STARVED_AFTER:
                return None
            if record.shares:
                self._starved_after_calls = CALLS_PER_STARVED
                return record.member
            self._called.popitem(last=False)  # it comes back with its next call
        return None

    def settle(self, now: float) -> list[Outcome]:
        """Count what has ended; returns the outcomes of which nobody has been told."""
        untold = []
        self._keep_up(now)
        while self.ended:
            record, outcome, tell, began, ended, _ = self.ended.popleft()
            guessed = not record.learned
            record.end(outcome, min(now, max(began, ended)))
            if record.place >= 0:  # it is not forgotten
                self._show(record)
                if guessed and record.learned:
                    self._has_learned(record, now)
            if tell and outcome is not None:
                untold.append(outcome)
        return untold

    def see(self, members: Iterable[Member], now: float) -> None:
        """These are the members now; those that went long ago are forgotten."""
        self._keep_up(now)
        present = {(member.host, member.port) for member in members}
        gone = [(address, record) for address, record in self._records.items() if address not in present]
        for _, record in gone:
            record.present = False
        new = []
        for member in members:
            record = self._seen(member, now)
            if not record.present:
                record.present = True
                if not record.learned:
                    new.append(record)
        self._guess(new, now)
        gone.sort(key=lambda item: item[1].last_seen)
        surplus = len(gone) - MAX_GONE
        for place, (address, record) in enumerate(gone):
            if place < surplus or now - record.last_seen > REMEMBERED_AFTER_GOING:
                self._forget(address, record)

    def record(self, member: Member) -> MemberRecord | None:
        """What is remembered of a member, by its address."""
        return self._records.get((member.host, member.port))

    def records(self, members: Sequence[Member], now: float) -> list[MemberRecord]:
        """Those of all these members, in their order."""
        self._keep_up(now)
        return [self._records.get((member.host, member.port)) or self._seen(member, now) for member in members]

    def median_cost(self, now: float, without: MemberRecord | None = None) -> float | None:
        """The median of what the members cost now, `without` one of them; None while nobody has been called."""
        every = max(1, len(self._records) // _SAMPLE)
        costs = sorted(
            record.cost(now)
            for record in itertools.islice(self._records.values(), None, None, every)
            if record.learned and record.present and record is not without
        )
        return costs[len(costs) // 2] if costs else None

    def __len__(self) -> int:
        return len(self._records)

    def _seen(self, member: Member, now: float) -> MemberRecord:
        address = (member.host, member.port)
        record = self._records.get(address)
        if record is None:
            record = self._records[address] = self._unlearned[address] = MemberRecord(now, now, self.loads.place())
            self._show(record)
        record.last_seen, record.member = now, member
        return record

    def _has_learned(self, record: MemberRecord, now: float) -> None:
        """`record` has its first call behind it: the guesses for those that have none become better.

        They are made anew when the members with calls have doubled in number, so that it costs little for any size.
        """
        if record.member is not None:
            self._unlearned.pop((record.member.host, record.member.port), None)
        self._learned += 1
        if self._learned >= self._guess_again_at:
            self._guess_again_at = 2 * self._learned
            self._guess(self._unlearned.values(), now)

    def _guess(self, records: Iterable[MemberRecord], now: float) -> None:
        """What members without calls cost: the round trip to them, else what the others do, else a constant."""
        others: float | None = None
        for record in records:
            seconds = None if record.member is None else self.round_trip(record.member)
            if seconds is None:
                others = others if others is not None else self.median_cost(now) or FIRST_GUESS
                seconds = others
            record.guess(seconds, now)
            self._show(record)

    def _keep_up(self, now: float) -> None:
        loads = self.loads
        if loads.outdated(now):
            for record in self._records.values():
                loads.show(record.place, record.ewma, record.stamp)
        loads.forgive(now)

    def _show(self, record: MemberRecord) -> None:
        """Let picks see what has become of the member."""
        loads, place = self.loads, record.place
        loads.pending[place] = record.in_flight
        loads.show(place, record.ewma, record.stamp)
        if record.consecutive:
            loads.punished[place] = record.punished_until
        elif loads.punished:
            loads.punished.pop(place, None)

    def _forget(self, address: Address, record: MemberRecord) -> None:
        del self._records[address]
        self._unlearned.pop(address, None)
        self._called.pop(record.place, None)
        self.loads.leave(record.place)
        record.place = -1  # calls to it may still end
