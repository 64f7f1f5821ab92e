"""What all balancers do alike: find the view, keep what they derived from it, say why there is nobody to pick.

A balancer reads the registry's snapshot of its service without a lock. Whatever it derives from a snapshot it computes
once and keeps in one object, replaced by one assignment: a thread sees either the old one or the new one. Two threads
may compute the same table at the same moment; that is cheaper than a lock on every pick.

Who shares the traffic, and who is tried last, is decided in `memory.chain`, on the whole view; only then is anybody
excluded. A pick that excludes somebody is a retry: it takes no turn of the ordinary picks, so that a member that is
down does not cost its neighbour a share. It is drawn at random, by the weights: whatever turns retries took among
themselves, some pattern of members that are down would have the same one follow them each time.
"""

from __future__ import annotations

import functools
import random as global_random
from collections.abc import Callable, Sequence
from math import inf
from threading import get_ident
from typing import Generic, TypeVar

from ..discovery import Registry, default_registry
from ..discovery.arguments import checked_service
from ..discovery.merging.snapshot import Snapshot
from ..discovery.subscription import Subscription
from ..drivers.errors import NoMemberAvailable
from ..drivers.members import Member
from .balancer import Excluded, Random
from .calls.policy import CallPolicy
from .default_policy import default_policy
from .derived import HAS_GIL, Derived
from .member_source import MemberSource
from .memory.chain import Sharing, last_resort
from .memory.pick import Pick
from .memory.policy import HealthPolicy
from .memory.service_memory import ServiceMemory, Visit
from .own_call import OwnCall
from .service_state import ServiceState, state_of
from .shared_calls import SharedCalls
from .subscribed import Subscribed
from .surroundings import surroundings_of
from .tier import Tier

__all__ = ["TableBalancer"]

T = TypeVar("T")
Key = tuple[str, str, int]


_NOBODY = object()


