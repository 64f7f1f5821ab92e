"""Which services are wanted, and what the server lists of them. One `ServiceListing` for each is all there is to know.

What goes wrong with one service stays with that service: it is asked for again after a while, and said once. Whether
the connection is any good is not decided here but by the watchdog.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ..kit.log_fields import fields
from ..kit.log_limit import RateLimitedLog
from ..kit.refusals import Refusals
from ..kit.validation import Unusable
from ..members import Member
from .errors import NacosError, NacosRefused
from .instances import ServiceList
from .listings import KEPT_FOR, ServiceListing
from .service_names import ServiceName, asked_for

if TYPE_CHECKING:
    from .registrar import Ask
    from .session import Session

__all__ = ["Subscriber"]

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_ALL = "all services"


class Subscriber:
    """Subscribes what is wanted, on one session after the other.

    Args:
        group: the group of services whose name does not say one.
        ask: calls a method of a session, with a deadline.
        observe: reports members.
        clock: seconds, monotonic.

    Attributes:
        lists: how many lists the server has sent.
        failures: how often the server refused or failed to tell of a service.
        instances: how many members are known; may be read by any thread, as all of these.
        services: how many services are subscribed at present.
        refused: how many the server refuses to tell of at present.
    """

    def __init__(
        self,
        group: str,
        ask: Ask,
        observe: Callable[[list[Member]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._ask = ask
        self._observe = observe
        self._clock = clock
        self._services: dict[ServiceName, ServiceListing] = {}
        self._everything = False
        self._session: Session | None = None
        self._kept_until = 0.0
        self._waiting = False
        self._log = RateLimitedLog(logger, clock, interval=math.inf)
        self._refusals = Refusals(logger, clock)
        self.lists = self.failures = self.instances = self.services = self.refused = 0

    @property
    def dropped(self) -> int:
        """How often something the server listed was left out because it is unusable."""
        return self._refusals.count

    # -- what is wanted ------------------------------------------------------------------------------------------------

    async def subscribe(self, service: str | None) -> None:
        """See `SubscribingDriver.subscribe`."""
        if service is None:
            self._everything = True
            await self._find_all()
            await self.look_around()
            return
        names = asked_for(service, self._group)
        for name, shown in names.items():
            known = self._service(name)
            self._report(known, known.want(shown, found=False))
        await self._at_once(self._subscribe, names)

    async def unsubscribe(self, service: str | None) -> None:
        """See `SubscribingDriver.unsubscribe`."""
        if service is None:
            self._everything = False
            for name, known in tuple(self._services.items()):
                await self._unwant_found(name, known)
            return
        for name, shown in asked_for(service, self._group).items():
            if (wanted := self._services.get(name)) is not None:
                self._report(wanted, wanted.unwant(shown, found=False))
                await self._forget_unwanted(name, wanted)

    def _service(self, name: ServiceName) -> ServiceListing:
        return self._services.setdefault(name, ServiceListing())

    async def _unwant_found(self, name: ServiceName, known: ServiceListing) -> None:
        for shown in tuple(known.names):
            self._report(known, known.unwant(shown, found=True))
        await self._forget_unwanted(name, known)

    async def _forget_unwanted(self, name: ServiceName, known: ServiceListing) -> None:
        if known.names or self._services.get(name) is not known:
            return
        del self._services[name]
        subscribed, known.subscribed, known.refused = known.subscribed, False, False
        self._count(known)
        if subscribed and self._session is not None:
            await self._unsubscribe(self._session, name)

    async def _unsubscribe(self, session: Session, name: ServiceName) -> None:
        try:
            await self._ask(session.unsubscribe, name)
        except NacosError as error:  # what it tells from now on is not listened to
            logger.debug("could not unsubscribe %s: %s", name, error)

    # -- one session after the other -----------------------------------------------------------------------------------

    async def begin(self, session: Session) -> None:
        """Go on with a new session."""
        self._kept_until = self._clock() + KEPT_FOR
        self._waiting = True
        for known in self._services.values():
            known.connected()
        self._session = session
        await self.look_around()

    def end(self) -> None:
        """There is no session any more; what is known stays."""
        self._session = None
        for known in self._services.values():
            known.disconnected()
            self._count(known)

    async def look_around(self) -> None:
        """Subscribe what is wanted and not yet subscribed on the connection; without one, do nothing."""
        if self._session is None:
            return
        if self._everything:
            await self._find_all()
        now = self._clock()
        due = [name for name, known in self._services.items() if not known.subscribed and now >= known.again_at]
        await self._at_once(self._subscribe, due)
        await self._at_once(self._poll_one, [name for name, known in self._services.items() if known.outdated])

    async def poll(self) -> None:
        """Ask for everything that is subscribed: a push may get lost."""
        await self._at_once(self._poll_one, [name for name, known in self._services.items() if known.subscribed])

    def expire(self) -> None:
        """Report those that did not come back after the session began."""
        if self._waiting and self._clock() >= self._kept_until:
            self._waiting = False  # a service that is listed for the first time from now on has no grace
            for known in self._services.values():
                self._report(known, known.expire())

    # -- how -----------------------------------------------------------------------------------------------------------

    async def _find_all(self) -> None:
        """Want every service of the group, and none that is not there any more."""
        session = self._session
        if session is None:
            return
        try:
            names = set(await self._ask(session.names, self._group))
        except NacosError as error:
            self._trouble(_ALL, error)
            return
        if not self._everything:
            return
        there = {
            name: shown for each in names for name, shown in asked_for(each, self._group).items() if name.name == each
        }
        for name, shown in there.items():
            listing = self._service(name)
            self._report(listing, listing.want(shown, found=True))
        for name, known in tuple(self._services.items()):
            if name not in there and not known.members:
                await self._unwant_found(name, known)

    async def _subscribe(self, session: Session, name: ServiceName) -> None:
        known = self._services.get(name)
        if known is None:
            return
        async with known.asking:
            if known.subscribed or session is not self._session:
                return
            try:
                await self._ask(session.subscribe, name)
            except NacosError as error:
                known.in_trouble(self._clock(), refused=isinstance(error, NacosRefused))
                self._trouble(str(name), error)
            else:
                if self._services.get(name) is not known:  # nobody wants it any more
                    await self._unsubscribe(session, name)
                elif session is self._session:
                    known.told()
            self._count(known)

    async def _poll_one(self, session: Session, name: ServiceName) -> None:
        """Ask for one list. If no other one comes meanwhile it is the latest, even with an earlier time than the last
        one: clocks are put back.
        """
        known = self._services.get(name)
        if known is None:
            return
        before = known.changed_at
        try:
            listed = await self._ask(session.query, name)
        except NacosError as error:
            self._trouble(str(name), error)
        else:
            self.listed(session, listed, latest=listed.changed_at > 0 and known.changed_at == before)

    async def _at_once(
        self, action: Callable[[Session, ServiceName], Awaitable[None]], names: Iterable[ServiceName]
    ) -> None:
        """Do something for many services, a few at a time."""
        session = self._session
        if session is None:
            return
        few = anyio.Semaphore(_AT_ONCE)

        async def one(name: ServiceName) -> None:
            async with few:
                await action(session, name)

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(one, name)

    def listed(self, session: Session, listed: ServiceList, *, latest: bool = False) -> None:
        """Take in what the server lists; of an earlier session, or of what nobody wants, it means nothing. Of its time,
        and of `latest`, see `ServiceListing.listed`.
        """
        known = self._services.get(listed.service)
        if session is not self._session or known is None:
            return
        self.lists += 1
        unusable = partial(self._refusals.note, str(listed.service))
        for reason in listed.unreadable:
            unusable(Unusable("instance", reason))
        self._report(known, known.listed(listed, unusable, waits=self._clock() < self._kept_until, latest=latest))

    def _trouble(self, what: str, error: NacosError) -> None:
        """One service is in trouble: said once for each kind, as long as it is remembered."""
        self.failures += 1
        extra = partial(fields, service=what, backend="nacos", reason=error)
        if isinstance(error, NacosRefused):
            self._log.warning(
                "refused", "Nacos refuses to tell who offers %s: %s", what, error, source=what, extra=extra
            )
        else:
            self._log.warning("failed", "Nacos does not tell who offers %s: %s", what, error, source=what, extra=extra)

    def _report(self, known: ServiceListing, members: list[Member]) -> None:
        if members:
            self._observe(members)
            self._count(known)

    def _count(self, known: ServiceListing) -> None:
        """Bring the sums up to date after `known` has changed."""
        before, known.counted = known.counted, (known.members, known.subscribed, known.refused)
        members, subscribed, refused = (after - was for after, was in zip(known.counted, before, strict=True))
        self.instances += members
        self.services += subscribed
        self.refused += refused
