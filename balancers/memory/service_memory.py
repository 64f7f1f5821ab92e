"""What one process remembers of the members of one service."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING

import attrs

from ...drivers.members import Member, MemberState, Outcome, Reached
from .chain import Sharing, sharing
from .health import Health
from .loads import Loads
from .member_record import FIRST_GUESS, STARVED_AFTER, MemberRecord
from .pick import Ended
from .policy import HealthPolicy
from .slow_start import KNOWN_WITHIN
from .starved import StarvedMembers

if TYPE_CHECKING:
    from ...discovery.merging.snapshot import Snapshot

__all__ = ["MAX_GONE", "REMEMBERED_AFTER_GOING", "SETTLED_AFTER", "ServiceMemory", "Visit"]

REMEMBERED_AFTER_GOING = 300.0
"""Seconds that a member is remembered after it was last seen: a restart or a partition is over by then."""

MAX_GONE = 1024
"""Members remembered besides those of the view. A service whose members get new ports all the time has many."""

_SAMPLE = 512
"""How many members a median is taken of at most: it is exact enough to guess by, and costs the same for all sizes."""

SETTLED_AFTER = 0.005
"""Seconds after which the ends of calls are counted that say nothing against their members. Between real requests the
processor has none of this at hand, so that one alone takes 8 µs, and each of twenty together 1.4; and that a member
answers as it always does need not be known before. How many calls it has in flight is known at once (`Loads.ended`).
"""

_NOBODY: tuple[Member | None, MemberRecord | None] = None, None

Address = tuple[str, int]
Visit = tuple[Member, str]
"""A member that the next call is to go to whatever the balancer would choose, and why."""


@attrs.define(eq=False)
class ServiceMemory:
    """The records of a service's members, for all balancers of the process that read the same registry.

    Attributes:
        epoch: changes whenever what is remembered changes whom a balancer may pick, or with what weight.
        ended: attempts that ended and are not counted yet. Whoever ends one appends, from any thread and from
            finalizers; whoever begins one after `settle_at` calls `settle` first.
        settle_at: when `settle` is to be called next: at once, or a moment after the last time if all has ended well.
        settle_from: from when on it may be called already by who has to wait for an answer anyway.
        health: who gets calls, and how many.
        round_trip: seconds that a round trip to a member takes, as a backend measured it; None if none has.
        loads: the numbers of all members, for picks.
        untold: outcomes of which nobody has been told; whoever tells of them takes them out.
        visit_at: when the next call may have to go where no balancer would send it (`visit`).
        by_address: what is remembered of each member.
        failed: is told of an attempt that got no connection, or no answer in time, and of the seconds by which that
            came too late.
    """

    epoch: int = 0
    ended: deque[Ended] = attrs.field(factory=deque)
    settle_at: float = -inf
    settle_from: float = -inf
    health: Health = attrs.field(factory=Health)
    round_trip: Callable[[Member], float | None] = lambda member: None
    loads: Loads = attrs.field(factory=Loads)
    untold: list[Outcome] = attrs.field(factory=list)
    visit_at: float = inf
    by_address: dict[Address, MemberRecord] = attrs.field(factory=dict)
    failed: Callable[[Outcome, float], None] | None = None
    _members: tuple[Member, ...] = ()
    _in_view: Sequence[MemberRecord] = ()
    _seen_at: float = -inf
    _born: float | None = None
    _unlearned: dict[Address, MemberRecord] = attrs.field(factory=dict)
    _learned: int = 0
    _guess_again_at: int = 1
    _starved: StarvedMembers = attrs.field(factory=StarvedMembers)

    @property
    def due(self) -> float:
        """When `advance` has something to do."""
        return self.health.due

    # -- calls ---------------------------------------------------------------------------------------------------------

    def begin(self, member: Member, now: float) -> tuple[MemberRecord, int]:
        """The record of `member`, with one attempt more in flight, and how many were before."""
        record = self.by_address.get((member.host, member.port))
        if record is None:
            record = self._seen(member, now)
        if not record.queued:
            self._starved.add(record, now)
            if self.visit_at == inf:
                self._look_for_visits(now)
        record.called = now
        record.in_flight += 1
        place, loads = record.place, self.loads
        pending = loads.pending[place]
        loads.pending[place] = pending + 1
        if place not in loads.waiting:
            loads.waiting[place] = now
        return record, pending

    def settle(self, now: float) -> None:
        """Count what has ended, and what time has changed."""
        health, loads, ended, starved = self.health, self.loads, self.ended, self._starved
        self.settle_at, self.settle_from = now + SETTLED_AFTER, now + SETTLED_AFTER / 10
        if loads.punished or now >= loads.move_on_at:
            self._keep_up(now)
        if starved.wait:
            starved.wait = max(0, starved.wait - len(ended))
        if self.visit_at == inf:  # else it is as early as it can be: who has been without calls is called since
            self._look_for_visits(now)
        to_show: set[MemberRecord] = set()
        judging, slow_limit = health.judging, health.slow_limit
        while ended:
            record, outcome, flag, began, at, late = ended.popleft()
            if not began <= at <= now:
                at = min(now, max(began, at))
            learned, changed, back = record.learned, False, False
            to_show.add(record)
            if outcome is None or isinstance(outcome, Outcome):
                changed, back = health.ended(record, outcome, began, at, late)
                if outcome is not None and outcome.reached is Reached.ANSWERED:
                    loads.answered(record.place, at)
                if flag and outcome is not None:
                    self.untold.append(outcome)
                judging = health.judging
            else:
                record.end_well(outcome, flag, at)
                if judging or record.slow_since is not None or (record.latency or 0.0) > slow_limit:
                    changed, back = health.answered(record, outcome, began, at)
                    judging = health.judging
            if back:
                record.back(self.median_cost(at, record), at)
            if changed:
                self.epoch += 1
            if not learned and record.learned and record.place >= 0:  # it is not forgotten
                self._has_learned(record, now)
        for record in to_show:
            self._show(record, now)
        if now >= health.median_due:
            sample = self._sample()
            health.watch_latency(now, sorted(record.latency for record in sample if record.latency is not None))
            if sample:
                loads.compare([record.place for record in sample], [record.ewma for record in sample])
        if now >= health.due:
            self.advance(now)
        elif health.ejections.trials:
            self.visit_at = -inf

    def advance(self, now: float) -> None:
        """What changes by time alone."""
        self.epoch += self.health.advance(now)
        self._look_for_visits(now)

    def change_policy(self, policy: HealthPolicy, now: float) -> None:
        """These rules for who gets calls are in force from now on."""
        for record in self.health.change_policy(policy, now):
            record.back(self.median_cost(now, record), now)
            self._show(record, now)
        self.epoch += 1
        self._look_for_visits(now)

    def visit(self, now: float, starved: bool) -> Visit | None:
        """Whom the next call is to go to whatever the balancer would choose; None if that is its choice.

        Args:
            starved: whether members that have had no call for long are among them.
        """
        record = self.health.ejections.probe(now)
        if record is not None and record.member is not None:
            return record.member, "tried again after it was out"
        record = self._starved.next(now) if starved else None
        self._look_for_visits(now)
        if record is None or record.member is None:
            return None
        self.health.counts["starved"] += 1
        return record.member, f"no call for {STARVED_AFTER:.0f} s"

    def _look_for_visits(self, now: float) -> None:
        self.visit_at = -inf if self.health.ejections.trials else self._starved.due(now)

    # -- members -------------------------------------------------------------------------------------------------------

    def see(self, members: Sequence[Member], now: float) -> None:
        """These are the members now; those that went long ago are forgotten."""
        self._keep_up(now)
        if self._born is None:
            self._born = now
        in_view, come = self._found(members, now)
        present = set(in_view)
        gone = [(address, record) for address, record in self.by_address.items() if record not in present]
        for _, record in gone:
            if record.present:
                record.last_seen = max(record.last_seen, record.called or -inf, self._seen_at)
            record.present = record.shares = False
        for record in come:
            record.present = True
        self._members, self._in_view, self._seen_at = tuple(members), in_view, now
        self._guess([record for record in come if not record.learned], now)
        gone.sort(key=lambda item: item[1].last_seen)
        surplus = len(gone) - MAX_GONE
        forgotten = [
            item
            for place, item in enumerate(gone)
            if place < surplus or now - item[1].last_seen > REMEMBERED_AFTER_GOING
        ]
        for address, record in forgotten:
            self._forget(address, record)
        if forgotten:
            self._starved.forget()
        self._look_for_visits(now)

    def share(self, snapshot: Snapshot, now: float) -> Sharing:
        """Who of `snapshot` gets calls, and how many."""
        self._keep_up(now)
        base = sharing(snapshot)
        records = self.records(base.members, now)
        shared = self.health.share(base, records, now)
        for record in self.by_address.values():
            record.shares = False
        for record in records if shared is base else self.records(shared.members, now):
            record.shares = True
        return shared

    def record(self, member: Member) -> MemberRecord | None:
        """What is remembered of a member, by its address."""
        return self.by_address.get((member.host, member.port))

    def records(self, members: Sequence[Member], now: float) -> Sequence[MemberRecord]:
        """Those of all these members, in their order."""
        if members is self._members:  # a tuple: they are still those that were seen
            return self._in_view
        return [self.by_address.get((member.host, member.port)) or self._seen(member, now) for member in members]

    def median_cost(self, now: float, without: MemberRecord | None = None) -> float | None:
        """The median of what the members cost now, `without` one of them, and without those whose last call failed:
        what a failure is held to have taken says nothing of others. None if nobody is left.
        """
        costs = [
            record.cost(now)
            for record in self._sample()
            if record.learned and record.punished_until <= now and record is not without
        ]
        costs.sort()
        return costs[(len(costs) - 1) // 2] if costs else None

    def __len__(self) -> int:
        return len(self.by_address)

    def _found(self, members: Sequence[Member], now: float) -> tuple[list[MemberRecord], list[MemberRecord]]:
        """The records of these members, in their order, and those of them that were not in the view before.

        The first pick after a change waits for this. So the new view is gone through beside the one before: both are
        ordered by address, and a member that is as it was is the same object in both. Looking each up by its address
        takes four times as long.
        """
        found, come = [], []
        before = zip(self._members, self._in_view, strict=True)
        was, its = next(before, _NOBODY)
        for member in members:
            if member is not was:
                while was is not None and (was.host, was.port) < (member.host, member.port):  # it has gone
                    was, its = next(before, _NOBODY)
            if member is was and its is not None:
                found.append(its)
                was, its = next(before, _NOBODY)
                continue
            record = self._seen(member, now)
            found.append(record)
            if not record.present:
                come.append(record)
        return found, come

    def _sample(self) -> list[MemberRecord]:
        every = max(1, len(self.by_address) // _SAMPLE)
        return [record for record in itertools.islice(self.by_address.values(), None, None, every) if record.present]

    def _seen(self, member: Member, now: float) -> MemberRecord:
        address = (member.host, member.port)
        record = self.by_address.get(address)
        if record is None:
            record = self.by_address[address] = self._unlearned[address] = MemberRecord(now, now, self.loads.place())
            if self._born is not None and now > self._born + KNOWN_WITHIN:
                record.young_since = now
            self._show(record, now)
        before, record.last_seen, record.member = record.member, now, member
        if before is not None and (before is not member or not record.present):
            self._compare(record, before, member, now)
        return record

    def _compare(self, record: MemberRecord, before: Member, member: Member, now: float) -> None:
        """What the backends' news of a member mean for its health."""
        known = member.registered_at is not None
        if member.registered_at != before.registered_at if known else not record.present:
            record.young_since = record.renewed = now
            self.health.news(record, now, anew=True)
        elif member.state is MemberState.ALIVE and (before.state is MemberState.SUSPECT or not record.present):
            self.health.news(record, now, anew=False)

    def _forget(self, address: Address, record: MemberRecord) -> None:
        del self.by_address[address]
        self._unlearned.pop(address, None)
        self.health.forget(record)
        self.loads.leave(record.place)
        record.place = -1  # calls to it may still end

    # -- what picks read -----------------------------------------------------------------------------------------------

    def _keep_up(self, now: float) -> None:
        loads = self.loads
        if loads.outdated(now):
            for record in self.by_address.values():
                loads.show(record.place, record.ewma, record.stamp, record.in_flight)
        loads.forgive(now)

    def _show(self, record: MemberRecord, now: float) -> None:
        """Let picks see what has become of the member."""
        loads, place = self.loads, record.place
        if place < 0:
            return
        loads.show(place, record.ewma, record.stamp, record.in_flight)
        if record.punished_until > now:
            loads.punished[place] = record.punished_until
        elif loads.punished:
            loads.punished.pop(place, None)

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
            self._show(record, now)
