"""What all balancers do alike: find the view, keep what they derived from it, say why there is nobody to pick.

A balancer reads the registry's snapshot of its service without a lock. Whatever it derives from a snapshot it
computes once and keeps together with that snapshot in one tuple, replaced by one assignment: a thread sees either
the old pair or the new one. Two threads may compute the same table at the same moment; that is cheaper than a lock
on every pick.

Weights: a member of weight 0 takes no traffic, unless all have weight 0; then all are equal.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

from ..discovery import Registry, default_registry
from ..discovery.merging.view import Snapshot
from ..drivers.errors import NoMemberAvailable
from ..drivers.members import Member

__all__ = ["Balancer", "Views"]

T = TypeVar("T")
Excluded = Collection[Member | tuple[str, str, int]]


class Views(Protocol):
    """What a balancer needs of a registry; `Registry` is one."""

    def snapshot(self, service: str) -> Snapshot:
        """The members of a service now; the same object until they change."""

    def explain(self, service: str) -> str:
        """What is known about a service, in one line."""


class Balancer(Generic[T]):
    """Chooses a member of `service`; subclasses say how, in `_table` and `_choose`.

    Args:
        service: the plain name.
        registry: None means the process's default registry, whichever runs at the time of each pick: a balancer may be
            made before `new_node()`.
    """

    def __init__(self, service: str, registry: Views | None = None) -> None:
        self.service = service
        self._registry = registry
        self._derived: tuple[Snapshot | None, T | None] = (None, None)
        self._closed = False

    def _table(self, members: tuple[Member, ...]) -> T:
        """What is computed once for these members, all of whose weights are positive."""
        raise NotImplementedError

    def _choose(self, table: T) -> Member:
        """One pick."""
        raise NotImplementedError

    def pick(self, exclude: Excluded = ()) -> Member:
        """One member; with `exclude` (members, or their keys), another one: for a retry.

        Raises:
            NoMemberAvailable: nobody is there, or nobody else.
        """
        registry = self._registry or default_registry.current()
        if registry is None or self._closed:
            raise self._unavailable(registry)
        snapshot = registry.snapshot(self.service)
        if not snapshot.members and isinstance(registry, Registry) and registry.members(self.service):
            snapshot = registry.snapshot(self.service)
        known, table = self._derived
        if known is not snapshot:
            members = _sharing(snapshot.candidates)
            table = self._table(members) if members else None
            self._derived = (snapshot, table)
        if exclude:
            return self._pick_another(snapshot, exclude, registry)
        if table is None:
            raise self._unavailable(registry)
        return self._choose(table)

    def _pick_another(self, snapshot: Snapshot, exclude: Excluded, registry: Views) -> Member:
        keys = {item.key if isinstance(item, Member) else item for item in exclude}
        members = _sharing(tuple(member for member in snapshot.candidates if member.key not in keys))
        if members:
            return self._choose(self._table(members))
        if snapshot.candidates:
            count = len(snapshot.candidates)
            raise NoMemberAvailable(
                f"service {self.service!r} has {count} member{'s' if count > 1 else ''} to pick, and all are excluded: "
                + ", ".join(member.address for member in snapshot.candidates[:5])
            )
        raise self._unavailable(registry)

    def _unavailable(self, registry: Views | None) -> NoMemberAvailable:
        if self._closed:
            return NoMemberAvailable(f"the balancer for {self.service!r} is closed")
        if registry is None:
            return NoMemberAvailable(
                f"no member of {self.service!r} is known, because no registry runs in this process: call "
                "pydoudou.new_node() first (new_node(register=False) in a process that only calls others)"
            )
        return NoMemberAvailable(f"no member to pick: {registry.explain(self.service)}")

    def members(self) -> tuple[Member, ...]:
        """All members now, suspects included; empty while no registry runs."""
        registry = self._registry or default_registry.current()
        return () if registry is None or self._closed else registry.snapshot(self.service).members

    def close(self) -> None:
        """Pick no more."""
        self._closed = True
        self._derived = (None, None)


def _sharing(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Those that share the traffic: the ones with a weight, or all if none has one."""
    weighted = tuple(member for member in members if member.weight > 0)
    return weighted or members
