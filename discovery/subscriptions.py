"""What is wanted: the one memory of which services somebody asks for.

A *subscription* is held by somebody, a balancer or a watch, until it is closed. A service that was merely asked for
(`snapshot`, `members`) is wanted too, until nobody has asked for an hour: nobody says when they ask no more. Such names
may come from strangers' requests, so their number is bounded: beyond it, the one that was asked for first of those that
never had a member is forgotten.

Everything here may be called from any thread, and waits for nobody. The drivers' loop is told the names that may have
changed, and asks here what is so: a driver that is slow, or started again, finds what is wanted then.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

import attrs

from ..drivers.kit.service_names import rest_name
from .merging.events import EventKind, MemberEvent

__all__ = ["Subscriptions", "Wanted"]

Service = str | None

_MOST_UNKNOWN = 1024
_MOST_ASKED_FOR = 4096


@attrs.define(eq=False, repr=False)
class Wanted:
    """One service, None for all of them.

    Attributes:
        holders: how many subscriptions of it are open.
        asked: whether it is wanted without being held.
        used: whether somebody asked since the last look at the clock.
        used_at: when that was found out last.
        answered: whether every driver has told who offers it, in the present run.
        first_until: when the time for the first answer is over (real time); None before somebody waits.
        wakers: what wakes those who wait for the answer; each is called once.
    """

    service: Service
    holders: int = 0
    asked: bool = False
    used: bool = True
    used_at: float = 0.0
    answered: bool = False
    first_until: float | None = None
    wakers: set[Callable[[], object]] = attrs.Factory(set)


class Subscriptions:
    """All services that are wanted of one registry.

    Attributes:
        wanted: by name; to be changed by nobody else.
    """

    def __init__(self) -> None:
        self.wanted: dict[Service, Wanted] = {}
        self._unknown: dict[Service, None] = {}
        self._asked = 0
        self._abandoned: deque[Wanted] = deque()
        self._tell: Callable[[Service], None] | None = None
        self._has_members: Callable[[str], object] = bool
        # Reentrant, because a signal handler that stops the registry may interrupt a call of the same thread.
        self._lock = threading.RLock()

    @property
    def running(self) -> bool:
        """Whether there are drivers that can be asked."""
        return self._tell is not None

    # -- for those who ask ---------------------------------------------------------------------------------------------

    def ask(self, service: Service) -> Wanted | None:
        """Somebody asks for this service, and will not say when they ask no more; None if no registry runs."""
        with self._lock:
            if self._tell is None:
                return None
            self._release_abandoned()
            wanted = self.wanted.get(service)
            if wanted is None:
                wanted = self._begin(service)
            if not wanted.asked and not wanted.holders:
                wanted.asked = True
                self._asked += 1
                self._make_room()
            wanted.used = True
            return wanted

    def hold(self, service: Service) -> Wanted:
        """Somebody wants this service until they `release` it."""
        with self._lock:
            self._release_abandoned()
            wanted = self.wanted.get(service) or self._begin(service)
            wanted.holders += 1
            self._unknown.pop(service, None)
            return wanted

    def held(self, service: str | None) -> Callable[[], object]:
        """Have the service reported until what is returned is called."""
        wanted = self.hold(service)
        return lambda: self.release(wanted)

    def release(self, wanted: Wanted) -> None:
        """One holder less."""
        with self._lock:
            wanted.holders -= 1
            if not wanted.holders and not wanted.asked and self.wanted.get(wanted.service) is wanted:
                self._forget(wanted)

    def abandon(self, wanted: Wanted) -> None:
        """A subscription was dropped without being closed. Told by the garbage collector, which may interrupt anything:
        so it is noted without the lock, and released at the next occasion.
        """
        self._abandoned.append(wanted)

    def _release_abandoned(self) -> None:
        while self._abandoned:
            self.release(self._abandoned.popleft())

    def _begin(self, service: Service) -> Wanted:
        wanted = self.wanted[service] = Wanted(service)
        if service is not None and not self._has_members(service):
            self._unknown[service] = None
        if self._tell is not None:
            self._tell(service)
        return wanted

    def _make_room(self) -> None:
        while len(self._unknown) > _MOST_UNKNOWN:
            self._drop(self.wanted[next(iter(self._unknown))])
        if self._asked > _MOST_ASKED_FOR:
            self._drop(next(wanted for wanted in self.wanted.values() if wanted.asked))

    def _drop(self, wanted: Wanted) -> None:
        """Nobody asks for it any more."""
        self._unknown.pop(wanted.service, None)
        self._asked -= wanted.asked
        wanted.asked = False
        if not wanted.holders:
            self._forget(wanted)

    def _forget(self, wanted: Wanted) -> None:
        self._unknown.pop(wanted.service, None)
        del self.wanted[wanted.service]
        if self._tell is not None:
            self._tell(wanted.service)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def add_waker(self, wanted: Wanted, wake: Callable[[], object]) -> bool:
        """Have `wake` called once, when the answer is there or cannot come; False if it is there already."""
        with self._lock:
            if wanted.answered:
                return False
            wanted.wakers.add(wake)
            return True

    def remove_waker(self, wanted: Wanted, wake: Callable[[], object]) -> None:
        """It is not to be called any more."""
        with self._lock:
            wanted.wakers.discard(wake)

    def _wake(self, wanted: Wanted) -> None:
        wakers, wanted.wakers = wanted.wakers, set()
        for wake in wakers:
            wake()

    # -- for the drivers' loop -----------------------------------------------------------------------------------------

    def begin(self, tell: Callable[[Service], None], has_members: Callable[[str], object]) -> None:
        """A registry begins to run.

        Args:
            tell: is called with each name that is wanted from now on, or not any more; does not wait.
            has_members: whether somebody is known who offers a service.
        """
        with self._lock:
            self._tell, self._has_members = tell, has_members

    def end(self) -> None:
        """It ends: what is not held is forgotten, and nobody waits any longer."""
        with self._lock:
            self._tell, self._has_members = None, bool
            for wanted in list(self.wanted.values()):
                if wanted.asked:
                    self._drop(wanted)
                wanted.answered, wanted.first_until = False, None
                self._wake(wanted)
            self._unknown.clear()

    def ask_again(self) -> list[Service]:
        """A driver serves that was not asked yet: all names, of which none is answered now."""
        with self._lock:
            for wanted in self.wanted.values():
                wanted.answered = False
            return list(self.wanted)

    def answer(self, service: Service) -> None:
        """Every driver that has to be asked has told who offers this service, or failed to."""
        with self._lock:
            wanted = self.wanted.get(service)
            if wanted is not None and self.running:
                wanted.answered = True
                self._wake(wanted)

    def hear(self, events: Iterable[MemberEvent]) -> None:
        """Members came: nobody has to wait for another driver, and the service is no invention."""
        joined = {event.member.service for event in events if event.kind is EventKind.JOINED}
        for service in joined:
            for name in (service, rest_name(service)):
                if name in self.wanted:
                    with self._lock:
                        self._unknown.pop(name, None)
                        if (wanted := self.wanted.get(name)) is not None:
                            self._wake(wanted)

    def expire(self, now: float, forget_after: float) -> None:
        """Forget what nobody has asked for so long."""
        with self._lock:
            self._release_abandoned()
            for wanted in [wanted for wanted in self.wanted.values() if wanted.asked]:
                if wanted.used:
                    wanted.used, wanted.used_at = False, now
                elif now - wanted.used_at >= forget_after:
                    self._drop(wanted)

    def forked(self) -> None:
        """In a child process, where the thread that may have held the lock is not."""
        self._lock = threading.RLock()
        self._tell = None
