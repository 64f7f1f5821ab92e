"""What a registry that runs registers with its drivers: at its start or later, changed, and no more.

Leaving is the same whether the process ends at once, is ended by a signal, or drains: each driver tells the others, all
of them within one deadline. Whoever drains says so in the metadata first, for those who look at it, and waits until
whoever had picked this process before has connected and been answered.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import attrs
from anyio.abc import TaskGroup

from ..drivers.errors import RegistryStateError
from ..drivers.members import DRAINING, Instance
from .membership_log import log_registered
from .supervised_driver import SupervisedDriver
from .timings import Timings
from .together import Action, all_or_none, each, one_error

__all__ = ["Presence", "Registration"]

logger = logging.getLogger(__name__)


class Presence(enum.StrEnum):
    """Where a registry is in its life, as others see it.

    HELD_BACK -> RUNNING -> DRAINING -> LEFT, and STOPPED before the start and after the end. One that only looks runs.
    """

    STOPPED = "stopped"
    HELD_BACK = "held back"
    """It looks, and registers when `Registry.announce` is called."""
    RUNNING = "running"
    DRAINING = "draining"
    """It has told the others that it goes, and serves on until they have heard of it."""
    LEFT = "left"


class Registration:
    """The registration of one run, on the event loop of its drivers.

    Args:
        instance: what is to be registered, None for nothing.
        announce: False holds it back until `announce`.

    Attributes:
        instance: what is registered at present, None for nothing. This and `presence` may be read by any thread.
        held_back: what will be.
        drivers: with whom.
    """

    def __init__(self, instance: Instance | None, announce: bool, timings: Timings) -> None:
        self.instance = instance if announce else None
        self.held_back = None if announce else instance
        self.presence = Presence.RUNNING if self.held_back is None else Presence.HELD_BACK
        self._registers = instance is not None
        self.drivers: Sequence[SupervisedDriver] = ()
        self._timings = timings
        self._leaving = False
        self._began = self._takes = 0.0

    def begin(self) -> None:
        """On the event loop, before anything else: the thread that makes a run may be one of another kind of loop."""
        self._told = anyio.Event()

    async def announce(self) -> None:
        """Register what is held back, with every driver that takes it.

        Raises:
            Exception: what the one driver raised that did not.
            DiscoveryError: several did not; the message names each.
        """
        if self.held_back is None:
            return
        instance = attrs.evolve(self.held_back, registered_at=datetime.now(UTC))
        failures = await each(self.drivers, lambda driver: driver.update(instance), self._timings.call_timeout)
        if failures:
            raise one_error("could not register", failures)
        self.instance, self.held_back, self.presence = instance, None, Presence.RUNNING
        for driver in self.drivers:
            log_registered(instance, driver.mode)

    async def update(self, data: Mapping[str, Any]) -> None:
        """Register `data` in place of the old metadata, with all drivers or with none.

        Raises:
            RegistryStateError: nothing is registered any more.
            Exception: as in `announce`.
        """
        if self.instance is None and self.held_back is None:
            raise RegistryStateError("this process has left: nothing is registered whose metadata could be updated")
        await self._change(data=data)

    async def reweigh(self, weight: int) -> None:
        """Register with another weight, if anything is registered, with all drivers or with none.

        Raises:
            Exception: as in `announce`.
        """
        await self._change(weight=weight)

    async def _change(self, **fields: Any) -> None:
        before = self.instance
        if self.held_back is not None:
            self.held_back = attrs.evolve(self.held_back, **fields)
        elif before is not None:
            changed = attrs.evolve(before, **fields)
            await all_or_none(
                self.drivers,
                lambda driver: driver.update(changed),
                lambda driver: driver.update(before),
                "refused the metadata",
                self._timings.call_timeout,
            )
            self.instance = changed

    async def leave(self) -> None:
        """Have all drivers tell the others; returns when they have, or the deadline is over."""
        if self._leaving:
            with anyio.move_on_after(self._timings.leave_timeout):
                await self._told.wait()
        else:
            await self._leave(SupervisedDriver.leave)
        self.presence = Presence.LEFT

    async def _leave(self, action: Action) -> None:
        self._leaving = True
        try:
            with anyio.move_on_after(self._timings.leave_timeout) as deadline:
                await each(self.drivers, action, self._timings.call_timeout)
            if deadline.cancelled_caught:
                logger.warning(
                    "not everybody could be told within %g s that this process leaves", self._timings.leave_timeout
                )
        finally:
            self._told.set()

    async def drain(self, tasks: TaskGroup, least: float) -> None:
        """Begin to leave unless that has begun; returns when the time to serve on is over, counted from then. Where
        nothing is registered that is at once.

        Args:
            least: seconds to serve on even if everybody has been told before.
        """
        if not self._registers:
            return
        instance, self.instance, self.held_back = self.instance, None, None
        if self.presence in (Presence.RUNNING, Presence.HELD_BACK):
            self.presence = Presence.DRAINING
            self._began = anyio.current_time()
            self._takes = max((driver.propagation_time() for driver in self.drivers), default=0.0)
            if not self._leaving:
                saying = None if instance is None else _saying_so(instance)
                tasks.start_soon(self._leave, lambda driver: driver.drain(saying, self._timings.drain_note_timeout))
        with anyio.move_on_after(self._began + max(least, self._takes) - anyio.current_time()):
            await self._told.wait()
        await anyio.sleep(max(0.0, self._began + least - anyio.current_time()))
        self.presence = Presence.LEFT


def _saying_so(instance: Instance) -> Instance:
    return attrs.evolve(instance, data={**instance.data, "state": DRAINING})
