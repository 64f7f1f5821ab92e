"""The Nacos driver: keeps a session with a server, registers in it and reports what it lists.

One session after the other, for as long as the registry runs:

    look who accepts connections  ->  open a session, log in  ->  register, subscribe  ->  watch it  ->  lost: again

The *watchdog* looks four times a second whether the client still has its connection, and asks the server every few
seconds whether it still has what was registered. While there is no session the driver cannot judge: what was listed
last is kept.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import tenacity
from anyio.abc import TaskGroup, TaskStatus

from ..contract import Sink
from ..errors import JoinError, RegistrationError
from ..members import DriverStatus, Instance, JoinPolicy, Member
from .connector import Connector
from .errors import NacosRefused, NacosUnavailable
from .instances import registrations
from .registrar import Registrar
from .sdk_thread import SdkThread, open_thread
from .service_names import ServiceName
from .settings import NacosSettings
from .subscriber import Subscriber

if TYPE_CHECKING:
    from .session import Session

__all__ = ["NacosDriver"]

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.25
_POLL_EVERY = 30.0
_LEAVE_WITHIN = 1.5
_CLOSE_WITHIN = 1.5


class NacosDriver:
    """Registers with Nacos, and reports the services that somebody asked for."""

    mode = "nacos"
    detection_bound = 30.0
    """A client that has died is dropped within a second, one that hangs after 20 to 30 s."""

    def __init__(self, settings: NacosSettings) -> None:
        self._settings = settings
        self._anything = ServiceName(settings.group, "pydoudou")
        self._registrar = Registrar(self._ask)
        self._subscriber = Subscriber(settings.group, self._ask, self._from_thread, self._observe)
        self._sink: Sink | None = None
        self._thread: SdkThread | None = None
        self._session: Session | None = None
        self._message = "not started"
        self._sessions = 0
        self._unanswered = 0

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
                connector = Connector(settings, self._thread, folder)
                session = await self._first_session(connector)
                task_status.started()
                await self._keep_session(session, connector, tasks)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _first_session(self, connector: Connector) -> Session | None:
        """One attempt before the driver counts as started, the others in the background."""
        try:
            return await self._new_session(connector, at_the_start=True)
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

    async def _keep_session(self, session: Session | None, connector: Connector, tasks: TaskGroup) -> None:
        """Watch the session, and open another one when it is lost; never returns.

        A connection that is merely silent is kept until the next one stands: if the server is only slow, it would take
        the end of the connection for the end of this process.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((NacosUnavailable, NacosRefused)),
            wait=connector.wait,
            before_sleep=self._tell,
            sleep=anyio.sleep,
        )
        silent: Session | None = None
        try:
            while True:
                if session is not None:
                    reason, broken = await self._watch(session)
                    self._disconnected(reason)
                    if broken:
                        tasks.start_soon(self._close, session)
                    else:
                        silent = session
                    session = None
                session = await retrying(self._new_session, connector)
                if silent is not None:
                    tasks.start_soon(self._close, silent)
                    silent = None
        finally:
            for each in (session, silent):
                if each is not None:
                    await self._close(each)

    async def _new_session(self, connector: Connector, *, at_the_start: bool = False) -> Session:
        """Open a session, register in it, and subscribe.

        Raises:
            NacosUnavailable: no server is there, or it does not answer.
            NacosRefused: the server refuses the credentials; or, at the start, the registration. Later that is only
                said and tried again: what others offer is still found.
        """
        session = await connector.open()
        try:
            await self._begin(session, at_the_start=at_the_start)
        except BaseException:
            self._session = None
            self._subscriber.end()
            await self._close(session)
            raise
        return session

    async def _begin(self, session: Session, *, at_the_start: bool) -> None:
        self._session = session
        try:
            await self._registrar.register(session, time.monotonic())
            await self._ask(session.query, self._anything)
        except NacosRefused as error:
            if at_the_start:
                raise
            logger.error("Nacos refuses: %s", error)
        await self._subscriber.begin(session)
        self._sessions += 1
        self._message = f"connected to {session.server}"
        if not at_the_start:
            logger.info("connected to the Nacos server %s", session.server)
        self._running_sink().judging(True)

    def _disconnected(self, reason: str) -> None:
        self._session = None
        self._subscriber.end()
        self._message = f"{reason}; trying again"
        self._running_sink().judging(False, reason)
        logger.warning("%s; trying again in the background", reason)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, NacosRefused) and str(error) not in self._message:
            logger.error("Nacos refuses: %s", error)
        self._message = f"{error}; trying again"

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

    async def want(self, service: str | None) -> None:
        """See `SubscribingDriver.want`."""
        await self._subscriber.want(service)

    # -- the watchdog --------------------------------------------------------------------------------------------------

    async def _watch(self, session: Session) -> tuple[str, bool]:
        """Returns why the session is lost, and whether the connection is broken rather than silent.

        Half of the interval passes between two questions, and the server has a quarter of it to answer, twice as long
        each time that it did not, for a new connection to a slow server is no faster. The last quarter is for
        connecting anew.
        """
        interval = self._settings.check_interval
        check_at = time.monotonic() + interval / 2
        poll_at = time.monotonic() + _POLL_EVERY
        while True:
            await anyio.sleep(min(_LOOK_EVERY, interval / 8))
            now = time.monotonic()
            self._subscriber.expire()
            if await self._is_broken(session):
                return f"the connection to the Nacos server {session.server} is lost", True
            if now < check_at:
                continue
            within = min(self._settings.request_timeout, interval / 4 * 2.0**self._unanswered)
            try:
                with anyio.fail_after(within):
                    await self._check_unless_broken(session, now)
                self._unanswered = 0
                if now >= poll_at:
                    await self._subscriber.poll()
                    poll_at = now + _POLL_EVERY
            except (NacosUnavailable, TimeoutError) as error:
                self._unanswered += 1
                reason = str(error) or f"no answer within {within:g} s"
                return f"the Nacos server {session.server} does not answer: {reason}", await self._is_broken(session)
            check_at = time.monotonic() + interval / 2

    async def _check_unless_broken(self, session: Session, now: float) -> None:
        """Check, and give up as soon as the client knows that its connection is broken: it goes on trying for a while.

        Raises:
            NacosUnavailable: no answer, or the connection is broken.
        """
        broken = False

        async def look() -> None:
            nonlocal broken
            while not broken:
                await anyio.sleep(_LOOK_EVERY / 10)
                broken = await self._is_broken(session)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await self._check(session, now)
            tasks.cancel_scope.cancel()
        if broken:
            raise NacosUnavailable("the server has closed the connection")

    async def _is_broken(self, session: Session) -> bool:
        return not await self._running_thread().call(session.healthy)

    async def _check(self, session: Session, now: float) -> None:
        """Ask the server for what should be there; whatever the answer is, it keeps the connection honest.

        Raises:
            NacosUnavailable: no answer.
        """
        if self._registrar.wanted:
            await self._registrar.check(session, now)
        else:
            with contextlib.suppress(NacosRefused):
                await self._ask(session.query, self._anything)
        await self._subscriber.look_around()

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

    def _from_thread(self, action: Callable[..., object], *arguments: Any) -> None:
        self._running_thread().report(action, *arguments)

    def _observe(self, members: list[Member]) -> None:
        if members:
            self._running_sink().observe(members)

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
        registrar, subscriber = self._registrar, self._subscriber
        names = ", ".join(str(registration.service) for registration in registrar.wanted)
        registered = registrar.problem or (f"registered {names}" if names else "")
        connected = self._session is not None
        message = f"{self._message}, {registered}" if connected and registered else self._message
        counters = {
            "sessions": self._sessions,
            "lists": subscriber.lists,
            "repaired registrations": registrar.repairs,
            "subscribed services": subscriber.services,
        }
        ready = connected and not (registrar.wanted and registrar.problem)
        return DriverStatus(self.mode, ready, message, subscriber.instances, "", counters)
