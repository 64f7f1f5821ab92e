"""From `start` to `stop`: the thread, the view and the drivers of a registry that runs.

Kept apart from `registry`, so that `import pydoudou` loads neither asyncio nor anything else that only a running
registry needs.
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from ..drivers.members import Instance
from .loop_thread import BackgroundLoop
from .settings import Settings
from .shared_view import SharedView
from .status import BackendStatus
from .supervised_driver import Backend
from .supervisor import LEAVE_WITHIN, Supervisor

__all__ = ["Run"]

logger = logging.getLogger(__name__)

_CANCEL_WITHIN = 5.0


class Run:
    """The drivers of `settings`, started when this is made.

    Args:
        instance: what to register, None for nothing.

    Raises:
        Exception: what a driver raised instead of starting (JoinError, MetadataTooLarge, OSError, …).
        DiscoveryError: several drivers did; the message names each.

    Attributes:
        view: what they find.
    """

    def __init__(self, settings: Settings, instance: Instance | None) -> None:
        self._instance = instance
        self._backends = [
            Backend(mode, settings.plugins[mode].create, settings.drivers[mode]) for mode in settings.modes
        ]
        bounds = {backend.mode: backend.driver.detection_bound for backend in self._backends}
        self._loop = BackgroundLoop()
        self.view = SharedView(settings.modes, bounds, self._loop.call_soon)
        try:
            self._supervisor = self._loop.portal.call(partial(Supervisor, self._backends, self.view, instance))
            self._served, _ = self._loop.portal.start_task(self._supervisor.serve)
        except BaseException:
            self.view.close()
            self._loop.close(_CANCEL_WITHIN)
            raise

    def stop(self) -> None:
        """Leave, end the streams, end the thread; within a deadline, whatever the drivers do."""
        try:
            self._loop.call_soon(self._supervisor.stop)
            concurrent.futures.wait([self._served], LEAVE_WITHIN + _CANCEL_WITHIN)
        finally:
            self.view.close()
            self._loop.close(_CANCEL_WITHIN)
        if self._served.done() and not self._served.cancelled() and (error := self._served.exception()) is not None:
            logger.error("the registry did not stop cleanly", exc_info=error)

    def update(self, data: Mapping[str, Any]) -> None:
        """Register `data` in place of the old metadata, with every backend or with none."""
        if self._instance is not None:
            changed = attrs.evolve(self._instance, data=data)
            self._loop.portal.call(self._supervisor.update, changed)
            self._instance = changed

    def want(self, service: str | None, within: float) -> None:
        """Have the backends report this service, None for all of them; waits up to `within` seconds for the first
        answers, but never on the event loop itself.
        """
        asked = self._loop.portal.start_task_soon(self._supervisor.want, service)
        if within > 0 and not self._loop.is_current:
            concurrent.futures.wait([asked], within)

    def reconfigure(self, drivers: Mapping[str, Any]) -> None:
        """Have the drivers of these modes go on with these settings."""
        for backend in self._backends:
            if backend.mode in drivers:
                self._loop.portal.call(backend.reconfigure, drivers[backend.mode])

    def backends(self) -> tuple[BackendStatus, ...]:
        """How the backends are doing, in the order of the modes."""
        return tuple(backend.status(self.view) for backend in self._backends)