class TableBalancer(Generic[T]):
    """Chooses a member of `service` from a table that is made once per view; subclasses say how.

    Args:
        service: the plain name.
        registry: None means the process's default registry, whichever runs at the time of each pick: a balancer may be
            made before `new_node()`.
        random: where chance comes from; a seeded `random.Random` makes the picks repeatable.
    """

    def __init__(self, service: str, registry: MemberSource | None = None, *, random: Random | None = None) -> None:
        if registry is not None and not isinstance(registry, MemberSource):
            raise TypeError(
                f"registry is a {type(registry).__name__}; accepted: a Registry, or None for the default one"
            )
        if random is not None and not isinstance(random, Random):
            raise TypeError(f"random is a {type(random).__name__}; accepted: a random.Random, or None")
        self.service = checked_service(service)
        self._registry = registry
        self._has_settings = registry is None or isinstance(registry, Registry)
        self._random: Random = random or global_random
        self._derived: Derived[T] = Derived()
        # Whom the service was last asked of. Nobody yet is not the same as no registry.
        self._source: object = _NOBODY
        self._subscribed = Subscribed(self.service)
        self._closed = False
        self._own_calls = SharedCalls()
        self._health: HealthPolicy | None = None

    how = "its turn"
    """How a member is chosen, in a few words: what `Pick.why` begins with."""

    visits_starved = False
    """Whether a member that it has not chosen for long gets a call now and then."""

    only_chooses = True
    """Whether `pick` only calls `choose`, so that calls may do without it; not with a `pick` of a subclass."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "pick" in vars(cls) and "only_chooses" not in vars(cls):
            cls.only_chooses = False

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def make_table(self, members: Sequence[Member], weights: Sequence[float]) -> T:
        """What is computed once for these members, at least one; all weights are positive."""
        raise NotImplementedError

    def choose(self, table: T) -> Member:
        """One pick."""
        raise NotImplementedError

    def retry_weights(self, weights: Sequence[float]) -> Sequence[float]:
        """In what proportion the retries go to the members, whose weights are these."""
        return weights

    def table_of(self, shared: Sharing, snapshot: Snapshot, state: ServiceState, clock: Callable[[], float]) -> T:
        """As `make_table`, for those who need more than the weights: what is remembered, and the time."""
        return self.make_table(shared.members, shared.weights)

    def draw_other(self, draw: Callable[[], Member], memory: ServiceMemory, now: Callable[[], float]) -> Member:
        """One pick among those that a retry has not tried; `draw` gives one of them by chance, by the retry weights."""
        return draw()

    # -- picking -------------------------------------------------------------------------------------------------------

    def pick(self, exclude: Excluded = ()) -> Member:
        """One member; with `exclude` (members, or their keys), another one: for a retry.

        Raises:
            NoMemberAvailable: nobody is there, or nobody else.
        """
        registry = self._registry or default_registry.current()
        if registry is None or registry is not self._source:
            registry = self._turn_to(registry)
        snapshot, derived = registry.snapshot(self.service), self._derived
        table = derived.table
        if (
            table is None
            or derived.snapshot is not snapshot
            or derived.epoch != derived.memory.epoch
            or (derived.due != inf and derived.clock() >= derived.due)
        ):
            derived = self._up_to_date(registry, snapshot)
            table = derived.table
        if exclude:
            member = self._pick_other(derived, exclude, registry)
        elif table is None:
            raise self._unavailable(registry)
        else:
            member = self.choose(table)
        if derived.observers.listening:
            derived.observers.picked(self.service, member)
        return member

    def begin(self, exclude: Excluded = ()) -> Pick:
        """As `pick`, for a call whose end will be told by the pick's `done`.

        Raises:
            NoMemberAvailable: nobody is there, or nobody else.
        """
        derived = self._derived
        now, memory, table = derived.clock(), derived.memory, derived.to_call
        if now >= memory.settle_at and derived.state is not None:
            derived.state.settle(now, derived.observers)  # before the choice, not after it
        registry = self._registry or default_registry.current()
        if (
            table is None
            or exclude
            or registry is None
            or registry is not self._source
            or registry.snapshot(self.service) is not derived.snapshot
            or derived.epoch != memory.epoch
            or now >= memory.visit_at
            or now >= derived.watched.get(get_ident(), -inf)
            or derived.observers.listening
        ):
            return self._begin(exclude, now)
        # As nearly every call begins: `ServiceState.begin` and `ServiceMemory.begin` in one piece, without a lock: it
        # only counts, and with the GIL nothing of that is lost to another thread.
        member, loads = self.choose(table), memory.loads
        record = memory.by_address.get((member.host, member.port))
        if record is None or not record.queued or (place := record.place) < 0:
            return self._begun(member, derived, now, self.how)
        record.called = now
        record.in_flight += 1
        pending = loads.pending[place]
        loads.pending[place] = pending + 1
        if place not in loads.waiting:
            loads.waiting[place] = now
        return Pick(member, derived.source, record, pending, now)

    def _begin(self, exclude: Excluded, now: float) -> Pick:
        derived = self._derived
        if now >= derived.memory.visit_at and not exclude and (visit := self._visit(now)) is not None:
            member, how = visit
            derived.observers.picked(self.service, member)
        else:
            member, how = self.pick(exclude), "not tried before" if exclude else self.how
            if derived is not self._derived:
                derived = self._derived
                now = derived.clock()
        return self._begun(member, derived, now, how)

    @staticmethod
    def _begun(member: Member, derived: Derived[T], now: float, how: str) -> Pick:
        state, source = derived.state, derived.source
        return Pick(member, source) if state is None else state.begin(member, source, now, how)

    def settle(self) -> None:
        """Count the calls that have ended, which the next one would have to do."""
        derived = self._derived
        if derived.state is not None:
            derived.state.settle(derived.clock(), derived.observers)

    def call(self, exclude: Excluded = ()) -> OwnCall:
        """A call by whatever client, as a block (``with`` or ``async with``) that reports how it ended by itself.

        ::

            with orders.call() as call:
                print(socket.create_connection((call.member.host, call.member.port), timeout=1))
        """
        return OwnCall(functools.partial(self.begin, exclude), lambda: self._derived.clock())

    @property
    def calls(self) -> SharedCalls:
        """What the calls of the service share; this balancer's own while the service has no members."""
        state = self._derived.state or self.state
        return self._own_calls if state is None else state.calls

    @property
    def counters(self) -> dict[str, int]:
        """What the rules of `CallPolicy` did to the service's calls, whoever made them, and under ``dry_run_…`` what
        they would have done.
        """
        return dict(self.calls.counters)

    @property
    def state(self) -> ServiceState | None:
        """What all balancers and clients of the process share about the service; None while it has no members."""
        if self._derived.state is None and not self._closed:
            registry = self._registry or default_registry.current()
            if registry is not None:
                if registry is not self._source:
                    self._turn_to(registry)
                self._derive(registry, registry.snapshot(self.service))
        return self._derived.state

    @property
    def health(self) -> HealthPolicy:
        """The rules by which the service's members get calls, for all balancers and clients of the process."""
        state = self.state
        return (self._health or HealthPolicy()) if state is None else state.health

    @health.setter
    def health(self, policy: HealthPolicy) -> None:
        state = self._derived.state
        if state is None:
            self._health = policy  # for as soon as there are members
        else:
            state.health = policy

    @property
    def random(self) -> Random:
        """Where chance comes from."""
        return self._random

    def default_policy(self) -> CallPolicy:
        """The policy of calls whose client was given none, as the variables of the registry say."""
        registry = (self._registry or default_registry.current()) if self._has_settings else None
        return default_policy(registry)  # type: ignore[arg-type]

    def members(self) -> tuple[Member, ...]:
        """All members now, suspects included; empty while no registry runs."""
        registry = self._registry or default_registry.current()
        if registry is None or self._closed:
            return ()
        if registry is not self._source:
            self._turn_to(registry)
        return registry.snapshot(self.service).members

    def wait(self, timeout: float) -> bool:
        """Block this thread until the backends have answered who offers the service; whether they have within `timeout`
        seconds.
        """
        subscription = self._subscription()
        return subscription.wait(timeout) if subscription is not None else bool(self.members())

    async def wait_async(self, timeout: float) -> bool:  # noqa: ASYNC109 (the twin of `wait`)
        """The same for a task of asyncio or trio; it does not block its event loop."""
        subscription = self._subscription()
        return await subscription.wait_async(timeout) if subscription is not None else bool(self.members())

    def close(self) -> None:
        """Pick no more, and have the backends report the service no longer for this balancer."""
        self._closed, self._source = True, _NOBODY
        self._subscribed.close()
        self._derived = Derived()

    # -- how -----------------------------------------------------------------------------------------------------------

    def _derive(self, registry: MemberSource, snapshot: Snapshot) -> Derived[T]:
        observers = registry.observers if isinstance(registry, Registry) else None
        # A memory is kept for services that have members only: names may come from strangers' requests.
        state = state_of(registry, snapshot.service) if snapshot.members else None
        if state is not None and self._health is not None:
            state.health, self._health = self._health, None
        clock = surroundings_of(registry).clock
        shared, epoch, due = (Sharing((), ()), 0, inf) if state is None else state.share(snapshot)
        derived: Derived[T] = Derived(snapshot, state, shared, None, observers, clock)
        derived.due, derived.source.how = due, self.how
        if shared.members and state is not None:
            derived.epoch = epoch
            derived.table = self.table_of(shared, snapshot, state, clock)
            if due == inf:
                derived.quick = derived.table
                derived.to_call = derived.table if HAS_GIL and self.only_chooses else None
        if shared.rest or len(snapshot.candidates) != len(snapshot.members):
            derived.source.eligible = [member for tier in self._tiers(derived) for member in tier.members]
        self._derived = derived
        return derived

    def _up_to_date(self, registry: MemberSource, snapshot: Snapshot) -> Derived[T]:
        """What is derived from this snapshot now."""
        derived = self._derived
        if derived.due != inf and derived.state is not None and (now := derived.clock()) >= derived.due:
            derived.state.advance(now)
            derived.due = derived.memory.due
        if derived.snapshot is not snapshot or derived.epoch != derived.memory.epoch:
            derived = self._derive(registry, snapshot)
        return self._after_first_answer(registry) if derived.table is None else derived

    def _visit(self, now: float) -> Visit | None:
        """A member that has to be called whatever the balancer would choose, as far as the present view has it."""
        registry = self._registry or default_registry.current()
        derived = self._derived
        if derived.state is None or registry is None or registry is not self._source:
            return None
        if registry.snapshot(self.service) is not derived.snapshot:
            return None
        return derived.state.visit(now, self.visits_starved)

    def _after_first_answer(self, registry: MemberSource) -> Derived[T]:
        """What there is when a backend has had a moment to answer, once for each service, and not in an event loop."""
        subscription = self._subscription()
        if subscription is not None:
            subscription.first_answer()
        return self._derive(registry, registry.snapshot(self.service))

    def _turn_to(self, registry: MemberSource | None) -> MemberSource:
        """Ask `registry` from now on. Raises `NoMemberAvailable` if there is none, or the balancer is closed."""
        if registry is None or self._closed:
            raise self._unavailable(registry)
        # Before anything is read: a service that is read without a subscription is wanted for an hour.
        if isinstance(registry, Registry):
            self._subscribed.to(registry)
        self._source = registry
        return registry

    def _subscription(self) -> Subscription | None:
        registry = self._registry or default_registry.current()
        return self._subscribed.to(registry) if isinstance(registry, Registry) and not self._closed else None

    def _tiers(self, derived: Derived[T]) -> list[Tier]:
        if derived.tiers is None:
            last = Sharing((), ()) if derived.snapshot is None else last_resort(derived.snapshot)
            derived.tiers = [
                Tier(shared.members, self.retry_weights(shared.weights))
                for shared in (derived.sharing, *derived.sharing.rest, last)
                if shared.members
            ]
        return derived.tiers

    def _pick_other(self, derived: Derived[T], exclude: Excluded, registry: MemberSource) -> Member:
        excluded = {item.key if isinstance(item, Member) else item for item in exclude}
        for tier in self._tiers(derived):
            if not tier.keys <= excluded:
                draw = functools.partial(tier.draw, excluded, self._random)
                return self.draw_other(draw, derived.memory, derived.clock)
        if derived.table is None or derived.snapshot is None:
            raise self._unavailable(registry)
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
                f"no member of {self.service!r} is known, because no default registry runs: call "
                "pydoudou.new_node() first (new_node(register=False) in a process that only calls others), or name the "
                "registry that runs: "
                f"{type(self).__name__}({self.service!r}, registry)"
            )
        return NoMemberAvailable(f"no member to pick: {registry.explain(self.service)}")
