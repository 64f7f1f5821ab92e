"""Opens sessions: looks which servers accept connections, and decides how long to wait after one that failed."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import tenacity

from .errors import NacosRefused, NacosUnavailable
from .sdk_thread import SdkThread
from .settings import GRPC_PORT_OFFSET, NacosSettings, Server

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Connector"]

_TCP_WITHIN = 1.0
_OPEN_WITHIN = 10.0
_CONNECT_WITHIN = 1.5
_SLOW_CONNECT_WITHIN = 3.0
_QUICK_OPENS = 10
"""An attempt to connect that was lost on the way keeps the next one waiting. Only after so many failures the server is
taken for a slow one."""

_PATIENT_OPENS = 100
"""So many sessions that could not be opened are about half a minute."""


class _NobodyThere(NacosUnavailable):
    """No server accepts connections: asking again costs next to nothing."""


class Connector:
    """Opens one session after the other.

    Args:
        folder: where the SDK may write.
    """

    def __init__(self, settings: NacosSettings, thread: SdkThread, folder: Path) -> None:
        self._settings = settings
        self._thread = thread
        self._folder = folder
        self._failures = 0
        self._refusals = 0

    async def open(self) -> Session:
        """A session with one of the servers, logged in.

        Raises:
            NacosUnavailable: no server is there, or it does not answer.
            NacosRefused: the credentials are wrong.
        """
        servers = await self._accepting()
        session_class: type[Session] = await self._thread.call(_import_session)
        within = _CONNECT_WITHIN if self._failures < _QUICK_OPENS else _SLOW_CONNECT_WITHIN
        try:
            with anyio.fail_after(_OPEN_WITHIN):
                session = await self._thread.call(session_class.open, self._settings, servers, self._folder, within)
        except TimeoutError:
            raise NacosUnavailable(f"no Nacos session within {_OPEN_WITHIN:g} s") from None
        self._failures = 0
        return session

    def wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds to wait after what `state` says.

        Short while nobody is there, and while a server starts, which takes some seconds from its first open port to
        its first answer: a server is to be used as soon as it can be. Then growing; and soon long where it refused.
        """
        error = state.outcome.exception() if state.outcome is not None else None
        self._refusals = self._refusals + 1 if isinstance(error, NacosRefused) else 0
        if self._refusals:
            return random.uniform(0.5, 1.0) * min(30.0, 2.0**self._refusals)
        self._failures = 0 if isinstance(error, _NobodyThere) else self._failures + 1
        longer = max(0, self._failures - _PATIENT_OPENS)
        return random.uniform(0.5, 1.0) * min(5.0, 0.4 * 1.5**longer)

    async def _accepting(self) -> list[Server]:
        """The servers that accept connections: the SDK needs seconds to find out that one does not."""
        accepting: list[Server] = []
        refusals: list[str] = []

        async def knock(server: Server) -> None:
            try:
                with anyio.fail_after(_TCP_WITHIN):
                    stream = await anyio.connect_tcp(server.host, server.port + GRPC_PORT_OFFSET)
                await stream.aclose()
            except (OSError, UnicodeError) as error:
                reason = "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
                refusals.append(f"{server} (gRPC port {server.port + GRPC_PORT_OFFSET}): {reason}")
            else:
                accepting.append(server)

        async with anyio.create_task_group() as knocking:
            for server in self._settings.servers:
                knocking.start_soon(knock, server)
        if not accepting:
            raise _NobodyThere(f"cannot reach the Nacos server: {'; '.join(refusals)}")
        return accepting


async def _import_session() -> type[Session]:
    """On the other thread: the SDK takes a second to import.

    It does so with deprecation warnings, which must not break programs that turn warnings into errors.
    """
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"v2\.nacos")
    from .session import Session

    return Session
