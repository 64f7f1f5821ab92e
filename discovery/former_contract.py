"""What a driver can do, said as in the contract of today, for drivers written against that of version 0.1 too.

There an ability was an attribute of that name, ``want`` or ``reconfigure``, perhaps set on the object alone. Today a
driver inherits `SubscribingDriver` or `ReconfigurableDriver`.
"""

from __future__ import annotations

from typing import Any

from ..drivers.contract import Driver, ReconfigurableDriver, SubscribingDriver

__all__ = ["reconfigurable", "subscribing"]


def subscribing(driver: Driver) -> SubscribingDriver | None:
    """The ability to report only what was asked for, None if the driver reports everything."""
    if isinstance(driver, SubscribingDriver):
        return driver
    want = getattr(driver, "want", None)
    return None if want is None else _Wanting(want)


def reconfigurable(driver: Driver) -> ReconfigurableDriver | None:
    """The ability to go on with other settings, None if the driver has not got it."""
    if isinstance(driver, ReconfigurableDriver):
        return driver
    reconfigure = getattr(driver, "reconfigure", None)
    return None if reconfigure is None else _Reconfiguring(reconfigure)


class _Wanting(SubscribingDriver):
    """A driver with `want`: it can be asked for a service, and goes on reporting it for ever."""

    def __init__(self, want: Any) -> None:
        self._want = want

    async def subscribe(self, service: str | None) -> None:
        await self._want(service)

    async def unsubscribe(self, service: str | None) -> None:
        """Version 0.1 had no such thing."""


class _Reconfiguring(ReconfigurableDriver):
    def __init__(self, reconfigure: Any) -> None:
        self._reconfigure = reconfigure

    async def reconfigure(self, settings: Any) -> None:
        await self._reconfigure(settings)
