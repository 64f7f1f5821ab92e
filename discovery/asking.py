"""How the drivers come to report what is wanted, on their event loop.

One route for every reason: a service is wanted, or not any more, or a driver serves that was not asked yet. A name is
looked at, and each driver whose last instruction is not what is wanted now gets another one. The names that were asked
for last come first, so that one that exists does not wait behind thousands that somebody invented.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from anyio.abc import TaskGroup

from .subscriptions import Subscriptions
from .supervised_driver import SupervisedDriver

__all__ = ["Asking"]

_AT_ONCE = 64


class Asking:
    """Passes on to the drivers what is wanted.

    Args:
        tasks: where to do so.
    """

    def __init__(self, drivers: Sequence[SupervisedDriver], subscriptions: Subscriptions, tasks: TaskGroup) -> None:
        self._drivers = drivers
        self._subscriptions = subscriptions
        self._tasks = tasks
        self._waiting: dict[str | None, None] = {}
        self._in_hand: set[str | None] = set()

    def look_at(self, service: str | None) -> None:
        """Something may have changed about this service, None for all of them."""
        if service in self._in_hand:
            return  # whoever has it in hand looks again before letting go
        self._waiting.pop(service, None)
        if not self._behind(service):
            self._subscriptions.answer(service)
        elif len(self._in_hand) >= _AT_ONCE:
            self._waiting[service] = None
        else:
            self._in_hand.add(service)
            self._tasks.start_soon(self._work, service)

    def look_at_everything(self) -> None:
        """A driver serves that was not asked yet."""
        for service in self._subscriptions.ask_again():
            self.look_at(service)

    def _behind(self, service: str | None) -> list[SupervisedDriver]:
        wanted = service in self._subscriptions.wanted
        return [driver for driver in self._drivers if driver.is_behind(service, wanted)]

    async def _work(self, service: str | None) -> None:
        while True:
            while behind := self._behind(service):
                wanted = service in self._subscriptions.wanted
                async with anyio.create_task_group() as instructions:
                    for driver in behind:
                        instructions.start_soon(driver.follow, service, wanted)
            self._subscriptions.answer(service)
            self._in_hand.discard(service)
            if not self._waiting:
                return
            service, _ = self._waiting.popitem()
            self._in_hand.add(service)
