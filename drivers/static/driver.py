"""The static driver: it reports what it was told, and never learns anything."""

from __future__ import annotations

import math

import anyio
from anyio.abc import TaskStatus

from ..contract import CheckingDriver, Sink
from ..members import DriverStatus, Instance
from .settings import StaticSettings

__all__ = ["StaticDriver"]


class StaticDriver(CheckingDriver):
    """Reports fixed addresses; registers nothing, because there is nobody to register with."""

    detection_bound = math.inf
    """A fixed address notices nothing by itself: what another driver says of a member stands."""

    def __init__(self, settings: StaticSettings) -> None:
        self._settings = settings
        self._instance: Instance | None = None

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """See `Driver.run`."""
        self._instance = instance
        sink.observe(self._settings.members)
        task_status.started()
        await anyio.sleep_forever()

    async def update(self, instance: Instance) -> None:
        """See `Driver.update`: nothing is registered, so nothing changes but what `status` says."""
        self._instance = instance

    async def leave(self) -> None:
        """See `Driver.leave`: nobody is there to be told."""

    def status(self) -> DriverStatus:
        """See `Driver.status`."""
        addresses = len(self._settings.members)
        services = len({member.service for member in self._settings.members})
        message = f"{_counted(addresses, 'fixed address', 'es')} of {_counted(services, 'service', 's')}"
        if not addresses:
            message = "no addresses, for no variable GDD_STATIC_<SERVICE> is set"
        if self._instance is not None:
            message += f"; {self._instance.service} is not registered, which this mode cannot do"
        return DriverStatus("static", True, message, addresses)


def _counted(count: int, one: str, more: str) -> str:
    return f"{count} {one}{more if count != 1 else ''}"
