"""Opens sessions: looks which servers accept connections, and decides how long to wait after one that failed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ..kit.backoff import Backoff
from ..kit.loop_thread import CallAbandoned, LoopThread
from .errors import NacosRefused, NacosUnavailable
from .settings import GRPC_PORT_OFFSET, NacosSettings, Server

if TYPE_CHECKING:
    from .session import OnList, Session

__all__ = ["Connector"]

_TCP_WITHIN = 1.0
_OPEN_WITHIN = 10.0
_CONNECT_WITHIN = 1.5
_SLOW_CONNECT_WITHIN = 3.0
_QUICK_OPENS = 10
"""After so many failures the connect timeout is longer: an attempt that was lost on the way delays the next one."""

_PATIENT_OPENS = 100
"""Failures before the wait grows, about half a minute: a server that starts takes some seconds from its first open port
to its first answer, and is to be used as soon as it can be."""

_FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"

_AGAIN = Backoff(first=0.4, most=5.0, factor=1.5)
_REFUSED_AGAIN = Backoff(first=2.0, most=30.0)


class _NobodyThere(NacosUnavailable):
    """No server accepts connections: asking again costs next to nothing."""


class Connector:
    """Opens one session after the other. A context manager, because it may need a folder meanwhile.

    Args:
        thread: where sessions live.
        on_list: see `Session.open`.
    """

    def __init__(self, settings: NacosSettings, thread: LoopThread, on_list: OnList) -> None:
        self._settings = settings
        self._thread = thread
        self._on_list = on_list
        self._folders = contextlib.ExitStack()
        self._failures = 0
        self._refusals = 0

    def __enter__(self) -> Connector:
        return self

    def __exit__(self, *_: object) -> None:
        self._folders.close()

    async def open(self) -> Session:
        """A session with one of the servers, logged in.

        Raises:
            NacosUnavailable: no server is there, or it does not answer.
            NacosRefused: the credentials are wrong, or the SDK cannot be used.
            NacosFailed: the server answers with nonsense.
        """
        servers = await self._accepting()
        within = _CONNECT_WITHIN if self._failures < _QUICK_OPENS else _SLOW_CONNECT_WITHIN
        try:
            session_class: type[Session] = await self._thread.call(_import_session)
            with anyio.fail_after(_OPEN_WITHIN):
                session = await self._thread.call(
                    session_class.open, self._settings, servers, self._folder, within, self._on_list
                )
        except TimeoutError:
            raise NacosUnavailable(f"no Nacos session within {_OPEN_WITHIN:g} s") from None
        except CallAbandoned as error:
            raise NacosUnavailable("the connection was closed while the session was opened") from error
        self._failures = self._refusals = 0
        return session

    def delay_after(self, error: BaseException | None) -> float:
        """Seconds to wait after a session could not be opened: short at first, and soon long where it was refused."""
        if isinstance(error, NacosRefused):
            self._refusals += 1
            return _REFUSED_AGAIN.delay(self._refusals)
        self._refusals = 0
        self._failures = 0 if isinstance(error, _NobodyThere) else self._failures + 1
        return _AGAIN.delay(self._failures - _PATIENT_OPENS)

    def _folder(self) -> Path:
        """A folder of its own. Not a TemporaryDirectory: at the exit of the interpreter that would vanish before this
        process has left.
        """
        folder = tempfile.mkdtemp(prefix="pydoudou-nacos-")
        self._folders.callback(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

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

    Raises:
        NacosRefused: the SDK that is installed cannot be used.
    """
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"v2\.nacos")
    try:
        with _no_fork_handlers_of_grpc():
            from .session import Session
    except (ImportError, AttributeError) as error:
        raise NacosRefused(f"nacos-sdk-python cannot be used: {error}") from error
    return Session


@contextlib.contextmanager
def _no_fork_handlers_of_grpc() -> Iterator[None]:
    """gRPC wants to go on in forked children, and kills some of those that do not even use it. It is asked not to,
    unless the user says something else or has imported it before; its variable is read while it is initialised, and
    taken back then, for it would be inherited by every program that this one starts.
    """
    if _FORK_SUPPORT in os.environ or "grpc" in sys.modules:
        yield
        return
    os.environ[_FORK_SUPPORT] = "0"
    try:
        import grpc

        grpc.aio.init_grpc_aio()
        yield
    finally:
        os.environ.pop(_FORK_SUPPORT, None)
