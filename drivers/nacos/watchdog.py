"""Whether a session is any good: looked at four times a second, and asked about every few seconds.

Half of the check interval passes between two checks, and the server has a quarter of it to answer, twice as long each
time that it did not, for a new connection to a slow server is no faster. The last quarter is for connecting anew.

An answer is an answer, whatever it says: an error about one service is that service's trouble. If the service that is
asked about is silent, the server is asked something else as well, before the connection is given up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
import attrs

from .errors import NacosError, NacosUnavailable
from .registrar import Ask, Registrar
from .service_names import ServiceName
from .settings import NacosSettings
from .subscriber import Subscriber

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Loss", "Watchdog"]

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.25
_POLL_EVERY = 30.0
_LOOK_AGAIN_AFTER = 0.1
"""The client calls its connection unhealthy for a moment when it was answered with errors, and then finds it well."""


@attrs.frozen
class Loss:
    """Why a session is lost.

    Attributes:
        broken: whether the connection is; else it is merely silent, and may be kept until the next one stands.
    """

    reason: str
    broken: bool


class Watchdog:
    """Watches one session after the other.

    Args:
        healthy: asks the client of a session, on its own thread, what it knows of its connection.
        anything: a service that need not be there, to ask something about.
    """

    def __init__(
        self,
        settings: NacosSettings,
        registrar: Registrar,
        subscriber: Subscriber,
        ask: Ask,
        healthy: Callable[[Session], Awaitable[bool]],
        anything: ServiceName,
    ) -> None:
        self._interval = settings.check_interval
        self._most = settings.request_timeout
        self._registrar = registrar
        self._subscriber = subscriber
        self._ask = ask
        self._healthy = healthy
        self._anything = anything
        self._unanswered = 0

    async def watch(self, session: Session) -> Loss:
        """Keep the session honest; returns when it is lost."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_subscribed, session)
            loss = await self._watch(session)
            tasks.cancel_scope.cancel()
        return loss

    async def _watch(self, session: Session) -> Loss:
        check_at = time.monotonic() + self._interval / 2
        while True:
            await anyio.sleep(min(_LOOK_EVERY, self._interval / 8))
            self._subscriber.expire()
            if await self._is_broken(session):
                return Loss(f"the connection to the Nacos server {session.server} is lost", True)
            if time.monotonic() < check_at:
                continue
            reason = await self._check(session)
            if reason:
                self._unanswered += 1
                text = f"the Nacos server {session.server} does not answer: {reason}"
                return Loss(text, await self._is_broken(session))
            self._unanswered = 0
            check_at = time.monotonic() + self._interval / 2

    async def _keep_subscribed(self, session: Session) -> None:
        """Apart from the checks: one service that the server is silent about keeps none of them waiting."""
        poll_at = time.monotonic() + _POLL_EVERY
        while True:
            await anyio.sleep(self._interval / 2)
            await self._subscriber.look_around()
            if time.monotonic() >= poll_at:
                await self._subscriber.poll()
                poll_at = time.monotonic() + _POLL_EVERY

    async def _check(self, session: Session) -> str:
        """Ask the server for what should be there; returns why the session is lost, "" if it is not."""
        within = min(self._most, self._interval / 4 * 2.0**self._unanswered)
        reason = f"no answer within {within:g} s"
        done = anyio.Event()

        async def check() -> None:
            nonlocal reason
            try:
                await self._ask_about_ours(session)
            except NacosUnavailable as error:
                reason = str(error)
            else:
                reason = ""
                done.set()

        async def ask_something_else() -> None:
            nonlocal reason
            await anyio.sleep(within / 2)
            if self._registrar.wanted and await self._answers(session):
                reason = ""
                done.set()

        async def look() -> None:
            nonlocal reason
            while not await self._is_broken(session):  # noqa: ASYNC110 - nobody tells us
                await anyio.sleep(_LOOK_EVERY / 10)
            reason = "the server has closed the connection"
            done.set()

        with anyio.move_on_after(within):
            async with anyio.create_task_group() as tasks:
                for each in (check, ask_something_else, look):
                    tasks.start_soon(each)
                await done.wait()
                tasks.cancel_scope.cancel()
        return reason

    async def _ask_about_ours(self, session: Session) -> None:
        """Whatever the answer is, it keeps the connection honest.

        Raises:
            NacosUnavailable: no answer.
        """
        if self._registrar.wanted:
            await self._registrar.check(session, time.monotonic())
        elif not await self._answers(session):
            raise NacosUnavailable("no answer")

    async def _answers(self, session: Session) -> bool:
        """Whether the server answers anything at all."""
        try:
            await self._ask(session.query, self._anything)
        except NacosUnavailable:
            return False
        except NacosError as error:
            logger.debug("the Nacos server answers with an error: %s", error)
        return True

    async def _is_broken(self, session: Session) -> bool:
        if await self._healthy(session):
            return False
        await anyio.sleep(_LOOK_AGAIN_AFTER)
        return not await self._healthy(session)
