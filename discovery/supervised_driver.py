"""One driver and its fate: started, serving, ended by an error, started again.

A driver that fails to start makes the registry fail to start. One that ends later does not end the registry, nor any
other driver: its last view is kept, and a new driver is made and run after a wait that grows with every run that was
short, and is drawn at random so that the processes of a fleet do not come back in step.
"""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskStatus

from ..drivers.contract import (
    AnnouncingDriver,
    CheckingDriver,
    Driver,
    ProbingDriver,
    SubscribingDriver,
    TellingDriver,
)
from ..drivers.errors import DiscoveryError
from ..drivers.kit.backoff import Backoff
from ..drivers.kit.log_fields import fields
from ..drivers.kit.log_limit import RateLimitedLog
from ..drivers.members import DriverStatus, Instance
from .clock import Clock
from .driver_errors import errors_inside, errors_of_any_kind, innermost, said
from .former_contract import reconfigurable, subscribing
from .membership_log import log_registered
from .shared_view import SharedView
from .sink import DriverSink
from .status import BackendStatus
from .timings import Timings

__all__ = ["Lifecycle", "SupervisedDriver"]

logger = logging.getLogger(__name__)


class Lifecycle(enum.Enum):
    """Where a supervised driver is. STARTING -> SERVING -> WAITING -> STARTING -> …; STOPPED comes last."""

    STARTING = "starting"
    SERVING = "serving"
    WAITING = "waiting"
    STOPPED = "stopped"


