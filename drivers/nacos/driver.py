"""The Nacos driver: keeps a session with a server, registers in it and reports what it lists.

One session after the other, for as long as the registry runs:

    look who accepts connections  ->  open a session, log in  ->  register, subscribe  ->  watch it  ->  lost: again

The *watchdog* looks four times a second whether the client still has its connection, and asks the server every few
seconds whether it still has what was registered. While there is no session the driver cannot judge: what was listed
last is kept.
"""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import tenacity
from anyio.abc import TaskGroup, TaskStatus

from ..contract import (
    DriverStatus,
    Instance,
    JoinError,
    JoinPolicy,
    Member,
    RegistrationError,
    Sink,
)
from .errors import NacosRefused, NacosUnavailable
from .instances import Listed, registrations
from .listings import Listings
from .naming import ServiceName, asked_for
from .registrar import Registrar
from .settings import GRPC_PORT_OFFSET, NacosSettings, Server
from .thread import SdkThread, open_thread

if TYPE_CHECKING:
    from .sdk import Session

__all__ = ["NacosDriver"]

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.25
_POLL_EVERY = 30.0
"""Seconds after which everything that is subscribed is asked for: a push may get lost."""

_OPEN_WITHIN = 10.0
_PATIENT_OPENS = 100
"""So many sessions that could not be opened are about half a minute."""

_TCP_WITHIN = 1.0
_LEAVE_WITHIN = 2.0
_CLOSE_WITHIN = 2.5
_LOST_AFTER = 2
"""Failed checks in a row after which a connection that looks healthy is given up."""

_AT_ONCE = 16


class _NobodyThere(NacosUnavailable):
    """No server accepts connections: asking again costs next to nothing."""


