"""The rows of the page: one for each service of a node, made when somebody looks and kept while nothing changes.

A row has the names that go-doudou's page gives to its fields, and ours beside them. The members of a service are looked
at again when its snapshot is another one, or when this process calls it: what it remembers of calls changes by itself.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from ...balancers.explaining import explain_service
from ...balancers.memory.service_memory import ServiceMemory
from ...balancers.service_state import state_if_any
from ...balancers.surroundings import surroundings_of
from ...discovery.explanation import MemberExplanation
from ...discovery.merging.snapshot import Snapshot
from ...discovery.registry import Registry
from ...discovery.status import RegistryStatus
from ...drivers.members import MemberState, json_value

__all__ = ["STATES", "Row", "Service", "Table", "natural"]

STATES = ("up", "suspect", "ejected", "trial", "draining", "idle")
"""What a row is, the worst first that is so: *idle* has a weight of 0, *trial* is back until the first outcome."""

_FRESH_FOR = 0.4
_HISTORY_EVERY = 1.0
_HISTORY_KEPT = 600
_SHARE_MAY_DIFFER = 0.1
_NUMBER = re.compile("([0-9]{1,18})")
_SEARCHED = ("svcName", "hostname", "baseUrl", "state", "reason", "registry", "zone", "goVer", "gddVer", "buildUser")
_STATUS = {"ejected": "ejected", "on trial": "trial", "weight 0": "idle"}


@attrs.frozen(eq=False)
class Row:
    """One service of a node.

    Attributes:
        number: tells the row from all others, in every process that shows it: of several workers any may answer.
        address: tells it from the others of its service.
        fields: as JSON takes them, without `index` and `uptime`.
        text: what a search looks at, in lower case.
    """

    number: int
    address: str
    fields: Mapping[str, Any]
    text: str


@attrs.frozen(eq=False)
class Service:
    """The members of one service, as one registry sees them."""

    registry: str
    name: str
    call: str
    rows: tuple[Row, ...]
    snapshot: Snapshot


class Table:
    """All rows of all registries. For any thread; `refresh` makes it new, the rest reads.

    Args:
        registries: gives those that there are, by name.

    Attributes:
        version: another one after every change.
        services: by registry and name.
        status: of each registry, by name.
        counts: how many rows are in each state.
        history: the Unix time in seconds, and the `counts` then, in the order of `STATES`.
    """

    def __init__(self, registries: Callable[[], Mapping[str, Registry]], now: Callable[[], float] = time.time) -> None:
        self._registries = registries
        self._now = now
        self._lock = threading.Lock()
        self._refreshed = -1.0
        self._offsets: dict[int, float] = {}
        self._known: dict[tuple[str, str], Service] = {}
        self._said: dict[str, tuple[object, ...]] = {}
        self.version = 0
        self.services: tuple[Service, ...] = ()
        self.status: Mapping[str, RegistryStatus] = {}
        self.counts: Mapping[str, int] = dict.fromkeys(STATES, 0)
        self.history: list[tuple[int, ...]] = []

    def refresh(self) -> None:
        """Look at the registries, unless somebody has just done so."""
        with self._lock:
            now = time.monotonic()
            if self._refreshed >= 0 and now - self._refreshed < _FRESH_FOR:
                return
            registries = self._registries()
            status = {name: registry.status() for name, registry in registries.items()}
            services = tuple(self._look(registries, status))
            said = {name: _said(each) for name, each in status.items()}
            if services != self.services or said != self._said:
                self.version += 1
            self.services, self.status, self._said = services, status, said
            self._known = {(service.registry, service.name): service for service in services}
            self._count()
            self._refreshed = time.monotonic()

    def forget(self) -> None:
        """Nobody looks any more."""
        with self._lock:
            self._refreshed, self._known, self.services, self.status, self._said = -1.0, {}, (), {}, {}
            self.history = []
            self.version += 1

    def _look(self, registries: Mapping[str, Registry], status: Mapping[str, RegistryStatus]) -> Iterator[Service]:
        for name, registry in registries.items():
            for snapshot in status[name].snapshots:
                known = self._known.get((name, snapshot.service))
                if known is None or known.snapshot is not snapshot or state_if_any(registry, snapshot.service):
                    yield self._made(name, registry, snapshot, known)
                else:
                    yield known

    def _made(self, name: str, registry: Registry, snapshot: Snapshot, known: Service | None) -> Service:
        explained = explain_service(registry, snapshot)
        since, called = self._unix_time(registry), _called(registry, snapshot)
        before = {row.address: row for row in known.rows} if known is not None else {}
        made: list[Row] = []
        for each in explained.members:
            fields, address = _fields(name, each, snapshot.since, since, called), each.member.address
            row = before.get(address)
            if row is None or not _alike(row.fields, fields):
                number = _number(name, snapshot.service, address) if row is None else row.number
                row = Row(number, address, fields, _searched(fields))
            made.append(row)
        rows = tuple(sorted(made, key=lambda row: natural(row.address)))
        if known is not None and (known.rows, known.call, known.snapshot) == (rows, explained.call, snapshot):
            return known
        return Service(name, snapshot.service, explained.call, rows, snapshot)

    def _unix_time(self, registry: Registry) -> Callable[[float], float]:
        """Turns the clock of the registry into Unix time, always by the same difference: rows would seem to change."""
        clock = surroundings_of(registry).clock
        offset = self._offsets.setdefault(id(registry), self._now() - clock())
        return lambda seconds: round(offset + seconds, 1)

    def _count(self) -> None:
        counts = dict.fromkeys(STATES, 0)
        for service in self.services:
            for row in service.rows:
                counts[row.fields["state"]] += 1
        self.counts = counts
        now = int(self._now())
        if not self.history or now - self.history[-1][0] >= _HISTORY_EVERY:
            self.history.append((now, *counts.values()))
            del self.history[:-_HISTORY_KEPT]


def _number(*names: str) -> int:
    """The same for the same names everywhere, and small enough for a script."""
    text = "\n".join(names).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest())


def _called(registry: Registry, snapshot: Snapshot) -> frozenset[tuple[str, str, int]]:
    """The members whose latency comes from calls of this process: of others it is a guess."""
    state = state_if_any(registry, snapshot.service)
    if state is None:
        return frozenset()

    def learned(now: float, memory: ServiceMemory) -> frozenset[tuple[str, str, int]]:
        records = ((member.key, memory.record(member)) for member in snapshot.members)
        return frozenset(key for key, record in records if record is not None and record.learned)

    return state.look(learned)


def _said(status: RegistryStatus) -> tuple[object, ...]:
    """What of a status is shown."""
    return (
        status.running,
        status.presence,
        status.doubt,
        status.stale,
        status.configuration,
        [
            (b.mode, b.ready, b.authoritative, b.reason, b.error, b.driver.message, b.driver.nodes, b.driver.gauges)
            for b in status.backends
        ],
    )


def natural(text: str) -> list[str | int]:
    """A key by which texts are in the order of the numbers in them: 10.0.0.9 before 10.0.0.10."""
    return [int(part) if place % 2 else part for place, part in enumerate(_NUMBER.split(text))]


def _fields(
    registry: str,
    explained: MemberExplanation,
    since: Mapping[tuple[str, int], float],
    unix_time: Callable[[float], float],
    called: frozenset[tuple[str, str, int]],
) -> dict[str, Any]:
    member = explained.member
    came = since.get((member.host, member.port))
    process = member.process
    told = {
        "registry": registry,
        "svcName": member.service,
        "hostname": member.node,
        "baseUrl": member.base_url,
        "status": "up" if member.state is MemberState.ALIVE else "suspect",
        "goVer": process.get("goVer", ""),
        "gddVer": process.get("gddVer", ""),
        "buildUser": process.get("buildUser", ""),
        "buildTime": process.get("buildTime", ""),
        "data": dict(member.data),
        "host": member.host,
        "svcPort": member.port,
        "memPort": process.get("memPort"),
        "scheme": member.scheme,
        "rootPath": member.root_path,
        "state": _state(explained),
        "reason": explained.reason,
        "stateSince": None if came is None else unix_time(came),
        "registerAt": member.registered_at,
        "weight": member.weight,
        "dynamicWeight": member.dynamic_weight,
        "sources": member.sources,
        "zone": explained.zone,
        "zoneShare": explained.zone_share,
        "share": _short(explained.share),
        "ejectedFor": None if explained.ejected_for is None else round(explained.ejected_for, 1),
        "slowStart": None if explained.slow_start is None else round(explained.slow_start, 2),
        "latency": _short(explained.ewma) if member.key in called else None,
        "inFlight": explained.in_flight,
        "failures": explained.consecutive,
        "successRatio": _short(explained.success_ratio),
    }
    fields: dict[str, Any] = json_value(told)
    return fields


def _alike(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a row tells the same still. Whoever comes or goes changes a little of everybody's share."""
    share: float = before["share"]
    near = abs(after["share"] - share) <= _SHARE_MAY_DIFFER * share
    return before == after or (near and before == {**after, "share": share})


def _state(explained: MemberExplanation) -> str:
    member = explained.member
    if member.state is not MemberState.ALIVE:
        return "suspect"
    return "draining" if member.draining else _STATUS.get(explained.status, "up")


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _searched(fields: Mapping[str, Any]) -> str:
    parts = [fields[name] for name in _SEARCHED]
    parts += fields["sources"]
    parts += [f"{key}={value}" for key, value in fields["data"].items()]
    return "\n".join(parts).lower()
