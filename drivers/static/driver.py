"""The static driver: it reports what it was told, and never learns anything."""

from __future__ import annotations

import anyio
from anyio.abc import TaskStatus

from ..contract import DriverStatus, Instance, Sink
from .settings import StaticSettings

__all__ = ["StaticDriver"]

_NEVER = 10 * 365 * 24 * 3600.0
"""Seconds. A fixed address notices nothing by itself: what another driver says of a member stands."""


class StaticDriver:
    """Reports fixed addresses; registers nothing, because there is nobody to register with."""

    mode = "static"
    detection_bound = _NEVER

    def __init__(self, settings: StaticSettings) -> None:
        self._settings = settings

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """See `Driver.run`."""
        sink.observe(self._settings.members)
        task_status.started()
        await anyio.sleep_forever()

    async def update(self, instance: Instance) -> None:
        """See `Driver.update`: nothing is registered, so nothing changes."""

    async def leave(self) -> None:
        """See `Driver.leave`: nobody is there to be told."""

    def status(self) -> DriverStatus:
        """See `Driver.status`."""
        count = len(self._settings.members)
        services = len({member.service for member in self._settings.members})
        return DriverStatus(self.mode, True, f"{count} fixed addresses of {services} services", count)
