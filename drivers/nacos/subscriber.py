"""Which services are wanted, and what the server lists of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import anyio

from ..members import Member
from .errors import NacosRefused, NacosUnavailable
from .instances import Listed
from .listings import Listings
from .service_names import ServiceName, asked_for

if TYPE_CHECKING:
    from .registrar import Ask
    from .session import Session

__all__ = ["Subscriber"]

logger = logging.getLogger(__name__)

_AT_ONCE = 16


class Subscriber:
    """Subscribes what is wanted, on one session after the other.

    Args:
        group: the group of services whose name does not say one.
        ask: calls a method of a session, with a deadline.
        from_thread: has the driver's loop call something; for the thread of the session.
        observe: reports members.

    Attributes:
        lists: how many lists the server has sent.
    """

    def __init__(
        self,
        group: str,
        ask: Ask,
        from_thread: Callable[..., None],
        observe: Callable[[list[Member]], None],
    ) -> None:
        self._group = group
        self._ask = ask
        self._from_thread = from_thread
        self._observe = observe
        self._listings = Listings()
        self._session: Session | None = None
        self._subscribed: set[ServiceName] = set()
        self._subscribing = anyio.Lock()
        self._everything = False
        self.lists = 0

    @property
    def instances(self) -> int:
        """How many are known."""
        return len(self._listings)

    @property
    def services(self) -> int:
        """How many are subscribed at present."""
        return len(self._subscribed)

    async def want(self, service: str | None) -> None:
        """See `SubscribingDriver.want`."""
        if service is None:
            self._everything = True
        else:
            for name, shown in asked_for(service, self._group).items():
                self._observe(self._listings.ask(name, shown))
        try:
            await self.look_around()
        except NacosUnavailable as error:
            logger.debug("asking for %s failed, and will be repeated: %s", service or "all services", error)

    async def begin(self, session: Session) -> None:
        """Go on with a new session.

        Raises:
            NacosUnavailable: no answer.
        """
        self._listings.connected(time.monotonic())
        self._subscribed.clear()
        self._session = session
        await self.look_around()

    def end(self) -> None:
        """There is no session any more; what is known stays."""
        self._session = None
        self._subscribed.clear()

    async def look_around(self) -> None:
        """Subscribe what is wanted and not yet subscribed on the connection; without one, do nothing.

        Raises:
            NacosUnavailable: no answer.
        """
        session = self._session
        if session is None:
            return
        if self._everything:
            await self._find_all(session)
        async with self._subscribing:
            missing = [service for service in self._listings.services if service not in self._subscribed]
            await self._at_once(self._subscribe, session, missing)

    async def _find_all(self, session: Session) -> None:
        try:
            names = await self._ask(session.names, self._group)
        except NacosRefused as error:
            logger.warning("Nacos refuses to list the services of the group %s: %s", self._group, error)
            return
        for found in names:
            for name, shown in asked_for(found, self._group).items():
                if name.name == found:
                    self._observe(self._listings.ask(name, shown))

    async def _subscribe(self, session: Session, service: ServiceName) -> None:
        def on_list(*listed: Any) -> None:
            self._from_thread(self._listed, *listed)

        await self._ask(session.subscribe, service, on_list)
        if session is self._session:
            self._subscribed.add(service)

    async def poll(self) -> None:
        """Ask for everything that is subscribed: a push may get lost.

        Raises:
            NacosUnavailable: no answer.
        """
        if self._session is not None:
            await self._at_once(self._poll_one, self._session, tuple(self._subscribed))

    async def _poll_one(self, session: Session, service: ServiceName) -> None:
        self._listed(session, service, await self._ask(session.query, service))

    async def _at_once(
        self,
        action: Callable[[Session, ServiceName], Awaitable[None]],
        session: Session,
        services: Iterable[ServiceName],
    ) -> None:
        """Do something for many services, a few at a time.

        Raises:
            NacosUnavailable: one got no answer; the others were tried too.
        """
        few = anyio.Semaphore(_AT_ONCE)
        errors: list[NacosUnavailable] = []

        async def one(service: ServiceName) -> None:
            async with few:
                try:
                    await action(session, service)
                except NacosUnavailable as error:
                    errors.append(error)
                except NacosRefused as error:
                    logger.warning("Nacos refuses to tell who offers %s: %s", service, error)

        async with anyio.create_task_group() as tasks:
            for service in services:
                tasks.start_soon(one, service)
        if errors:
            raise errors[0]

    def _listed(self, session: Session, service: ServiceName, instances: tuple[Listed, ...]) -> None:
        if session is self._session:
            self.lists += 1
            self._observe(self._listings.listed(service, instances, time.monotonic()))

    def expire(self) -> None:
        """Report those that did not come back after the session began."""
        self._observe(self._listings.expire(time.monotonic()))
