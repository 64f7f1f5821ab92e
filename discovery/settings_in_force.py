"""The settings of a registry that runs: changed by the program, or by the server that keeps its configuration.

All of a change is done or none of it: the drivers take the new settings, and what is registered gets its new weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from ..drivers.errors import DiscoveryError
from .configuration import changes
from .configuration.sources import Configuration
from .log_level import set_log_level
from .observer import Observers
from .registration import Registration
from .settings import Settings
from .shared_view import SharedView
from .supervised_driver import SupervisedDriver
from .timings import Timings
from .together import all_or_none

if TYPE_CHECKING:
    from .configuration.followed import Followed, RemoteStatus

__all__ = ["SettingsInForce"]


class SettingsInForce:
    """On the event loop of the drivers; `settings` may be read by any thread.

    Attributes:
        drivers: that have to go on with changed settings; none before they are made.
    """

    def __init__(
        self,
        settings: Settings,
        registration: Registration,
        view: SharedView,
        timings: Timings,
        observers: Observers,
    ) -> None:
        self.settings = settings
        self.drivers: Sequence[SupervisedDriver] = ()
        self._registration = registration
        self._view = view
        self._timings = timings
        self._observers = observers
        self._followed: Followed | None = None

    def remote_status(self) -> RemoteStatus | None:
        """How the configuration that a server keeps is doing; None if there is none."""
        return None if self._followed is None else self._followed.status()

    async def begin(self, tasks: TaskGroup, changing: anyio.Lock) -> dict[str, Exception]:
        """Before the drivers are made: take what a server says, if one keeps configuration, and follow it.

        Args:
            changing: held by whoever changes the settings.

        Returns:
            What hinders the start, by the kind of the server; nothing if nothing does.
        """
        set_log_level(self.settings.log_level)
        remote = self.settings.remote
        if remote is None:
            return {}
        from .configuration.followed import Followed

        async def go_on(configuration: Configuration) -> None:
            async with changing:
                await self.go_on_with(self.settings.configured(configuration))

        heard = self._observers.configuration_told
        may_change = self.settings.remote_variables()
        self._followed = Followed(remote, may_change, lambda: self.settings.configuration, go_on, heard)
        try:
            await tasks.start(self._followed.run)
        except DiscoveryError as error:
            return {remote.kind: error}
        return {}

    async def go_on_with(self, changed: Settings) -> None:
        """Have everybody go on with these settings, or nobody.

        Raises:
            Exception: what the one driver raised that refused.
            DiscoveryError: several did; the message names each.
        """
        before = self.settings
        different = [
            driver for driver in self.drivers if changed.drivers[driver.mode] is not before.drivers[driver.mode]
        ]
        await self._reweigh(before, changed)
        try:
            await all_or_none(
                different,
                lambda driver: driver.reconfigure(changed.drivers[driver.mode], self._view),
                lambda driver: driver.reconfigure(before.drivers[driver.mode], self._view),
                "refused the settings",
                self._timings.call_timeout,
            )
        except Exception:
            await self._reweigh(changed, before)
            raise
        self.settings = changed
        changes.changed()
        set_log_level(changed.log_level)

    async def _reweigh(self, before: Settings, after: Settings) -> None:
        if after.weight != before.weight:
            await self._registration.reweigh(after.weight)
