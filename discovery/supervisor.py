"""All drivers of a registry that runs, from `start` to `stop`: started together, watched one by one, left together.

A `Supervisor` has two sides. The methods of the first part are for other threads: each hands its work to the event loop
of the drivers, and waits for the outcome without holding any lock. The work itself is the second part, on that loop.
Every wait has a deadline, and `stop` ends them all.

Kept apart from `registry`, so that `import pydoudou` loads neither asyncio nor anything else that only a running
registry needs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from ..drivers.contract import Driver
from ..drivers.errors import RegistryStateError
from ..drivers.kit.loop_thread import LoopThread
from ..drivers.members import Instance
from .asking import Asking
from .clock import Clock
from .membership_log import log_events
from .merging.events import MemberEvent
from .observer import Observers
from .probing import Probing
from .registration import Registration
from .replies import Replies, Reply, answer
from .running_loop import runs_here
from .self_doubt import SelfDoubt
from .settings import Settings
from .settings_in_force import SettingsInForce
from .shared_view import SharedView
from .status import BackendStatus
from .statuses import Statuses
from .subscriptions import Subscriptions
from .supervised_driver import SupervisedDriver
from .timings import Timings
from .together import one_error

if TYPE_CHECKING:
    from .configuration.followed import RemoteStatus

__all__ = ["Supervisor"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Supervisor:
    """Runs the drivers of `settings`.

    Args:
        instance: what is registered, None for nothing.
        subscriptions: what is wanted of the drivers.
        announce: False registers the instance when `announce` is called.

    Attributes:
        view: what the drivers find.
        probing: asks the drivers about one member.
        registration: what is registered at present.
        self_doubt: says whether this process should judge others.
    """

    def __init__(
        self,
        settings: Settings,
        instance: Instance | None,
        subscriptions: Subscriptions,
        observers: Observers,
        *,
        timings: Timings,
        clock: Clock,
        announce: bool = True,
    ) -> None:
        self._loop = LoopThread("pydoudou", self._serve, make_loop=clock.new_event_loop, prepare=runs_here)
        self.view = SharedView(settings.modes, clock, self._loop.call_soon, self._on_events, self._on_status)
        self.probing = Probing(self._loop.call_soon, clock.now)
        self.self_doubt = SelfDoubt(clock.now, self._loop.call_soon)
        self.registration = Registration(instance, announce, timings)
        self._in_force = SettingsInForce(settings, self.registration, self.view, timings, observers)
        self._subscriptions, self._observers = subscriptions, observers
        self._timings, self._clock = timings, clock
        self._drivers: tuple[SupervisedDriver, ...] = ()
        self._statuses = Statuses(self._loop, self.view, observers, timings)
        self._replies = Replies()
        self._started = self._replies.begin()
        self._asking: Asking | None = None
        # A bare lock, released at the end: a signal handler can wait for it whatever the interrupted code holds.
        self._over = threading.Lock()
        self._over.acquire()

    # -- for other threads ---------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._in_force.settings

    @property
    def ended(self) -> bool:
        """Whether it was told to stop."""
        return self._replies.refused

    def configuration(self) -> RemoteStatus | None:
        """How the configuration that a server keeps is doing; None if there is none."""
        return self._in_force.remote_status()

    def start(self) -> None:
        """Start all drivers; returns when each has started.

        Raises:
            Exception: what the one driver raised that could not start (JoinError, MetadataTooLarge, OSError, …).
            DiscoveryError: several could not; the message names each.
            RegistryStateError: `stop` was called meanwhile.
        """
        self._loop.start()
        self._replies.wait(self._started)

    def stop(self) -> None:
        """Leave, end the streams, end the thread; within a deadline, whatever the drivers do. Safe to call twice."""
        deadline = time.monotonic() + self._timings.leave_timeout + self._timings.end_timeout
        self.refuse_calls()
        try:
            self.stop_soon()
            over = self._loop.is_current or self._loop.join(deadline - time.monotonic())
        finally:
            self.view.close()
            self._replies.end()
        if not over:
            logger.error("a driver blocks its event loop or refuses to be cancelled: its thread is left behind")

    def refuse_calls(self) -> None:
        """Let nobody begin to wait for the drivers any more."""
        self._replies.refuse()

    def stop_soon(self) -> None:
        """Have everything leave and end; without a lock and without waiting, as a signal handler needs it."""
        self._replies.refused = True
        self._loop.call_soon(self._stop_soon)

    def leave_soon(self) -> None:
        """Have the drivers tell the others that this process goes, and serve on; as `stop_soon`."""
        self._start_soon(self.registration.leave)

    def wait_until_over(self, timeout: float) -> bool:
        """Wait until everything has left and ended; whether it has, after `timeout` seconds at most."""
        over = self._over.acquire(timeout=timeout)
        if over:
            self._over.release()
        return over

    def update(self, data: Mapping[str, Any]) -> None:
        """Register `data` in place of the old metadata, with every driver or with none.

        Raises:
            Exception: as in `start`.
        """
        self._call(partial(self.registration.update, data))

    def announce(self) -> None:
        """Register what was held back.

        Raises:
            Exception: as in `start`.
        """
        self._call(self.registration.announce)

    def drain(self, seconds: float | None) -> None:
        """Leave, and wait for so long; see `Registry.drain`. Ended by `stop`."""
        self._refuse_own_loop()
        try:
            reply = self._replies.begin()
            self._loop.call_soon(lambda: self._tasks.start_soon(self._drain, seconds, reply))
            self._replies.wait(reply)
        except RegistryStateError as stopped:
            logger.debug("the registry was stopped while it drained: %s", stopped)

    def reconfigure(self, changes: Mapping[str, str]) -> None:
        """Have every driver go on with these changed variables, or none.

        Raises:
            SettingsError: a value is bad.
            Exception: as in `start`.
        """
        self._call(partial(self._reconfigure, changes))

    def on_loop(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """What `function` returns on the event loop of the drivers.

        Raises:
            Exception: what it raises, or as in `start`.
        """
        return self._call(lambda: function(*arguments))

    def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have the event loop do something, and wait for it. The loop keeps the deadline; ours is for a loop that is
        blocked, and longer because of what may have to be undone.
        """
        self._refuse_own_loop()
        reply = self._replies.begin()
        self._loop.call_soon(partial(self._spawn, work, reply))
        result: T = self._replies.wait(reply, 2 * self._timings.call_timeout + 1)
        return result

    def _refuse_own_loop(self) -> None:
        if self._loop.is_current:
            raise RegistryStateError("this waits for the drivers, and must not be called on their own event loop")

    def wanted_changed(self, service: str | None) -> None:
        """A service is wanted, or not any more."""
        self._loop.call_soon(partial(self._look_at, service))

    def driver(self, mode: str) -> Driver:
        """The driver of this mode that runs, or ran last."""
        return {driver.mode: driver for driver in self._drivers}[mode].driver

    def backends(self, *, at_once: bool = False) -> tuple[BackendStatus, ...]:
        """How the drivers are doing; see `Statuses.ask`."""
        return self._statuses.ask(at_once=at_once or self.ended)

    def observe(self) -> None:
        """Somebody wants to hear of the drivers from now on."""
        self._start_soon(self._statuses.tell_of_changes)

    def _start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop.call_soon(lambda: self._tasks.start_soon(work))

    # -- a life, on the event loop -------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._stopping = anyio.Event()
        self._decided = anyio.Event()
        self._changing = anyio.Lock()
        self.registration.begin()
        if self.ended:
            self._stop_soon()
        failures: dict[str, Exception] = {}
        try:
            async with anyio.create_task_group() as self._tasks:
                failures = await self._start(self._tasks)
                if not failures and not self._stopping.is_set():
                    answer(self._started)
                    await self._stopping.wait()
                await self.registration.leave()
                self._tasks.cancel_scope.cancel()
        except Exception as error:
            answer(self._started, error=error)
            logger.error("the registry did not stop cleanly", exc_info=error)
        finally:
            if failures:
                answer(self._started, error=one_error("could not start", failures))
            self._replies.end()
            self._over.release()

    async def _start(self, tasks: TaskGroup) -> dict[str, Exception]:
        """What each driver raised that could not start."""
        failures = await self._unless_stopped(partial(self._in_force.begin, tasks, self._changing))
        if failures or self._stopping.is_set():
            return failures
        settings = self.settings
        try:
            self._drivers = self._statuses.drivers = tuple(
                SupervisedDriver(
                    mode,
                    settings.plugins[mode].create,
                    settings.drivers[mode],
                    self.registration.instance,
                    held_back=self.registration.held_back is not None,
                    clock=self._clock,
                    timings=self._timings,
                    changed=self._on_driver,
                )
                for mode in settings.modes
            )
        except Exception as error:
            return {settings.modes[0]: error}
        self.probing.drivers = self.self_doubt.drivers = self.registration.drivers = self._drivers
        self._in_force.drivers = self._drivers
        self._asking = Asking(self._drivers, self._subscriptions, tasks)
        tasks.start_soon(self.view.keep_time)
        tasks.start_soon(self._expire_subscriptions)
        tasks.start_soon(self._statuses.tell_of_changes)
        for driver in self._drivers:
            tasks.start_soon(driver.run, self.view)
        await self._decided.wait()
        return {driver.mode: driver.failure for driver in self._drivers if driver.failure is not None}

    async def _unless_stopped(self, begin: Callable[[], Awaitable[dict[str, Exception]]]) -> dict[str, Exception]:
        """What `begin` returns; nothing if the registry is stopped meanwhile, which does not wait for it."""
        failures: dict[str, Exception] = {}

        async def end_with_the_registry() -> None:
            await self._stopping.wait()
            waiting.cancel_scope.cancel()

        async with anyio.create_task_group() as waiting:
            waiting.start_soon(end_with_the_registry)
            failures = await begin()
            waiting.cancel_scope.cancel()
        return failures

    def _look_at(self, service: str | None) -> None:
        if self._asking is not None:  # else it is looked at with everything, when the first driver serves
            self._asking.look_at(service)

    def _on_driver(self, driver: SupervisedDriver) -> None:
        """A driver began to serve, or ended."""
        if all(each.decided for each in self._drivers):
            self._decided.set()
        if driver.serving and self._asking is not None:
            self._asking.look_at_everything()
        self._statuses.tell_changed()

    def _stop_soon(self) -> None:
        self._stopping.set()
        self._decided.set()

    async def _expire_subscriptions(self) -> None:
        while True:
            await anyio.sleep(self._timings.forget_after / 4)
            self._subscriptions.expire(self._clock.now(), self._timings.forget_after)

    # -- changes, on the event loop ------------------------------------------------------------------------------------

    def _spawn(self, work: Callable[[], Awaitable[object]], reply: Reply) -> None:
        async def answered() -> None:
            try:
                async with self._changing:
                    result = await work()
            except Exception as error:
                answer(reply, error=error)
            else:
                answer(reply, result)

        self._tasks.start_soon(answered)

    async def _drain(self, seconds: float | None, reply: Reply) -> None:
        await self.registration.drain(self._tasks, self.settings.drain_time if seconds is None else seconds)
        answer(reply)

    async def _reconfigure(self, changes: Mapping[str, str]) -> None:
        await self._in_force.go_on_with(self.settings.changed(changes))

    # -- telling, on the event loop ------------------------------------------------------------------------------------

    def _on_events(self, events: list[MemberEvent]) -> None:
        """Called by the thread that reported, whichever it is."""
        self._subscriptions.hear(events)
        log_events(events)
        if self._observers:
            self._loop.call_soon(partial(self._tell_events, events))

    def _on_status(self) -> None:
        self._statuses.tell_changed()

    def _tell_events(self, events: list[MemberEvent]) -> None:
        for event in events:
            self._observers.member_changed(event)