class NacosDriver:
    """Registers with Nacos, and reports the services that somebody asked for."""

    mode = "nacos"
    detection_bound = 30.0
    """A client that has died is dropped within a second, one that hangs after 20 to 30 s."""

    def __init__(self, settings: NacosSettings) -> None:
        self._settings = settings
        self._listings = Listings()
        self._registrar = Registrar(self._ask)
        self._sink: Sink | None = None
        self._thread: SdkThread | None = None
        self._session: Session | None = None
        self._subscribed: set[ServiceName] = set()
        self._subscribing = anyio.Lock()
        self._everything = False
        self._message = "not started"
        self._failed_opens = 0
        self._connects = 0
        self._pushes = 0

    # -- life ----------------------------------------------------------------------------------------------------------

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """See `Driver.run`.

        Raises:
            MetadataTooLarge: before anything is sent.
            RegistrationError: the server refuses the registration or the credentials.
            JoinError: no server can be reached, and ``GDD_NACOS_JOIN=required``.
        """
        settings = self._settings
        self._sink = sink
        if instance is not None:
            self._registrar.wanted = registrations(instance, settings.group, settings.cluster)
        # Not a TemporaryDirectory: at the exit of the interpreter that would vanish before this process has left.
        folder = Path(tempfile.mkdtemp(prefix="pydoudou-nacos-"))
        try:
            async with open_thread() as self._thread, anyio.create_task_group() as tasks:
                session = await self._first_session(folder)
                task_status.started()
                await self._keep_session(session, folder, tasks)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _first_session(self, folder: Path) -> Session | None:
        """One attempt before the driver counts as started, the others in the background."""
        try:
            return await self._new_session(folder)
        except NacosRefused as error:
            raise RegistrationError(str(error)) from error
        except NacosUnavailable as error:
            if self._settings.join is JoinPolicy.REQUIRED:
                raise JoinError(
                    f"{error} (GDD_NACOS_JOIN=required makes that an error; without it the registry starts and keeps "
                    "trying)"
                ) from None
            self._disconnected(str(error))
            return None

    async def _keep_session(self, session: Session | None, folder: Path, tasks: TaskGroup) -> None:
        """Watch the session, and open another one when it is lost; never returns."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((NacosUnavailable, NacosRefused)),
            wait=self._next_wait,
            before_sleep=self._tell,
            sleep=anyio.sleep,
        )
        while True:
            if session is not None:
                await self._watch_one(session, tasks)
            session = await retrying(self._new_session, folder)

    async def _watch_one(self, session: Session, tasks: TaskGroup) -> None:
        """Returns when the session is lost."""
        try:
            reason = await self._watch(session)
        except BaseException:
            await self._close(session)
            raise
        self._disconnected(reason)
        tasks.start_soon(self._close, session)

    def _next_wait(self, state: tenacity.RetryCallState) -> float:
        """Short while nobody is there, and while a server starts, which takes some seconds from its first open port to
        its first answer: a server is to be used as soon as it can be. Then growing; and long where it refused.
        """
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, NacosRefused):
            return random.uniform(15.0, 30.0)
        self._failed_opens = 0 if isinstance(error, _NobodyThere) else self._failed_opens + 1
        longer = max(0, self._failed_opens - _PATIENT_OPENS)
        return random.uniform(0.5, 1.0) * min(5.0, 0.4 * 1.5**longer)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, NacosRefused) and str(error) not in self._message:
            logger.error("Nacos refuses: %s", error)
        self._message = f"{error}; trying again"

    async def _new_session(self, folder: Path) -> Session:
        """Open a session, register in it, and subscribe.

        Raises:
            NacosUnavailable: no server is there, or it does not answer.
            NacosRefused: the server refuses the credentials; or, with the first session, the registration.
        """
        servers = await self._reachable()
        session = await self._open(servers, folder)
        try:
            await self._establish(session)
        except BaseException:
            self._session = None
            with anyio.CancelScope(shield=True):
                await self._close(session)
            raise
        return session

    async def _reachable(self) -> list[Server]:
        """The servers that accept connections: the SDK needs seconds to find out that one does not."""
        accepting: list[Server] = []
        refusals: list[str] = []

        async def knock(server: Server) -> None:
            try:
                with anyio.fail_after(_TCP_WITHIN):
                    stream = await anyio.connect_tcp(server.host, server.port + GRPC_PORT_OFFSET)
                await stream.aclose()
            except (OSError, UnicodeError) as error:
                reason = "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
                refusals.append(f"{server} (gRPC port {server.port + GRPC_PORT_OFFSET}): {reason}")
            else:
                accepting.append(server)

        async with anyio.create_task_group() as knocking:
            for server in self._settings.servers:
                knocking.start_soon(knock, server)
        if not accepting:
            raise _NobodyThere(f"cannot reach the Nacos server: {'; '.join(refusals)}")
        return accepting

    async def _open(self, servers: list[Server], folder: Path) -> Session:
        thread = self._running_thread()
        session_class: type[Session] = await thread.call(_import_session)
        try:
            with anyio.fail_after(_OPEN_WITHIN):
                return await thread.call(session_class.open, self._settings, servers, folder)
        except TimeoutError:
            raise NacosUnavailable(f"no Nacos session within {_OPEN_WITHIN:g} s") from None

    async def _establish(self, session: Session) -> None:
        first = self._connects == 0
        now = time.monotonic()
        self._listings.connected(now)
        self._subscribed.clear()
        self._session = session
        try:
            await self._registrar.register(session, now)
            await self._ask(session.names, self._settings.group, 1)
        except NacosRefused as error:
            if first:
                raise
            logger.error("Nacos refuses: %s", error)
        await self._look_around(session)
        self._connects += 1
        self._failed_opens = 0
        self._message = f"connected to {session.server}"
        if not first:
            logger.info("connected to the Nacos server %s again", session.server)
        self._running_sink().judging(True)

    def _disconnected(self, reason: str) -> None:
        self._session = None
        self._message = f"{reason}; trying again"
        self._running_sink().judging(False, reason)
        logger.warning("%s; trying again in the background", reason)

    async def _close(self, session: Session) -> None:
        with anyio.move_on_after(_CLOSE_WITHIN, shield=True):
            await self._running_thread().call(session.close)

    async def update(self, instance: Instance) -> None:
        """See `Driver.update`. While there is no session, the next one registers it.

        Raises:
            MetadataTooLarge: before anything is sent.
            RegistrationError: the server refuses it; the old registration stays.
        """
        wanted = registrations(instance, self._settings.group, self._settings.cluster)
        before, self._registrar.wanted = self._registrar.wanted, wanted
        session = self._session
        if session is None:
            return
        try:
            await self._registrar.register(session, time.monotonic())
        except NacosRefused as error:
            self._registrar.wanted = before
            raise RegistrationError(f"Nacos refuses the metadata: {error}") from error
        except NacosUnavailable as error:
            logger.warning("Nacos did not take the changed metadata (%s); trying again in the background", error)

    async def leave(self) -> None:
        """See `Driver.leave`."""
        session = self._session
        if session is None:
            self._registrar.wanted = ()
            return
        with anyio.move_on_after(_LEAVE_WITHIN) as deadline:
            try:
                await self._registrar.deregister(session)
            except (NacosUnavailable, NacosRefused) as error:
                logger.warning("could not deregister, which the end of the connection does too: %s", error)
        if deadline.cancelled_caught:
            logger.warning("the Nacos server did not confirm the deregistration within %g s", _LEAVE_WITHIN)

    # -- the watchdog --------------------------------------------------------------------------------------------------

    async def _watch(self, session: Session) -> str:
        """Returns why the session is lost."""
        check_at = poll_at = time.monotonic()
        check_at += self._settings.check_interval
        poll_at += _POLL_EVERY
        failures = 0
        while True:
            await anyio.sleep(_LOOK_EVERY)
            now = time.monotonic()
            self._observe(self._listings.expire(now))
            if await self._is_lost(session):
                return f"the connection to the Nacos server {session.server} is lost"
            if now < check_at:
                continue
            try:
                await self._check(session, now, poll=now >= poll_at)
                failures = 0
            except (NacosUnavailable, NacosRefused) as error:
                failures += 1
                if failures == _LOST_AFTER or await self._is_lost(session):
                    return f"the Nacos server {session.server} does not answer: {error}"
            poll_at = now + _POLL_EVERY if now >= poll_at else poll_at
            check_at = time.monotonic() + self._settings.check_interval

    async def _is_lost(self, session: Session) -> bool:
        return not await self._running_thread().call(session.healthy)

    async def _check(self, session: Session, now: float, *, poll: bool) -> None:
        """Ask the server for what should be there; whatever the answer is, it keeps the connection honest."""
        if self._registrar.wanted:
            await self._registrar.check(session, now)
        elif not self._everything:
            await self._ask(session.names, self._settings.group, 1)
        await self._look_around(session)
        if poll:
            await self._at_once(self._poll, session, self._listings.services)

    async def _poll(self, session: Session, service: ServiceName) -> None:
        self._listed(session, service, await self._ask(session.query, service))

    # -- what the server lists -----------------------------------------------------------------------------------------

    async def want(self, service: str | None) -> None:
        """See `SubscribingDriver.want`."""
        session = self._session
        try:
            if service is not None:
                for name, shown in asked_for(service, self._settings.group).items():
                    self._observe(self._listings.ask(name, shown))
            else:
                self._everything = True
            if session is not None:
                await self._look_around(session)
        except NacosUnavailable as error:
            logger.debug("asking for %s failed, and will be repeated: %s", service or "all services", error)

    async def _look_around(self, session: Session) -> None:
        """Subscribe what is wanted and not yet subscribed on this connection.

        Raises:
            NacosUnavailable: no answer.
        """
        if self._everything:
            try:
                names = await self._ask(session.names, self._settings.group)
            except NacosRefused as error:
                logger.warning("Nacos refuses to list the services of group %s: %s", self._settings.group, error)
                names = []
            for service in names:
                for name, shown in asked_for(service, self._settings.group).items():
                    if name.name == service:
                        self._observe(self._listings.ask(name, shown))
        async with self._subscribing:
            missing = [service for service in self._listings.services if service not in self._subscribed]
            await self._at_once(self._subscribe_one, session, missing)

    async def _subscribe_one(self, session: Session, service: ServiceName) -> None:
        thread = self._running_thread()

        def on_list(*listed: Any) -> None:
            thread.report(self._listed, *listed)

        await self._ask(session.subscribe, service, on_list)
        if session is self._session:
            self._subscribed.add(service)

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
            self._pushes += 1
            self._observe(self._listings.listed(service, instances, time.monotonic()))

    def _observe(self, members: list[Member]) -> None:
        if members:
            self._running_sink().observe(members)

    # -- small things --------------------------------------------------------------------------------------------------

    async def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The answer of a session's method.

        Raises:
            NacosUnavailable: no answer in time, or a passing fault.
            NacosRefused: the server does not want it.
        """
        within = self._settings.request_timeout
        try:
            with anyio.fail_after(within):
                return await self._running_thread().call(function, *arguments)
        except TimeoutError:
            raise NacosUnavailable(f"no answer within {within:g} s") from None

    def _running_thread(self) -> SdkThread:
        if self._thread is None:
            raise RuntimeError("the driver is not running")
        return self._thread

    def _running_sink(self) -> Sink:
        if self._sink is None:
            raise RuntimeError("the driver is not running")
        return self._sink

    def status(self) -> DriverStatus:
        """See `Driver.status`."""
        registrar = self._registrar
        names = ", ".join(str(registration.service) for registration in registrar.wanted)
        registered = registrar.problem or (f"registered {names}" if names else "")
        connected = self._session is not None
        message = f"{self._message}, {registered}" if connected and registered else self._message
        counters = {
            "connects": self._connects,
            "lists": self._pushes,
            "repaired registrations": registrar.repairs,
            "subscribed services": len(self._subscribed),
        }
        ready = connected and not (registrar.wanted and registrar.problem)
        return DriverStatus(self.mode, ready, message, len(self._listings), "", counters)


async def _import_session() -> type[Session]:
    """On the other thread: the SDK takes a second to import."""
    from .sdk import Session

    return Session
