"""Configuration that a Nacos server keeps: asked for by data id, and asked for again every few seconds.

It is asked and not subscribed to. A push may be lost, the SDK asks again after five minutes only, and what it has been
told it writes to files; a question costs the server next to nothing and finds out as well whether the connection lives.

    look who accepts connections  ->  open a session, log in  ->  ask for every data id  ->  ask again  ->  lost: again

While there is no session, what was told last holds. A data id that is gone has to be gone twice in a row: a server that
has just started may not have read its database yet.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskStatus

from ..contract import ConfigurationSource
from ..errors import RegistrationError
from ..kit.first_attempt import first_attempt
from ..kit.log_fields import fields
from ..kit.loop_thread import CallAbandoned, LoopThread
from ..members import DriverStatus
from .connector import Connector
from .errors import NacosError, NacosFailed, NacosRefused, NacosUnavailable
from .sdk_thread import open_thread
from .settings import NacosSettings

if TYPE_CHECKING:
    from .session import Session

__all__ = ["NacosConfiguration"]

logger = logging.getLogger(__name__)

_CLOSE_WITHIN = 1.5

Told = Callable[[Mapping[str, str | None]], Awaitable[None]]


class NacosConfiguration(ConfigurationSource):
    """Follows the data ids of a group.

    Args:
        settings: how the server is reached. Its check interval is how often it is asked.
    """

    def __init__(self, settings: NacosSettings, data_ids: Sequence[str], group: str) -> None:
        self._settings = settings
        self._data_ids = tuple(data_ids)
        self._group = group
        self._texts: dict[str, str | None] = {}
        self._gone: set[str] = set()
        self._missed: set[str] = set()
        self._session: Session | None = None
        self._message = "not started"

    async def follow(self, told: Told, *, task_status: TaskStatus[None]) -> None:
        """See `ConfigurationSource.follow`.

        Raises:
            RegistrationError: the server refuses the credentials, or what is asked for.
            JoinError: no server can be reached, and ``GDD_NACOS_JOIN=required``.
        """
        async with open_thread() as thread:
            with Connector(self._settings, thread, _listed) as connector:
                try:
                    error = await self._first(partial(self._begin, connector, thread, told))
                    if error is not None:
                        logger.warning(
                            "no configuration from Nacos: %s; trying again in the background",
                            error,
                            extra=fields(backend="nacos", reason=error),
                        )
                    task_status.started()
                    while True:
                        error = await self._follow(connector, thread, told, error)
                finally:
                    await self._close(thread)

    def status(self) -> DriverStatus:
        """See `ConfigurationSource.status`."""
        return DriverStatus("nacos", ready=self._session is not None, message=self._message)

    async def _first(self, attempt: Callable[[], Awaitable[object]]) -> Exception | None:
        try:
            return await first_attempt(
                attempt,
                policy=self._settings.join,
                variable="GDD_NACOS_JOIN",
                passing=(NacosUnavailable, NacosFailed),
            )
        except NacosRefused as error:
            raise RegistrationError(str(error)) from error

    async def _follow(
        self, connector: Connector, thread: LoopThread, told: Told, error: Exception | None
    ) -> Exception | None:
        """Open a session if there is none, and ask until it is lost; why it was."""
        try:
            if self._session is None:
                self._message = f"{error}; trying again"
                await anyio.sleep(connector.delay_after(error))
                await self._begin(connector, thread, told)
                logger.info("the Nacos server tells the configuration again", extra=fields(backend="nacos"))
            while True:
                await anyio.sleep(self._settings.check_interval)
                await self._ask(thread, told)
        except NacosError as lost:
            if self._session is not None:
                logger.warning(
                    "no configuration from Nacos at present: %s; what was told last holds",
                    lost,
                    extra=fields(backend="nacos", reason=lost),
                )
            await self._close(thread)
            return lost

    async def _begin(self, connector: Connector, thread: LoopThread, told: Told) -> None:
        self._session = session = await connector.open()
        try:
            await self._ask(thread, told)
        except BaseException:
            await self._close(thread)
            raise
        self._message = f"connected to {session.server}"

    async def _ask(self, thread: LoopThread, told: Told) -> None:
        """Ask for every data id, and tell if one has changed.

        Raises:
            NacosError: the server does not answer, or not so that it can be used.
        """
        session = self._session
        if session is None:
            raise NacosUnavailable("there is no session")
        found: dict[str, str | None] = {}
        for data_id in self._data_ids:
            text = await self._answer(thread, session.configuration, data_id, self._group)
            if text is None:
                self._note_missing(data_id)
                if self._texts.get(data_id) is not None and data_id not in self._gone:
                    self._gone.add(data_id)
                    text = self._texts[data_id]
            else:
                self._gone.discard(data_id)
                self._missed.discard(data_id)
            found[data_id] = text
        if found != self._texts:
            self._texts = found
            await told(found)

    def _note_missing(self, data_id: str) -> None:
        if data_id not in self._missed:
            self._missed.add(data_id)
            logger.warning(
                "the Nacos server keeps nothing under the data id %r in the group %r: it is waited for",
                data_id,
                self._group,
                extra=fields(backend="nacos"),
            )

    async def _answer(
        self, thread: LoopThread, question: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any
    ) -> Any:
        within = self._settings.request_timeout
        try:
            with anyio.fail_after(within):
                return await thread.call(question, *arguments)
        except TimeoutError:
            raise NacosUnavailable(f"no answer within {within:g} s") from None
        except CallAbandoned as error:
            raise NacosUnavailable("the connection was closed meanwhile") from error

    async def _close(self, thread: LoopThread) -> None:
        session, self._session = self._session, None
        if session is not None:
            with anyio.move_on_after(_CLOSE_WITHIN, shield=True), contextlib.suppress(CallAbandoned):
                await thread.call(session.close)


def _listed(*_: object) -> None:
    """No services are subscribed to."""