class SupervisedDriver:
    """Keeps a driver running. All methods belong to the event loop of the drivers, but for those of the status.

    Args:
        make: makes a driver; called for every run, with the settings in force then.
        instance: what is registered, None for nothing.
        held_back: whether an instance will be registered later.
        changed: is called each time that the driver begins to serve, or has ended.

    Attributes:
        driver: the one that runs, or ran last.
        lifecycle: where it is.
        decided: whether the first start has succeeded or failed.
        failure: what the driver raised instead of starting for the first time.
        probing: the driver while it serves, if it is one that looks by itself; may be read by any thread.

    Raises:
        DiscoveryError: what `make` returns is no driver.
    """

    def __init__(
        self,
        mode: str,
        make: Callable[[Any], Driver],
        settings: Any,
        instance: Instance | None,
        *,
        held_back: bool = False,
        clock: Clock,
        timings: Timings,
        changed: Callable[[SupervisedDriver], None],
    ) -> None:
        self.mode = mode
        self.lifecycle = Lifecycle.STARTING
        self.decided = False
        self.failure: Exception | None = None
        self.probing: ProbingDriver | None = None
        self._settings = settings
        self._instance = instance
        self._held_back = held_back
        self._make = make
        self._clock = clock
        self._timings = timings
        self._changed = changed
        self._able: SubscribingDriver | None = None
        self._told: set[str | None] = set()
        self._log = RateLimitedLog(logger, clock.now)
        self._error = ""
        self._restarts = 0
        self._subscription_errors = 0
        self._present = False
        self.driver = self._made()

    def _made(self) -> Driver:
        try:
            driver = self._make(self._settings)
        except TypeError as error:
            raise DiscoveryError(f"the driver of the mode {self.mode!r} cannot be made: {error}") from error
        lacking = [name for name in _NEEDED if not hasattr(driver, name)]
        if lacking:
            raise DiscoveryError(
                f"the mode {self.mode!r} has no driver: {type(driver).__name__} lacks {', '.join(lacking)}; "
                "pydoudou.drivers.contract.Driver says what a driver needs"
            )
        for name, ability in (("subscribe", "SubscribingDriver"), ("unsubscribe", "SubscribingDriver")):
            if hasattr(driver, name) and subscribing(driver) is None:
                raise DiscoveryError(
                    f"the driver of the mode {self.mode!r}, {type(driver).__name__}, has {name}() and does not inherit "
                    f"pydoudou.drivers.contract.{ability}"
                )
        if self._held_back and isinstance(driver, AnnouncingDriver):
            driver.registers_later = True
        return driver

    # -- a life --------------------------------------------------------------------------------------------------------

    async def run(self, view: SharedView) -> None:
        """Run the driver until cancelled, again and again once it has started."""
        short_runs = 0
        backoff = Backoff(self._timings.restart_after, self._timings.restart_after_most)
        try:
            while True:
                self.lifecycle, began = Lifecycle.STARTING, self._clock.now()
                error = await self._run_once(view)
                if not self.decided:
                    self.failure = error
                    return
                short_runs = short_runs + 1 if self._clock.now() - began < self._timings.short_run else 0
                wait = backoff.delay(short_runs)
                self._tell(error, wait)
                self.lifecycle = Lifecycle.WAITING
                self._changed(self)
                await anyio.sleep(wait)
                self._restarts += 1
        finally:
            self.lifecycle, self.decided = Lifecycle.STOPPED, True
            self._changed(self)

    async def _run_once(self, view: SharedView) -> Exception:
        """Returns why it ended."""
        sink = DriverSink(self.mode, view, check=not isinstance(self.driver, CheckingDriver))
        try:
            if self.decided:
                self.driver = self._made()
            view.detects_within(self.mode, self._detection_bound())
            with errors_inside("run"):
                async with anyio.create_task_group() as running:
                    instance, settings = self._instance, self._settings
                    self._present = True
                    await running.start(self._run_driver, sink, instance)
                    self._told, self._able = set(), subscribing(self.driver)
                    self.lifecycle, self.decided = Lifecycle.SERVING, True
                    self.probing = self.driver if isinstance(self.driver, ProbingDriver) else None
                    sink.started()
                    log_registered(instance, self.mode)
                    running.start_soon(self._catch_up, instance, settings)
                    self._changed(self)
            cause: Exception = DiscoveryError("the driver returned although nobody stopped it")
        except Exception as error:
            cause = innermost(error)
        finally:
            self._present, self.probing = False, None
        self._error = f"{type(cause).__name__}: {said(cause)}"
        sink.ended(self._error)
        return cause

    async def _run_driver(self, sink: DriverSink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        # In the task itself: asyncio lets a SystemExit through to whoever runs the loop.
        with errors_inside("run"):
            await self.driver.run(sink, instance, task_status=task_status)

    async def _catch_up(self, instance: Instance | None, settings: Any) -> None:
        """Take up what was changed while the driver was starting."""
        try:
            if self._instance is not None and self._instance is not instance:
                await self._update(self._instance)
            if self._settings is not settings:
                await self._reconfigure(self._settings)
        except Exception as error:
            logger.error(
                "the %s driver did not take up what was changed while it started: %s",
                self.mode,
                said(error),
                extra=fields(backend=self.mode, reason=error),
            )

    def _tell(self, error: Exception, wait: float) -> None:
        logger.error(
            "the %s driver has ended and is started again in %.1f s: %s",
            self.mode,
            wait,
            self._error,
            extra=fields(backend=self.mode, reason=self._error),
            exc_info=error if logger.isEnabledFor(logging.DEBUG) else None,
        )

    def _detection_bound(self) -> float:
        bound = self.driver.detection_bound
        if not isinstance(bound, (int, float)) or math.isnan(bound) or bound < 0:
            raise DiscoveryError(
                f"the detection_bound of the mode {self.mode!r} is {bound!r}; accepted: seconds, 0 or more, or math.inf"
            )
        return float(bound)

    # -- what a registry has it do -------------------------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Whether it runs and has started."""
        return self.lifecycle is Lifecycle.SERVING

    async def leave(self) -> None:
        """Have the driver tell the others that this process goes; what fails then is logged."""
        if not self._present:
            return
        try:
            with errors_inside("leave"):
                await self.driver.leave()
        except Exception as error:
            reason = innermost(error)
            logger.warning(
                "the %s driver could not leave: %s",
                self.mode,
                said(reason),
                extra=fields(backend=self.mode, reason=reason),
            )

    async def drain(self, saying: Instance | None, within: float) -> None:
        """Say so in the metadata, if that is quick; leave, and register nothing any more, after a restart too."""
        if self.serving and saying is not None:
            try:
                with anyio.move_on_after(within):
                    await self._update(saying)
            except Exception as error:
                reason = innermost(error)
                extra = fields(backend=self.mode, reason=reason)
                logger.info(
                    "the %s driver could not say that this process drains: %s", self.mode, said(reason), extra=extra
                )
        self._instance, self._held_back = None, False
        await self.leave()

    def propagation_time(self) -> float:
        """Seconds after which everybody has heard that this process left; 0 if the driver cannot tell."""
        if not (self.serving and isinstance(self.driver, AnnouncingDriver)):
            return 0.0
        try:
            with errors_of_any_kind("propagation_time"):
                return self.driver.propagation_time()
        except Exception as error:
            logger.warning(
                "the propagation_time() of the %s driver raised %r",
                self.mode,
                error,
                extra=fields(backend=self.mode, reason=error),
            )
            return 0.0

    async def update(self, instance: Instance | None) -> None:
        """Register changed metadata; a driver that does not serve takes it up when it does."""
        if self.serving and instance is not None:
            await self._update(instance)
        self._instance = instance

    async def _update(self, instance: Instance) -> None:
        with errors_inside("update"):
            await self.driver.update(instance)

    async def reconfigure(self, settings: Any, view: SharedView) -> None:
        """Go on with other settings; a driver that does not serve takes them up when it does."""
        if self.serving:
            await self._reconfigure(settings)
            view.detects_within(self.mode, self._detection_bound())
        self._settings = settings

    async def _reconfigure(self, settings: Any) -> None:
        able = reconfigurable(self.driver)
        if able is None:
            raise DiscoveryError(
                f"the driver of the mode {self.mode!r}, {type(self.driver).__name__}, cannot be reconfigured: it does "
                "not inherit pydoudou.drivers.contract.ReconfigurableDriver"
            )
        with errors_inside("reconfigure"):
            await able.reconfigure(settings)

    def is_behind(self, service: str | None, wanted: bool) -> bool:
        """Whether the driver has to be told that this service is wanted, or is not any more."""
        return self._able is not None and self.serving and wanted is not (service in self._told)

    async def follow(self, service: str | None, wanted: bool) -> None:
        """Have the driver report this service from now on, or no more. What fails is logged and counted."""
        able = self._able
        if able is None:
            return
        (self._told.add if wanted else self._told.discard)(service)
        try:
            with anyio.fail_after(self._timings.subscribe_timeout), errors_inside("subscribe"):
                await (able.subscribe if wanted else able.unsubscribe)(service)
        except Exception as error:
            self._subscription_errors += 1
            cause = innermost(error)
            self._log.warning(
                "subscribe" if wanted else "unsubscribe",
                "the %s driver could not %s %s: %s: %s",
                self.mode,
                "subscribe to" if wanted else "unsubscribe from",
                "all services" if service is None else repr(service),
                type(cause).__name__,
                said(cause),
                extra=partial(fields, service=service or "", backend=self.mode, reason=cause),
            )

    # -- how it goes ---------------------------------------------------------------------------------------------------

    @property
    def tells(self) -> bool:
        """Whether nobody has to ask the driver how it is doing to know that this has changed."""
        return isinstance(self.driver, TellingDriver)

    def ask_status(self) -> DriverStatus:
        """What the driver says of itself. On the event loop."""
        try:
            with errors_of_any_kind("status"):
                return self.driver.status()
        except Exception as error:
            self._log.warning(
                "status",
                "the status() of the %s driver raised %r",
                self.mode,
                error,
                extra=partial(fields, backend=self.mode, reason=error),
            )
            return DriverStatus(self.mode, False, f"its status() raised {type(error).__name__}: {said(error)}")

    def status(self, driver: DriverStatus, view: SharedView) -> BackendStatus:
        """How the driver is doing, given what it says of itself. From any thread."""
        authoritative, reason = view.authority(self.mode)
        return BackendStatus(
            mode=self.mode,
            running=self.serving,
            authoritative=authoritative,
            reason=reason,
            error=self._error,
            restarts=self._restarts,
            driver=driver,
            subscriptions=len(self._told),
            subscription_errors=self._subscription_errors,
        )


_NEEDED = ("detection_bound", "run", "update", "leave", "status")
