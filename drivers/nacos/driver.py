"""The Nacos driver: keeps a session with a server, registers in it and reports what it lists.

One session after the other, for as long as the registry runs:

    look who accepts connections  ->  open a session, log in  ->  register, subscribe  ->  watch it  ->  lost: again

While there is no session the driver is not authoritative: what was listed last is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import tenacity
from anyio.abc import TaskGroup, TaskStatus

from ..contract import AnnouncingDriver, CheckingDriver, Sink, SubscribingDriver
from ..errors import RegistrationError
from ..kit.first_attempt import first_attempt
from ..kit.log_fields import fields
from ..kit.loop_thread import CallAbandoned, LoopThread, call_soon
from ..members import DriverStatus, Instance, JoinPolicy, Member, Metric, MetricKind
from .connector import Connector
from .errors import NacosError, NacosFailed, NacosRefused, NacosUnavailable
from .instances import ServiceList, encode_instance
from .registrar import Registrar
from .sdk_thread import open_thread
from .service_names import ServiceName
from .settings import NacosSettings
from .subscriber import Subscriber
from .watchdog import Watchdog

if TYPE_CHECKING:
    from .session import OnList, Session

__all__ = ["METRICS", "NacosDriver"]

logger = logging.getLogger(__name__)

_LEAVE_WITHIN = 1.5
_PUSHED_WITHIN = 0.5
_CLOSE_WITHIN = 1.5

METRICS = (
    Metric("sessions", MetricKind.COUNTER, "sessions with a server that were opened"),
    Metric("lists_received", MetricKind.COUNTER, "lists of a service's instances that the server has sent"),
    Metric("registrations_repaired", MetricKind.COUNTER, "registrations that were missing and made again"),
    Metric("registration_failures", MetricKind.COUNTER, "registrations and checks that the server refused or failed"),
    Metric("subscription_failures", MetricKind.COUNTER, "services that the server refused or failed to tell of"),
    Metric("values_dropped", MetricKind.COUNTER, "instances and metadata of others that are unusable"),
    Metric("services_subscribed", MetricKind.GAUGE, "services that the server tells of at present"),
    Metric("services_refused", MetricKind.GAUGE, "services that the server refuses to tell of at present"),
)


class NacosDriver(SubscribingDriver, AnnouncingDriver, CheckingDriver):
    """Registers with Nacos, and reports the services that somebody asked for."""

    detection_bound = 30.0
    """A client that has died is dropped within a second, one that hangs after 20 to 30 s."""

    metrics = METRICS

    def __init__(self, settings: NacosSettings) -> None:
        self._settings = settings
        self._anything = ServiceName(settings.group, "pydoudou")
        self._registrar = Registrar(self._ask)
        self._subscriber = Subscriber(settings.group, self._ask, self._observe)
        self._watchdog = Watchdog(settings, self._registrar, self._subscriber, self._ask, self._healthy, self._anything)
        self._sink: Sink | None = None
        self._thread: LoopThread | None = None
        self._session: Session | None = None
        self._message = "not started"
        self._sessions = 0

    # -- life ----------------------------------------------------------------------------------------------------------

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """See `Driver.run`.

        Raises:
            SettingsError: the folder for the log cannot be made.
            MetadataTooLarge: before anything is sent.
            RegistrationError: the server refuses the registration or the credentials.
            JoinError: no server can be reached, and ``GDD_NACOS_JOIN=required``.
        """
        settings = self._settings
        settings.check_folders()
        self._sink = sink
        if instance is not None:
            self._registrar.wanted = encode_instance(instance, settings.group, settings.cluster)
        async with open_thread() as self._thread, anyio.create_task_group() as tasks:
            with Connector(settings, self._thread, self._from_thread()) as connector:
                error = await self._first_session(connector)
                if error is not None:
                    self._disconnected(str(error))
                task_status.started()
                await self._keep_session(connector, tasks)

    async def _first_session(self, connector: Connector) -> Exception | None:
        """One attempt before the driver counts as started, the others in the background."""
        try:
            return await first_attempt(
                partial(self._new_session, connector, at_the_start=True),
                policy=self._settings.join,
                variable="GDD_NACOS_JOIN",
                passing=(NacosUnavailable, NacosFailed),
            )
        except NacosRefused as error:
            raise RegistrationError(str(error)) from error

    async def _keep_session(self, connector: Connector, tasks: TaskGroup) -> None:
        """Watch the session, and open another one when it is lost; never returns.

        A connection that is merely silent is kept until the next one stands: if the server is only slow, it would take
        the end of the connection for the end of this process.
        """
        silent: Session | None = None
        try:
            while True:
                if (session := self._session) is not None:
                    loss = await self._watchdog.watch(session)
                    self._disconnected(loss.reason)
                    if loss.broken:
                        tasks.start_soon(self._close, session)
                    else:
                        silent = session
                await self._next_session(connector)
                if silent is not None:
                    tasks.start_soon(self._close, silent)
                    silent = None
        finally:
            for each in (self._session, silent):
                if each is not None:
                    await self._close(each)

    async def _next_session(self, connector: Connector) -> None:
        """Try until there is one."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(NacosError),
            wait=lambda attempt: connector.delay_after(_error_of(attempt)),
            before_sleep=self._tell,
            sleep=anyio.sleep,
        )
        await retrying(self._new_session, connector)

    def _tell(self, attempt: tenacity.RetryCallState) -> None:
        error = _error_of(attempt)
        if isinstance(error, NacosRefused) and str(error) not in self._message:
            logger.error("Nacos refuses: %s", error, extra=_fields(error))
        self._message = f"{error}; trying again"

    async def _new_session(self, connector: Connector, *, at_the_start: bool = False) -> None:
        """Open a session, register in it, and subscribe.

        Raises:
            NacosUnavailable: no server is there, or it does not answer.
            NacosRefused: the server refuses the credentials; or, at the start, the registration. Later that is only
                said and tried again: what others offer is still found.
            NacosFailed: the server answers with nonsense; or, at the start where a server is required, it could not
                register.
        """
        session = await connector.open()
        try:
            await self._begin(session, at_the_start=at_the_start)
        except BaseException:
            self._session = None
            self._subscriber.end()
            await self._close(session)
            raise

    async def _begin(self, session: Session, *, at_the_start: bool) -> None:
        self._session = session
        try:
            await self._registrar.register(session, time.monotonic())
            await self._ask(session.query, self._anything)
        except (NacosRefused, NacosFailed) as error:
            refused = isinstance(error, NacosRefused)
            if at_the_start and (refused or self._settings.join is JoinPolicy.REQUIRED):
                raise
            logger.error("Nacos %s: %s", "refuses" if refused else "answers with an error", error, extra=_fields(error))
        await self._subscriber.begin(session)
        self._sessions += 1
        self._message = f"connected to {session.server}"
        if not at_the_start:
            extra = fields(backend="nacos", source=str(session.server))
            logger.info("connected to the Nacos server %s", session.server, extra=extra)
        self._running_sink().authoritative(True)

    def _disconnected(self, reason: str) -> None:
        self._session = None
        self._subscriber.end()
        self._message = f"{reason}; trying again"
        self._running_sink().authoritative(False, reason)
        logger.warning("%s; trying again in the background", reason, extra=_fields(reason))

    async def _close(self, session: Session) -> None:
        with anyio.move_on_after(_CLOSE_WITHIN, shield=True), contextlib.suppress(CallAbandoned):
            await self._running_thread().call(session.close)

    # -- what is asked of it -------------------------------------------------------------------------------------------

    async def update(self, instance: Instance) -> None:
        """See `Driver.update`. While there is no session, the next one registers it.

        Raises:
            MetadataTooLarge: before anything is sent.
            RegistrationError: the server refuses it; the old registration stays.
        """
        wanted = encode_instance(instance, self._settings.group, self._settings.cluster)
        before, self._registrar.wanted = self._registrar.wanted, wanted
        session = self._session
        if session is None:
            return
        try:
            await self._registrar.register(session, time.monotonic())
        except NacosRefused as error:
            await self._registrar.go_back(session, before, time.monotonic())
            raise RegistrationError(f"Nacos refuses the metadata: {error}") from error
        except NacosError as error:
            logger.warning(
                "Nacos did not take the changed metadata (%s); trying again in the background",
                error,
                extra=_fields(error),
            )

    async def leave(self) -> None:
        """See `Driver.leave`."""
        session = self._session
        if session is None:
            self._registrar.wanted = ()
            return
        with anyio.move_on_after(_LEAVE_WITHIN) as deadline:
            try:
                await self._registrar.deregister(session)
            except NacosError as error:
                logger.warning(
                    "could not deregister, which the end of the connection does too: %s", error, extra=_fields(error)
                )
        if deadline.cancelled_caught:
            logger.warning(
                "the Nacos server did not confirm the deregistration within %g s", _LEAVE_WITHIN, extra=_fields()
            )

    def propagation_time(self) -> float:
        """See `AnnouncingDriver.propagation_time`: the server pushes half a second after a change."""
        return _PUSHED_WITHIN

    async def subscribe(self, service: str | None) -> None:
        """See `SubscribingDriver.subscribe`."""
        await self._subscriber.subscribe(service)

    async def unsubscribe(self, service: str | None) -> None:
        """See `SubscribingDriver.unsubscribe`."""
        await self._subscriber.unsubscribe(service)

    async def lose_registrations(self) -> None:
        """For tests: take back what is registered without wanting it less, as a server does that drops this client. The
        watchdog has to notice.
        """
        if (session := self._session) is not None:
            for registration in self._registrar.wanted:
                await self._ask(session.deregister, registration)

    def status(self) -> DriverStatus:
        """See `Driver.status`; made of single values, so that any thread may ask."""
        registrar, subscriber = self._registrar, self._subscriber
        wanted, problem = registrar.wanted, registrar.problem
        registered = problem or (f"registered {', '.join(str(each.service) for each in wanted)}" if wanted else "")
        connected = self._session is not None
        message = f"{self._message}, {registered}" if connected and registered else self._message
        counters = {
            "sessions": self._sessions,
            "lists_received": subscriber.lists,
            "registrations_repaired": registrar.repairs,
            "registration_failures": registrar.failures,
            "subscription_failures": subscriber.failures,
            "values_dropped": subscriber.dropped,
        }
        gauges = {"services_subscribed": subscriber.services, "services_refused": subscriber.refused}
        return DriverStatus("nacos", connected and not problem, message, subscriber.instances, "", counters, gauges)

    # -- small things --------------------------------------------------------------------------------------------------

    async def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The answer of a session's method.

        Raises:
            NacosUnavailable: no answer in time, or no connection.
            NacosRefused: the server does not want it.
            NacosFailed: the answer is a fault that may pass, or nonsense.
        """
        within = self._settings.request_timeout
        try:
            with anyio.fail_after(within):
                return await self._running_thread().call(function, *arguments)
        except TimeoutError:
            raise NacosUnavailable(f"no answer within {within:g} s") from None
        except CallAbandoned as error:
            raise NacosUnavailable("the connection was closed meanwhile") from error

    async def _healthy(self, session: Session) -> bool:
        """What the client says of its connection; a client that cannot tell has none. Whether a thread that is late has
        a connection, the check finds out that waits for the server.
        """
        with anyio.move_on_after(self._settings.request_timeout):
            try:
                return bool(await self._running_thread().call(session.healthy))
            except (CallAbandoned, NacosError) as error:
                logger.debug("the client of the Nacos SDK does not tell how it is: %s", error)
                return False
        return True

    def _from_thread(self) -> OnList:
        """What takes lists from the thread of the SDK to the loop that the driver runs on."""
        loop = asyncio.get_running_loop()

        def on_list(session: Session, listed: ServiceList) -> None:
            call_soon(loop, self._subscriber.listed, session, listed)

        return on_list

    def _observe(self, members: list[Member]) -> None:
        self._running_sink().observe(members)

    def _running_thread(self) -> LoopThread:
        if self._thread is None:
            raise RuntimeError("the driver is not running")
        return self._thread

    def _running_sink(self) -> Sink:
        if self._sink is None:
            raise RuntimeError("the driver is not running")
        return self._sink


def _error_of(attempt: tenacity.RetryCallState) -> BaseException | None:
    return attempt.outcome.exception() if attempt.outcome is not None else None


def _fields(reason: object = "") -> dict[str, str]:
    return fields(backend="nacos", reason=reason)
