"""How the drivers are doing: asked on their event loop, for whoever wants to know, and told to observers."""

from __future__ import annotations

import concurrent.futures
import math
import time
from functools import partial

import anyio

from ..drivers.kit.loop_thread import LoopThread
from ..drivers.members import DriverStatus
from .observer import Observers
from .running_loop import in_event_loop
from .shared_view import SharedView
from .status import BackendStatus
from .supervised_driver import SupervisedDriver
from .timings import Timings

__all__ = ["Statuses"]

_KEPT_FOR = 0.1
_WITHIN_IN_A_LOOP = 0.05


class Statuses:
    """The statuses of all drivers of a registry that runs.

    Attributes:
        drivers: whom to ask.
    """

    def __init__(self, loop: LoopThread, view: SharedView, observers: Observers, timings: Timings) -> None:
        self.drivers: tuple[SupervisedDriver, ...] = ()
        self._loop = loop
        self._view = view
        self._observers = observers
        self._timings = timings
        self._said: dict[str, DriverStatus] = {}
        self._said_at = -math.inf
        self._told: dict[str, object] = {}
        self._telling = False

    # -- from any thread -----------------------------------------------------------------------------------------------

    def ask(self, *, at_once: bool) -> tuple[BackendStatus, ...]:
        """How the drivers are doing, in the order of the modes. A loop that does not answer in time gets the last known
        answer; where an event loop runs that time is a twentieth of a second.

        Args:
            at_once: what they said a moment ago is enough, and where an event loop runs nobody waits.
        """
        if self._loop.is_current:
            self._note()
        elif not (at_once and time.monotonic() - self._said_at < _KEPT_FOR):
            noted: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._loop.call_soon(partial(self._note, noted))
            looping = in_event_loop()
            if not (at_once and looping and self._said):
                within = _WITHIN_IN_A_LOOP if looping else self._timings.status_timeout
                concurrent.futures.wait([noted], within)
        return self._known()

    def _known(self) -> tuple[BackendStatus, ...]:
        silent = partial(DriverStatus, ready=False, message="its event loop does not answer")
        said = self._said
        return tuple(driver.status(said.get(driver.mode) or silent(driver.mode), self._view) for driver in self.drivers)

    # -- on the event loop ---------------------------------------------------------------------------------------------

    def _note(self, noted: concurrent.futures.Future[None] | None = None) -> None:
        self._said = {driver.mode: driver.ask_status() for driver in self.drivers}
        self._said_at = time.monotonic()
        if noted is not None:
            noted.set_result(None)

    def tell_changed(self) -> None:
        """Tell the observers of each driver that is not what it was when they were told last."""
        if not self._observers:
            return
        self._note()
        for status in self._known():
            now = (status.running, status.ready, status.authoritative, status.reason, status.error, status.restarts)
            if self._told.get(status.mode) != now:
                self._told[status.mode] = now
                self._observers.driver_changed(status)

    async def tell_of_changes(self) -> None:
        """Tell for as long as somebody observes, and a driver may not say by itself when it becomes ready."""
        if self._telling:
            return
        self._telling = True
        while self._observers:
            if all(driver.decided for driver in self.drivers):
                self.tell_changed()
                if all(driver.tells for driver in self.drivers):
                    break
            await anyio.sleep(self._timings.observe_interval)
        self._telling = False
