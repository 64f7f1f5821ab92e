"""The merged view: what all drivers together know, as one immutable snapshot per service.

A member's identity is `(service, host, port)`. The rules:

1. *Any driver can add.* A member that one driver reports is in the view; reported by several it is there once, with
   all of them in `sources`.
2. *Bad news wins while it is fresh.* When a driver that had the member reports it failed or gone, the member is
   withdrawn although another driver still lists it; when it suspects the member, the view shows a suspect. Fresh
   means: for as long as the other driver would need to notice the same failure by itself, its detection bound. If
   the other one still lists the member as alive then, it was the first driver's own trouble and the member returns.
   It returns at once when the driver that withdrew it sees it healthy. (`member_record` has the fine print.) Which
   driver is first depends on the failure: a killed process leaves Nacos at once and gossip in seconds, a frozen one is
   suspected by gossip long before Nacos evicts it.
3. *A driver that is not authoritative removes nobody.* It is cut off, or has died: what it reported last is kept and
   marked stale, and it can neither remove what another driver lists nor empty the view. Bad news that it reports
   meanwhile stays unconfirmed. Authoritative again, it has its detection bound of time to take the news back by
   reporting the members alive; then the news counts. A driver that died and was restarted has to confirm everything in
   that time.
4. *Weight*: a measured weight, else the one that the service announced of itself, else the first source's.
5. *When every member of a service is suspect*, the suspects are the candidates, rather than nobody.

Everything here is a function of what was reported and of the time that is passed in: no clock, no lock, no thread.
Changes are made by one thread at a time; `snapshot` and `snapshots` may be called by any thread meanwhile, because a
snapshot is replaced by one assignment and is never changed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import attrs

from ...drivers.kit.service_names import plain_name
from ...drivers.members import Member, MemberState
from .events import EventKind, MemberEvent
from .member_record import MemberRecord, SourceHealth
from .snapshot import Snapshot

__all__ = ["MergedView", "Snapshot"]

_MAX_ABSENT = 1024

Address = tuple[str, int]
Key = tuple[str, str, int]


@attrs.define(eq=False, repr=False)
class _Service:
    """What is reported and what is shown of one service; `shown` is kept in the order of the addresses, and `since` is
    when each member came into its state.
    """

    records: dict[Address, MemberRecord] = attrs.Factory(dict)
    shown: dict[Address, Member] = attrs.Factory(dict)
    since: dict[Address, float] = attrs.Factory(dict)
    in_order: bool = True


@attrs.frozen
class _Unconfirmed:
    """Bad news that a driver reported while it was not authoritative, or what it has yet to confirm."""

    report: Member
    since: float


class MergedView:
    """All members, by service. Every changing method returns the events of the change, in order.

    Args:
        modes: the drivers, in the order in which their data is preferred.
        detection_bounds: by mode, the seconds that driver needs at most to notice that a member is gone; one that is
            not known yet is infinite.
    """

    def __init__(self, modes: Sequence[str], detection_bounds: Mapping[str, float] = MappingProxyType({})) -> None:
        self._sources = {mode: SourceHealth(detection_bounds.get(mode, math.inf)) for mode in modes}
        self._services: dict[str, _Service] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._absent: dict[str, Snapshot] = {}
        self._names: tuple[int, tuple[str, ...]] = (0, ())
        self._renamed = 0
        self._unconfirmed: dict[str, dict[tuple[Key, str], _Unconfirmed]] = {mode: {} for mode in modes}
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

    def services(self) -> tuple[str, ...]:
        """The names of all services that have members, sorted; the same object until they change."""
        known, names = self._names
        if known != (now := self._renamed):
            names = tuple(sorted(self._snapshots))
            self._names = (now, names)
        return names

    def _without_members(self, service: str) -> Snapshot:
        if len(self._absent) >= _MAX_ABSENT:
            self._absent = {}
        return self._absent.setdefault(service, Snapshot(service, stale=not self._any_authoritative()))

    def authority(self, mode: str) -> tuple[bool, str]:
        """Whether the driver is authoritative at present, and why not."""
        source = self._sources[mode]
        return source.authoritative, source.reason

    # -- reads that exclude changes ------------------------------------------------------------------------------------

    def reported(self, service: str) -> dict[str, int]:
        """How many members of `service` each driver has, withdrawn ones included."""
        known = self._services.get(service) or self._services.get(plain_name(service)) or _Service()
        records = [record.reports for record in known.records.values()]
        return {mode: sum(bool((r := by.get(mode)) and r.processes) for by in records) for mode in self._sources}

    def next_deadline(self) -> float | None:
        """When `expire` has something to do at the earliest; None if only a report can change anything."""
        while self._agenda and self._due.get(self._agenda[0][1]) != self._agenda[0][0]:
            heapq.heappop(self._agenda)
        deadlines = [*self._confirm_by.values(), *(due for due, _ in self._agenda[:1])]
        return min((deadline for deadline in deadlines if deadline < math.inf), default=None)

    def held(self) -> dict[str, int]:
        """How many entries of each kind are held: what has to be bounded, and gone when everybody is."""
        return {
            "services": len(self._services),
            "members": sum(len(service.records) for service in self._services.values()),
            "absent services": len(self._absent),
            "unconfirmed": sum(map(len, self._unconfirmed.values())),
            "deadlines": len(self._due) + len(self._agenda) + len(self._confirm_by),
        }

    # -- changes -------------------------------------------------------------------------------------------------------

    def observe(self, mode: str, members: Iterable[Member], now: float) -> list[MemberEvent]:
        """Take in what the driver of `mode` knows of these members."""
        events = self.expire(now)
        heard = dict.fromkeys(member.key for member in members if self._take(mode, member, now))
        return events + self._settle(heard, now)

    def authoritative(self, mode: str, yes: bool, reason: str, now: float) -> list[MemberEvent]:
        """Take in whether the driver of `mode` is authoritative at present."""
        events = self.expire(now)
        source = self._sources[mode]
        source.reason = "" if yes else reason
        if source.authoritative == yes:
            return events
        source.authoritative = yes
        if yes:
            source.since = now
            if self._unconfirmed[mode]:
                self._confirm_by[mode] = now + source.detection_bound
        else:
            self._confirm_by.pop(mode, None)
        events += self._settle(self._keys_of(mode), now)
        self._absent = {}
        self._publish([name for name, known in self._snapshots.items() if known.stale != self._stale(known.members)])
        return events

    def detects_within(self, mode: str, bound: float, now: float) -> list[MemberEvent]:
        """Take in that the driver of `mode` needs another time to notice that a member is gone."""
        events = self.expire(now)
        if self._sources[mode].detection_bound == bound:
            return events
        self._sources[mode].detection_bound = bound
        return events + self._settle(self._keys_with_bad_news(), now)

    def died(self, mode: str, reason: str, now: float) -> list[MemberEvent]:
        """The driver of `mode` is gone with all it knew; what it reported has to be confirmed by its next run."""
        events = self.authoritative(mode, False, reason, now)
        for key in self._keys_of(mode):
            for node, report in self._record(key).reports[mode].processes.items():
                lost = attrs.evolve(report, state=MemberState.FAILED)
                self._unconfirmed[mode].setdefault((key, node), _Unconfirmed(lost, now))
        return events

    def expire(self, now: float) -> list[MemberEvent]:
        """Do what the rules say at this time."""
        heard: dict[Key, None] = {}
        for mode in [mode for mode, by in self._confirm_by.items() if by <= now]:
            del self._confirm_by[mode]
            unconfirmed, self._unconfirmed[mode] = self._unconfirmed[mode], {}
            for (key, _), news in unconfirmed.items():
                self._record(key).take(mode, news.report, news.since, -math.inf)
                heard[key] = None
        while self._agenda and self._agenda[0][0] <= now:
            due, key = heapq.heappop(self._agenda)
            if self._due.get(key) == due:
                del self._due[key]
                heard[key] = None
        return self._settle(heard, now)

    # -- how ---------------------------------------------------------------------------------------------------------

    def _take(self, mode: str, report: Member, now: float) -> bool:
        """Take in one report; whether it may change the view."""
        source, key = self._sources[mode], report.key
        record = self._record(key)
        before = record.reports.get(mode)
        known = before is not None and report.node in before.processes
        if report.state is not MemberState.ALIVE and known and not source.authoritative:
            self._unconfirmed[mode][key, report.node] = _Unconfirmed(report, now)
            return False
        self._unconfirmed[mode].pop((key, report.node), None)
        record.take(mode, report, now, source.since)
        return True

    def _record(self, key: Key) -> MemberRecord:
        service, host, port = key
        known = self._services.get(service)
        if known is None:
            known = self._services[service] = _Service()
        record = known.records.get((host, port))
        if record is None:
            record = known.records[host, port] = MemberRecord()
        return record

    def _keys_of(self, mode: str) -> list[Key]:
        """The members that the driver has, or has lost while another one has them."""
        return [
            (name, *address)
            for name, service in self._services.items()
            for address, record in service.records.items()
            if mode in record.reports
        ]

    def _keys_with_bad_news(self) -> list[Key]:
        return [
            (name, *address)
            for name, service in self._services.items()
            for address, record in service.records.items()
            if record.bad_news
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
            member, again = record.settle(self._sources, now)
            self._schedule(key, again)
            if record.empty:
                del service.records[address]
            touched[name] = None
            before = service.shown.get(address)
            if member != before:
                changed[name] = None
                _show(service, address, member, now)
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
            # One tuple if all are alive: what was made of the members is known of the candidates then.
            candidates = alive if 0 < len(alive) < len(members) else members
            before = name in self._snapshots
            if members:
                self._snapshots[name] = Snapshot(
                    name, members, candidates, self._stale(members), MappingProxyType(service.since)
                )
            else:
                self._snapshots.pop(name, None)
            if before is not bool(members):
                self._renamed += 1

    def _stale(self, members: Iterable[Member]) -> bool:
        counting = {mode for mode, source in self._sources.items() if source.authoritative}
        return len(counting) < len(self._sources) and any(counting.isdisjoint(member.sources) for member in members)

    def _any_authoritative(self) -> bool:
        return any(source.authoritative for source in self._sources.values())


def _show(service: _Service, address: Address, member: Member | None, now: float) -> None:
    before = service.shown.get(address)
    if member is None:
        del service.shown[address], service.since[address]
        return
    if before is None:
        service.in_order = False
    if before is None or before.state is not member.state:
        service.since[address] = now
    service.shown[address] = member


def _events(before: Member | None, after: Member | None, record: MemberRecord) -> Iterator[MemberEvent]:
    if after is None:
        if before is not None:
            yield MemberEvent(EventKind.LEFT, attrs.evolve(before, state=record.last_state), before)
    elif before is None:
        yield MemberEvent(EventKind.JOINED, after)
    elif after.sources == before.sources or _matters(before) != _matters(after):
        yield MemberEvent(EventKind.UPDATED, after, before)


def _matters(member: Member) -> tuple[object, ...]:
    """What a caller notices. That a second backend has found the member too is no news, nor are its names for it."""
    return (member.state, member.weight, member.scheme, member.root_path)
