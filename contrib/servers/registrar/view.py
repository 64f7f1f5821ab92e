"""What a registrar's registry tells, and what of that its workers were told.

The registry tells on its own thread, through a queue. Everything else here is on the event loop of the hub.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

import attrs
from anyio import to_thread

from ....discovery.merging.events import MemberEvent
from ....discovery.observer import Observer
from ....discovery.registry import Registry
from ....discovery.status import BackendStatus, RegistryStatus
from ....drivers.members import Member, MemberState
from .frames import Message
from .messages import RegistrarState, ToldConfiguration, members
from .settings import Start, pack, resumed

__all__ = ["View"]

Key = tuple[str, str, int]
_NEAR = 0.001


class View(Observer):
    """Of one registry, which observes with this object.

    Args:
        fingerprint: of the settings of the workers; "" if they are not to start one that takes the place of this one.
        tell: sends a message to all workers.
        wake: has the hub take what there is, and look if something has changed; from any thread.
    """

    def __init__(
        self,
        registry: Registry,
        fingerprint: str,
        tell: Callable[[Message], None],
        wake: Callable[[bool], None],
    ) -> None:
        self._registry = registry
        self._fingerprint = fingerprint
        self._tell = tell
        self._wake = wake
        self._members: dict[Key, Member] = {}
        self._events: deque[MemberEvent] = deque()
        self._events_taken = 0
        self._state = RegistrarState()
        self._texts: Mapping[str, str | None] | None = None
        self._configuration: ToldConfiguration | None = None
        self._round_trips: dict[Key, float] = {}
        self._successor = b""
        self._successor_of: tuple[object, ...] = ()

    # -- what the registry tells, in its own thread --------------------------------------------------------------------

    def member_changed(self, event: MemberEvent) -> None:
        """See `Observer.member_changed`."""
        self._events.append(event)
        self._wake(False)

    def driver_changed(self, status: BackendStatus) -> None:
        """See `Observer.driver_changed`."""
        self._wake(True)

    def configuration_told(self, texts: Mapping[str, str | None]) -> None:
        """See `Observer.configuration_told`."""
        self._texts = dict(texts)
        self._wake(True)

    # -- what the workers are told -------------------------------------------------------------------------------------

    def everything(self) -> list[Message]:
        """What a worker is told that has just come. The members come last of what it waits for: after the state, which
        says what they count, and the configuration.
        """
        return [
            self._state.to_message(),
            self._successor_message(),
            *([] if self._configuration is None else [self._configuration.to_message()]),
            members(self._members.values(), whole=True),
            self._round_trips_message(self._round_trips),
        ]

    def member(self, key: Key) -> Member | None:
        """The member that workers know by this key."""
        return self._members.get(key)

    def tell_events(self) -> None:
        """Tell what the registry has told since."""
        changed: dict[Key, Member] = {}
        while self._events:
            event = self._events.popleft()
            self._events_taken += 1
            changed[event.member.key] = event.member
        self.tell_members(changed.values())

    def tell_members(self, changed: Iterable[Member]) -> None:
        """Tell of those among them that are not as the workers know them."""
        different = [member for member in changed if self._members.get(member.key) != member]
        for member in different:
            if member.state.present:
                self._members[member.key] = member
            else:
                self._members.pop(member.key, None)
        if different:
            self._tell(members(different))

    @property
    def settled(self) -> bool:
        """Whether all is well with the backends, and with the server that keeps configuration, so that little changes
        that workers have to know.
        """
        state, connected = self._state, self._configuration is None or self._configuration.connected
        return state.ready and state.authoritative and not state.doubt and connected

    async def look(self) -> RegistryStatus:
        """See how the registry is doing, how far members are, and that nothing was missed of its view."""
        taken = self._events_taken
        status = await to_thread.run_sync(self._registry.status)
        if taken == self._events_taken and not self._events:
            now = {member.key: member for snapshot in status.snapshots for member in snapshot.members}
            gone = [member for key, member in self._members.items() if key not in now]
            self.tell_members([*now.values(), *(attrs.evolve(member, state=MemberState.FAILED) for member in gone)])
        state = _state_of(status)
        if state != self._state:
            self._state = state
            self._tell(state.to_message())
        self._look_at_configuration(status)
        if self._fingerprint:
            self._look_at_successor(status)
        self._look_at_round_trips()
        return status

    def _look_at_configuration(self, status: RegistryStatus) -> None:
        if (remote := status.configuration) is not None:
            told = ToldConfiguration(self._texts, remote.connected, remote.message)
            if told != self._configuration:
                self._configuration = told
                self._tell(told.to_message())

    def _look_at_successor(self, status: RegistryStatus) -> None:
        registered = self._registry.registered
        known = (registered, self._registry.settings, *(backend.driver.address for backend in status.backends))
        if known != self._successor_of:
            settings = resumed(self._registry.settings, status)
            self._successor = pack(Start(settings, self._fingerprint, None if registered is None else registered.data))
            self._successor_of = known
            self._tell(self._successor_message())

    def _successor_message(self) -> Message:
        return {"kind": "successor", "packed": self._successor}

    def _look_at_round_trips(self) -> None:
        seconds = {key: self._registry.round_trip(member) for key, member in self._members.items()}
        known = {key: each for key, each in seconds.items() if each is not None}
        changed = {key: each for key, each in known.items() if _differs(each, self._round_trips.get(key))}
        self._round_trips = {key: changed.get(key, self._round_trips.get(key, each)) for key, each in known.items()}
        if changed:
            self._tell(self._round_trips_message(changed))

    @staticmethod
    def _round_trips_message(seconds: dict[Key, float]) -> Message:
        return {"kind": "round_trips", "seconds": [[*key, each] for key, each in seconds.items()]}


def _state_of(status: RegistryStatus) -> RegistrarState:
    """What workers are told of it."""
    backends = status.backends
    authoritative = any(backend.authoritative for backend in backends)
    return RegistrarState(
        ready=bool(backends) and all(backend.ready for backend in backends),
        authoritative=authoritative,
        reason="" if authoritative else "; ".join(f"{backend.mode}: {backend.reason}" for backend in backends),
        message="; ".join(map(str, backends)),
        nodes=max((backend.driver.nodes for backend in backends), default=0),
        address=next((backend.driver.address for backend in backends if backend.driver.address), ""),
        doubt=status.doubt,
    )


def _differs(seconds: float, told: float | None) -> bool:
    """Whether a round trip is worth telling again: whoever picks by it has others to compare it with, and none of that
    matters below a millisecond.
    """
    return told is None or (not 0.8 * told <= seconds <= 1.25 * told and abs(seconds - told) > _NEAR)
