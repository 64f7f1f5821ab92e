"""What all balancers do alike: find the view, keep what they derived from it, say why there is nobody to pick.

A balancer reads the registry's snapshot of its service without a lock. Whatever it derives from a snapshot it computes
once and keeps in one object, replaced by one assignment: a thread sees either the old one or the new one. Two threads
may compute the same table at the same moment; that is cheaper than a lock on every pick.

Who shares the traffic, and who is tried last, is decided in `memory.chain`, on the whole view; only then is anybody
excluded. A pick that excludes somebody is a retry: it takes no turn of the ordinary picks, so that a member that is
down does not cost its neighbour a share.
"""

from __future__ import annotations

import itertools
import random as global_random
from collections.abc import Collection, Sequence
from typing import Any, Generic, Protocol, TypeVar

from ..discovery import Subscription, default_registry
from ..discovery.merging.snapshot import Snapshot
from ..drivers.errors import NoMemberAvailable
from ..drivers.members import Member
from .balancer import Excluded
from .memory.chain import Sharing, last_resort, sharing
from .memory.pick import Pick
from .service_state import ServiceState, state_of

__all__ = ["MemberSource", "Random", "TableBalancer"]

T = TypeVar("T")
Key = tuple[str, str, int]


class MemberSource(Protocol):
    """What a balancer needs of a registry; `Registry` is one."""

    def snapshot(self, service: str, /) -> Snapshot:
        """The members of a service now; the same object until they change."""

    def explain(self, service: str) -> str:
        """What is known about a service, in one line."""


class Random(Protocol):
    """A source of randomness; `random.Random` and the module `random` are two."""

    def random(self) -> float:
        """At least 0, less than 1."""

    def getrandbits(self, k: int, /) -> int:
        """A whole number of so many bits."""


class _Tier(Generic[T]):
    """Members that share traffic among themselves, and the table made of them."""

    __slots__ = ("keys", "members", "table")

    def __init__(self, sharing: Sharing, table: T) -> None:
        self.members, self.table = sharing.members, table
        self.keys = frozenset(member.key for member in sharing.members)


class _Derived(Generic[T]):
    """What a balancer made of one snapshot at one epoch.

    Attributes:
        table: None if there is nobody.
        tiers: made when a pick first excludes somebody: those who share the traffic, then the suspects.
    """

    __slots__ = ("epoch", "memory", "sharing", "snapshot", "state", "table", "tiers")

    def __init__(self, snapshot: Snapshot | None, state: ServiceState | None, shared: Sharing, table: T | None) -> None:
        self.snapshot, self.state, self.sharing, self.table = snapshot, state, shared, table
        self.memory = _FORGETFUL if state is None else state.memory
        self.epoch = self.memory.epoch
        self.tiers: list[_Tier[T]] | None = None


_FORGETFUL: Any = ServiceState().memory
_NOBODY = Sharing((), ())


