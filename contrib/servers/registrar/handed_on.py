"""The configuration that a server keeps, in a process that shares its node: the registrar asks for all of them, and
hands on what it is told.

What comes of it is this process' own matter: each has sources that count more, and a page with credentials of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio
from anyio.abc import TaskStatus
from anyio.lowlevel import RunVar

from ....drivers.contract import ConfigurationSource
from ....drivers.members import DriverStatus
from .messages import ToldConfiguration
from .sharing import MODE

__all__ = ["HandedOn"]

_ABSENT = "no registrar at the moment; what it said last holds"


class HandedOn(ConfigurationSource):
    """Follows what the registrar says of the configuration.

    A registry has an event loop of its own, on which it follows its configuration and its driver hears the registrar:
    there the driver finds this (`here`).
    """

    def __init__(self) -> None:
        self._said = ToldConfiguration(message="no registrar yet")
        self._news: anyio.Event | None = None
        self._taken: anyio.Event | None = None

    @staticmethod
    def here() -> HandedOn:
        """The one that follows on the running event loop; one that nobody asks if no server keeps configuration."""
        return _here.get(None) or HandedOn()

    async def follow(
        self, told: Callable[[Mapping[str, str | None]], Awaitable[None]], *, task_status: TaskStatus[None]
    ) -> None:
        """See `ConfigurationSource.follow`: the driver is yet to be made; it waits with its own start (`in_force`)."""
        self._news = news = anyio.Event()
        _here.set(self)
        task_status.started()
        while True:
            await news.wait()
            self._news = news = anyio.Event()
            texts, taken = self._said.texts, self._taken
            if texts is not None:
                await told(texts)
            if taken is not None and not news.is_set():  # else who waits, waits for what was said meanwhile
                taken.set()

    def status(self) -> DriverStatus:
        """See `ConfigurationSource.status`."""
        return DriverStatus(MODE, ready=self._said.connected, message=self._said.message)

    def hear(self, said: ToldConfiguration) -> None:
        """The registrar has said this; without waiting for what comes of it, which may have to ask the registrar."""
        before, self._said = self._said, said
        if self._news is not None and said.texts is not None and said.texts != before.texts:
            if self._taken is None or self._taken.is_set():  # one for each would leave who waits with one never set
                self._taken = anyio.Event()
            self._news.set()

    def lose(self) -> None:
        """There is no registrar that could say anything."""
        self._said = ToldConfiguration(self._said.texts, message=_ABSENT)

    async def in_force(self) -> None:
        """Wait until what was said last is in force, as far as it can be used."""
        if self._taken is not None:
            await self._taken.wait()


_here: RunVar[HandedOn | None] = RunVar("pydoudou configuration handed on")
