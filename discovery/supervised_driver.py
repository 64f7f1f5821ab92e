"""One driver and its fate: started, serving, ended by an error, started again.

A driver that fails to start makes the registry fail to start. One that ends later does not end the registry, nor any
other driver: its last view is kept, and a new driver is made and run after a wait that grows with every run that was
short, and is drawn at random so that the processes of a fleet do not come back in step.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import anyio
import tenacity
from anyio.abc import TaskStatus

from ..drivers.contract import Driver, ReconfigurableDriver, SubscribingDriver
from ..drivers.errors import DiscoveryError
from ..drivers.members import Instance
from .shared_view import DriverSink, SharedView
from .status import BackendStatus

__all__ = ["Backend"]

logger = logging.getLogger(__name__)

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0
_SHORT_RUN = 60.0


class Backend:
    """Keeps a driver running.

    Args:
        make: makes a driver; called for every run, with the settings in force then.

    Attributes:
        driver: the one that runs, or ran last.
        serving: whether it runs and has started.
    """

    def __init__(self, mode: str, make: Callable[[Any], Driver], settings: Any) -> None:
        self.mode = mode
        self.driver = make(settings)
        self._settings = settings
        self.serving = False
        self._make = make
        self._runs = 0
        self._ever_served = False
        self._short_runs = 0
        self._wanted: dict[str | None, None] = {}
        self._error = ""

    async def run(
        self, view: SharedView, instance: Callable[[], Instance | None], *, task_status: TaskStatus[None]
    ) -> None:
        """Run the driver until cancelled, again and again once it has started.

        Args:
            instance: what is to be registered, asked for at the beginning of every run.

        Raises:
            Exception: what the driver raised instead of starting for the first time.
        """
        keep_running = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: self._ever_served and isinstance(error, Exception)),
            wait=lambda state: random.uniform(0.5, 1.0) * min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**self._short_runs),
            before_sleep=self._tell,
            sleep=anyio.sleep,
        )
        await keep_running(self._run_once, view, instance, task_status)

    async def _run_once(
        self, view: SharedView, instance: Callable[[], Instance | None], task_status: TaskStatus[None]
    ) -> None:
        sink = DriverSink(self.mode, view)
        began = time.monotonic()
        self._runs += 1
        try:
            if self._ever_served:
                self.driver = self._make(self._settings)
            async with anyio.create_task_group() as running:
                await running.start(self.driver.run, sink, instance())
                self.serving = True
                sink.started()
                for service in tuple(self._wanted):
                    running.start_soon(self._tell_wanted, service)
                if not self._ever_served:
                    self._ever_served = True
                    task_status.started()
        except Exception as error:
            cause = _innermost(error)
        else:
            cause = DiscoveryError("the driver returned although nobody stopped it")
        finally:
            self.serving = False
        self._short_runs = self._short_runs + 1 if time.monotonic() - began < _SHORT_RUN else 0
        self._error = f"{type(cause).__name__}: {cause}"
        sink.ended(self._error)
        raise cause

    def _tell(self, state: tenacity.RetryCallState) -> None:
        wait = state.next_action.sleep if state.next_action is not None else 0.0
        error = state.outcome.exception() if state.outcome is not None else None
        logger.error(
            "the %s driver has ended and is started again in %.1f s: %s",
            self.mode,
            wait,
            self._error,
            exc_info=error if logger.isEnabledFor(logging.DEBUG) else None,
        )

    async def leave(self) -> None:
        """Have the driver tell the others that this process goes; what fails then is logged."""
        try:
            await self.driver.leave()
        except Exception as error:
            logger.warning("the %s driver could not leave: %s", self.mode, _innermost(error))

    async def update(self, instance: Instance) -> None:
        """Register changed metadata; a driver that does not serve takes it up with its next run."""
        if self.serving:
            await self.driver.update(instance)

    async def reconfigure(self, settings: Any) -> None:
        """Go on with other settings; a driver that does not serve takes them up with its next run."""
        self._settings = settings
        if self.serving:
            await cast(ReconfigurableDriver, self.driver).reconfigure(settings)

    async def want(self, service: str | None) -> None:
        """Have a driver that only reports what somebody asked for report this service too, in every run."""
        self._wanted[service] = None
        if self.serving:
            await self._tell_wanted(service)

    async def _tell_wanted(self, service: str | None) -> None:
        if isinstance(self.driver, SubscribingDriver):
            await self.driver.subscribe(service)
        elif hasattr(self.driver, "want"):
            await self.driver.want(service)

    def status(self, view: SharedView) -> BackendStatus:
        """How the driver is doing; from any thread."""
        able, reason = view.merged.authority(self.mode)
        return BackendStatus(
            mode=self.mode,
            running=self.serving,
            judging=able,
            reason=reason,
            error=self._error,
            restarts=max(0, self._runs - 1),
            driver=self.driver.status(),
        )


def _innermost(error: Exception) -> Exception:
    """The error itself, out of the groups that task groups wrap around it."""
    nested: Sequence[Exception] = getattr(error, "exceptions", ())
    return _innermost(nested[0]) if len(nested) == 1 else error