class TableBalancer(Generic[T]):
    """Chooses a member of `service` from a table that is made once per view; subclasses say how.

    Args:
        service: the plain name.
        registry: None means the process's default registry, whichever runs at the time of each pick: a balancer may be
            made before `new_node()`.
        random: where chance comes from; a seeded `random.Random` makes the picks repeatable.
    """

    def __init__(self, service: str, registry: MemberSource | None = None, *, random: Random | None = None) -> None:
        self.service = service
        self._registry = registry
        self._random: Random = random or global_random
        self._retries = itertools.count(self._random.getrandbits(16))
        self._derived: _Derived[T] = _Derived(None, None, _NOBODY, None)
        self._closed = False
        self._subscribed: tuple[MemberSource, Subscription] | None = None
        self._subscription(registry or default_registry.current())

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def make_table(self, members: Sequence[Member], weights: Sequence[float]) -> T:
        """What is computed once for these members, at least one; all weights are positive."""
        raise NotImplementedError

    def choose(self, table: T) -> Member:
        """One pick."""
        raise NotImplementedError

    def choose_other(self, table: T, excluded: Collection[Key]) -> Member:
        """One pick of those in the table that are not excluded, at least one, without a turn of `choose`."""
        raise NotImplementedError

    # -- picking -------------------------------------------------------------------------------------------------------

    def pick(self, exclude: Excluded = ()) -> Member:
        """One member; with `exclude` (members, or their keys), another one: for a retry.

        Raises:
            NoMemberAvailable: nobody is there, or nobody else.
        """
        registry = self._registry or default_registry.current()
        if registry is None or self._closed:
            raise self._unavailable(registry)
        snapshot = registry.snapshot(self.service)
        derived = self._derived
        if derived.snapshot is not snapshot or derived.epoch != derived.memory.epoch:
            derived = self._derive(registry, snapshot)
        if exclude:
            return self._pick_other(derived, exclude)
        if derived.table is None:
            derived = self._after_first_answer(registry, derived)
        if derived.table is None:
            raise self._unavailable(registry)
        return self.choose(derived.table)

    def begin(self, exclude: Excluded = ()) -> Pick:
        """As `pick`, for a call whose end will be told by the pick's `done`.

        Raises:
            NoMemberAvailable: nobody is there, or nobody else.
        """
        member = self.pick(exclude)
        derived = self._derived
        if derived.state is None or derived.snapshot is None:
            return Pick(member)
        return derived.state.begin(member, derived.snapshot)

    def members(self) -> tuple[Member, ...]:
        """All members now, suspects included; empty while no registry runs."""
        registry = self._registry or default_registry.current()
        return () if registry is None or self._closed else registry.snapshot(self.service).members

    @property
    def view(self) -> Snapshot | None:
        """What the last pick saw; the same object until it changes, None before the first pick."""
        return self._derived.snapshot

    def eligible(self) -> Sequence[Member]:
        """Whom the picks of one call can go to, one after the other, as of the last pick."""
        derived = self._derived
        if derived.snapshot is None or len(derived.snapshot.candidates) == len(derived.snapshot.members):
            return derived.sharing.members
        return [member for tier in self._tiers(derived) for member in tier.members]

    def wait(self, timeout: float) -> bool:
        """Wait for the first answer about the service; whether it came within so many seconds."""
        subscription = self._subscription(self._registry or default_registry.current())
        return subscription is not None and subscription.wait(timeout)

    async def wait_async(self, seconds: float) -> bool:
        """As `wait`, without blocking the event loop."""
        subscription = self._subscription(self._registry or default_registry.current())
        return subscription is not None and await subscription.wait_async(seconds)

    def close(self) -> None:
        """Pick no more, and want the service no more."""
        self._closed = True
        self._derived = _Derived(None, None, _NOBODY, None)
        subscribed, self._subscribed = self._subscribed, None
        if subscribed is not None:
            subscribed[1].close()

    # -- how -----------------------------------------------------------------------------------------------------------

    def _subscription(self, registry: MemberSource | None) -> Subscription | None:
        """What this balancer holds of the registry, for as long as it is used with it; None if it cannot be had."""
        subscribed = self._subscribed
        if subscribed is not None and subscribed[0] is registry:
            return subscribed[1]
        subscribe = getattr(registry, "subscribe", None)
        if registry is None or subscribe is None or self._closed:
            return None
        subscription: Subscription = subscribe(self.service)
        self._subscribed = (registry, subscription)
        return subscription

    def _after_first_answer(self, registry: MemberSource, derived: _Derived[T]) -> _Derived[T]:
        """What there is after the backends had their moment, which they have once, and where nobody is held up."""
        subscription = self._subscription(registry)
        if subscription is None or not subscription.first_answer():
            return derived
        snapshot = registry.snapshot(self.service)
        return derived if snapshot is derived.snapshot else self._derive(registry, snapshot)

    def _derive(self, registry: MemberSource, snapshot: Snapshot) -> _Derived[T]:
        self._subscription(registry)
        # A memory is kept for services that have members only: names may come from strangers' requests.
        state = state_of(registry, snapshot.service) if snapshot.members else None
        shared = sharing(snapshot)
        table = self.make_table(shared.members, shared.weights) if shared.members else None
        derived = self._derived = _Derived(snapshot, state, shared, table)
        return derived

    def _tiers(self, derived: _Derived[T]) -> list[_Tier[T]]:
        if derived.tiers is None:
            tiers = []
            if derived.table is not None:
                tiers.append(_Tier(derived.sharing, derived.table))
            if derived.snapshot is not None and (last := last_resort(derived.snapshot)).members:
                tiers.append(_Tier(last, self.make_table(last.members, last.weights)))
            derived.tiers = tiers
        return derived.tiers

    def _pick_other(self, derived: _Derived[T], exclude: Excluded) -> Member:
        excluded = {item.key if isinstance(item, Member) else item for item in exclude}
        for tier in self._tiers(derived):
            if not tier.keys <= excluded:
                return self.choose_other(tier.table, excluded)
        if derived.table is None or derived.snapshot is None:
            raise self._unavailable(self._registry or default_registry.current())
        members = [member for tier in self._tiers(derived) for member in tier.members]
        raise NoMemberAvailable(
            f"service {self.service!r} has {len(members)} member{'s' if len(members) > 1 else ''} to pick, "
            f"and all are excluded: {', '.join(member.address for member in members[:5])}"
        )

    def _unavailable(self, registry: MemberSource | None) -> NoMemberAvailable:
        if self._closed:
            return NoMemberAvailable(f"the balancer for {self.service!r} is closed")
        if registry is None:
            return NoMemberAvailable(
                f"no member of {self.service!r} is known, because no registry runs in this process: call "
                "pydoudou.new_node() first (new_node(register=False) in a process that only calls others)"
            )
        return NoMemberAvailable(f"no member to pick: {registry.explain(self.service)}")
