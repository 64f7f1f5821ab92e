"""The merged view: what all drivers together know, as one immutable snapshot per service.

A member's identity is `(service, host, port)`. The rules:

1. *Any driver can add.* A member that one driver reports is in the view; reported by several it is there once, with
   all of them in `sources`.
2. *Bad news wins while it is fresh.* When a driver that had the member reports it failed or gone, the member is
   withdrawn although another driver still lists it; when it suspects the member, the view shows a suspect. Fresh
   means: for as long as the other driver would need to notice the same failure by itself, its detection bound. If
   the other one still vouches for the member then, it was the first driver's own trouble and the member returns. It
   returns at once when the driver that withdrew it sees it healthy. (`standing` has the fine print.) Which driver
   is first depends on the failure: a killed process leaves Nacos at once and gossip in seconds, a frozen one is
   suspected by gossip long before Nacos evicts it.
3. *A driver that cannot judge has no say.* It is cut off, or has died: what it reported last is kept and marked
   stale, and it can neither remove what another driver vouches for nor empty the view. Bad news that it reports
   meanwhile waits. Able again, it has its detection bound of time to take the news back by reporting the members
   alive; then the news counts. A driver that died and was restarted has to confirm everything in that time.
4. *Weight*: a dynamic weight, else the static weight of the gossip metadata, else the first source's instance weight.
5. *When every member of a service is suspect*, the suspects are the candidates, rather than nobody.

Everything here is a function of what was reported and of the time that is passed in: no clock, no lock, no thread.
Changes are made by one thread at a time; `snapshot` and `snapshots` may be called by any thread meanwhile, because a
snapshot is replaced by one assignment and is never changed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from ...drivers.kit.service_names import plain_name
from ...drivers.members import Member, MemberState
from .events import EventKind, MemberEvent
from .member_record import Judge, Record

__all__ = ["MergedView", "Snapshot"]

_MAX_ABSENT = 1024

Address = tuple[str, int]
Key = tuple[str, str, int]


@attrs.frozen(eq=False)
class Snapshot:
    """The members of one service at one moment. Compare by identity: the same object means that nothing changed.

    Attributes:
        members: everybody, suspects included, ordered by host and port.
        candidates: whom a balancer may pick: the members that are alive, or the suspects if none is.
        stale: whether some member is here on the word of drivers only that cannot judge at present.
    """

    service: str
    members: tuple[Member, ...] = ()
    candidates: tuple[Member, ...] = ()
    stale: bool = False


@attrs.define(eq=False)
class _Service:
    """What is said and what is shown of one service; `shown` is kept in the order of the addresses."""

    records: dict[Address, Record] = attrs.Factory(dict)
    shown: dict[Address, Member] = attrs.Factory(dict)
    in_order: bool = True


@attrs.frozen
class _Doubt:
    """Bad news that a driver reported while it could not judge, or what it has yet to confirm."""

    report: Member
    since: float


class MergedView:
    """All members, by service. Every changing method returns the events of the change, in order.

    Args:
        modes: the drivers, in the order in which their data is preferred.
        detection_bounds: by mode, the seconds that driver needs at most to notice that a member is gone.
    """

    def __init__(self, modes: Sequence[str], detection_bounds: Mapping[str, float]) -> None:
        self._judges = {mode: Judge(detection_bounds[mode]) for mode in modes}
        self._services: dict[str, _Service] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._absent: dict[str, Snapshot] = {}
        self._doubts: dict[str, dict[tuple[Key, str], _Doubt]] = {mode: {} for mode in modes}
        self._confirm_by: dict[str, float] = {}
        self._due: dict[Key, float] = {}
        self._agenda: list[tuple[float, Key]] = []

    # -- reads, from any thread ----------------------------------------------------------------------------------------

    def snapshot(self, service: str) -> Snapshot:
        """The members of `service`; the same object until they change. Unknown ``orders_rest`` means ``orders``."""
        found = self._snapshots.get(service)
        if found is None:
            plain = plain_name(service)
            found = self._snapshots.get(plain) or self._absent.get(plain) or self._without_members(plain)
        return found

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All services that have members, by name."""
        return tuple(sorted(self._snapshots.values(), key=lambda snapshot: snapshot.service))

    def _without_members(self, service: str) -> Snapshot:
        if len(self._absent) >= _MAX_ABSENT:
            self._absent = {}
        return self._absent.setdefault(service, Snapshot(service, stale=not self._any_able()))

    def judge(self, mode: str) -> tuple[bool, str]:
        """Whether the driver can judge at present, and why not."""
        judge = self._judges[mode]
        return judge.able, judge.reason

    # -- reads that exclude changes ------------------------------------------------------------------------------------

    def reported(self, service: str) -> dict[str, int]:
        """How many members of `service` each driver has, withdrawn ones included."""
        known = self._services.get(service) or self._services.get(plain_name(service)) or _Service()
        voices = [record.voices for record in known.records.values()]
        return {mode: sum(bool((v := voice.get(mode)) and v.reports) for voice in voices) for mode in self._judges}

    def next_deadline(self) -> float | None:
        """When `expire` has something to do at the earliest; None if only a report can change anything."""
        while self._agenda and self._due.get(self._agenda[0][1]) != self._agenda[0][0]:
            heapq.heappop(self._agenda)
        deadlines = [*self._confirm_by.values(), *(due for due, _ in self._agenda[:1])]
        return min(deadlines, default=None)

    # -- changes -------------------------------------------------------------------------------------------------------

    def observe(self, mode: str, members: Iterable[Member], now: float) -> list[MemberEvent]:
        """Take in what the driver of `mode` knows of these members."""
        events = self.expire(now)
        heard = dict.fromkeys(member.key for member in members if self._hear(mode, member, now))
        return events + self._settle(heard, now)

    def judging(self, mode: str, able: bool, reason: str, now: float) -> list[MemberEvent]:
        """Take in whether the driver of `mode` can judge at present."""
        events = self.expire(now)
        judge = self._judges[mode]
        judge.reason = "" if able else reason
        if judge.able is able:
            return events
        judge.able = able
        if able:
            judge.since = now
            if self._doubts[mode]:
                self._confirm_by[mode] = now + judge.bound
        else:
            self._confirm_by.pop(mode, None)
        events += self._settle(self._keys_of(mode), now)
        self._absent = {}
        self._publish([name for name, known in self._snapshots.items() if known.stale != self._stale(known.members)])
        return events

    def died(self, mode: str, reason: str, now: float) -> list[MemberEvent]:
        """The driver of `mode` is gone with all it knew; what it reported has to be confirmed by its next run."""
        events = self.judging(mode, False, reason, now)
        for key in self._keys_of(mode):
            for node, report in self._record(key).voices[mode].reports.items():
                lost = attrs.evolve(report, state=MemberState.FAILED)
                self._doubts[mode].setdefault((key, node), _Doubt(lost, now))
        return events

    def expire(self, now: float) -> list[MemberEvent]:
        """Do what the rules say at this time."""
        heard: dict[Key, None] = {}
        for mode in [mode for mode, by in self._confirm_by.items() if by <= now]:
            del self._confirm_by[mode]
            doubts, self._doubts[mode] = self._doubts[mode], {}
            for (key, _), doubt in doubts.items():
                self._record(key).hear(mode, doubt.report, doubt.since, -math.inf)
                heard[key] = None
        while self._agenda and self._agenda[0][0] <= now:
            due, key = heapq.heappop(self._agenda)
            if self._due.get(key) == due:
                del self._due[key]
                heard[key] = None
        return self._settle(heard, now)

    # -- how ---------------------------------------------------------------------------------------------------------

    def _hear(self, mode: str, report: Member, now: float) -> bool:
        """Take in one report; whether it may change the view."""
        judge, key = self._judges[mode], report.key
        record = self._record(key)
        voice = record.voices.get(mode)
        known = voice is not None and report.node in voice.reports
        if report.state is not MemberState.ALIVE and known and not judge.able:
            self._doubts[mode][key, report.node] = _Doubt(report, now)
            return False
        self._doubts[mode].pop((key, report.node), None)
        record.hear(mode, report, now, judge.since)
        return True

    def _record(self, key: Key) -> Record:
        service, host, port = key
        known = self._services.get(service)
        if known is None:
            known = self._services[service] = _Service()
        record = known.records.get((host, port))
        if record is None:
            record = known.records[host, port] = Record()
        return record

    def _keys_of(self, mode: str) -> list[Key]:
        """The members that the driver has, or has lost while another one has them."""
        return [
            (name, *address)
            for name, service in self._services.items()
            for address, record in service.records.items()
            if mode in record.voices
        ]

    def _settle(self, keys: Iterable[Key], now: float) -> list[MemberEvent]:
        """Apply the rules to these members, publish the services that changed, and tell what happened."""
        events: list[MemberEvent] = []
        touched: dict[str, None] = {}
        changed: dict[str, None] = {}
        for key in keys:
            name, address = key[0], key[1:]
            service = self._services[name]
            record = service.records[address]
            member, again = record.settle(self._judges, now)
            self._schedule(key, again)
            if record.empty:
                del service.records[address]
            touched[name] = None
            before = service.shown.get(address)
            if member != before:
                changed[name] = None
                _show(service, address, member)
                events += _events(before, member, record)
        self._publish(changed)
        for name in touched:
            if not self._services[name].records:
                del self._services[name]
        return events

    def _schedule(self, key: Key, due: float) -> None:
        if due == math.inf:
            self._due.pop(key, None)
        elif self._due.get(key) != due:
            self._due[key] = due
            heapq.heappush(self._agenda, (due, key))

    def _publish(self, services: Iterable[str]) -> None:
        """Replace the snapshots of these services."""
        for name in services:
            service = self._services[name]
            if not service.in_order:
                service.shown, service.in_order = dict(sorted(service.shown.items())), True
            members = tuple(service.shown.values())
            alive = tuple(member for member in members if member.state is MemberState.ALIVE)
            if members:
                self._snapshots[name] = Snapshot(name, members, alive or members, self._stale(members))
            else:
                self._snapshots.pop(name, None)

    def _stale(self, members: Iterable[Member]) -> bool:
        able = {mode for mode, judge in self._judges.items() if judge.able}
        return len(able) < len(self._judges) and any(able.isdisjoint(member.sources) for member in members)

    def _any_able(self) -> bool:
        return any(judge.able for judge in self._judges.values())


def _show(service: _Service, address: Address, member: Member | None) -> None:
    if member is None:
        del service.shown[address]
        return
    if address not in service.shown:
        service.in_order = False
    service.shown[address] = member


def _events(before: Member | None, after: Member | None, record: Record) -> Iterator[MemberEvent]:
    if after is None:
        if before is not None:
            yield MemberEvent(EventKind.LEFT, attrs.evolve(before, state=record.parting), before)
    elif before is None:
        yield MemberEvent(EventKind.JOINED, after)
    elif after.sources == before.sources or _matters(before) != _matters(after):
        yield MemberEvent(EventKind.UPDATED, after, before)


def _matters(member: Member) -> tuple[object, ...]:
    """What a caller notices. That a second backend has found the member too is no news, nor are its names for it."""
    return (member.state, member.weight, member.scheme, member.root_path)
