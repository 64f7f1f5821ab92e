"""A TCP proxy on loopback that breaks what passes through it in the ways in which networks break.

What a network does to a connection is more than closing it: packets get lost for a while or for good, a router forgets
a connection and lets new ones pass, one side learns of the end and the other does not. The proxy stands in a thread
of its own; every method returns when what it says has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
import threading
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Side", "TcpProxy"]

_T = TypeVar("_T")
_CHUNK_BYTES = 65536
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Side(enum.Enum):
    """An end of a connection through the proxy."""

    CLIENT = "client"
    SERVER = "server"


class TcpProxy:
    """A proxy. Used as a context manager; at first it passes everything on.

    Args:
        ports: the port to listen on, and the port on the same host that it stands for; several share one fate.
        host: an address of this machine.
    """

    def __init__(self, ports: Mapping[int, int], host: str = "127.0.0.1") -> None:
        self._ports = dict(ports)
        self._host = host
        self._listeners: list[socket.socket] = []
        self._links: set[_Link] = set()
        self._losing = False
        self._flowing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)

    @property
    def address(self) -> str:
        """``host:port`` of the first port."""
        return f"{self._host}:{next(iter(self._ports))}"

    @property
    def connections(self) -> int:
        """How many connections stand, also those that lost something, or one of their ends."""
        return len(self._links)

    def heal(self) -> None:
        """Accept, and pass everything on again. A connection that lost something stays lost, as behind a router that
        forgot it: nothing gets through, not even its end."""
        self._run(self._heal())

    def reset(self, *, refuse: bool = False) -> None:
        """Reset all connections on both sides; with `refuse` also refuse new ones until `heal`."""
        self._run(self._reset(refuse))

    def stall(self) -> None:
        """Hold everything back and deliver it after `heal`, as TCP does when packets were lost for a while. New
        connections are accepted."""
        self._run(self._stall())

    def black_hole(self) -> None:
        """Lose everything, also the ends of connections: what is open stays open. New connections are accepted."""
        self._run(self._black_hole())

    def close_side(self, side: Side) -> None:
        """Close one end of all connections. The other end stays open, hears nothing of it, and never anything again.
        New connections pass."""
        self._run(self._close_side(side))

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _heal(self) -> None:
        self._losing = False
        self._flowing.set()
        if not self._listeners:
            for port, target in self._ports.items():
                listener = socket.create_server((self._host, port), backlog=128)
                listener.setblocking(False)
                self._loop.add_reader(listener, self._accept, listener, target)
                self._listeners.append(listener)

    async def _reset(self, refuse: bool) -> None:
        if refuse:
            for listener in self._listeners:
                self._loop.remove_reader(listener)
                listener.close()
            self._listeners.clear()
        for link in list(self._links):
            await link.end(reset=True)

    async def _stall(self) -> None:
        self._losing = False
        self._flowing.clear()

    async def _black_hole(self) -> None:
        self._losing = True
        for link in self._links:
            link.lost = True
        self._flowing.set()

    async def _close_side(self, side: Side) -> None:
        for link in list(self._links):
            await link.close_side(side)

    # No task that waits for a connection: cancelled as one comes, it loses the socket, which nobody closes then.
    def _accept(self, listener: socket.socket, target: int) -> None:
        with contextlib.suppress(OSError):  # whoever came is gone again
            client, _ = listener.accept()
            self._links.add(_Link(client, (self._host, target), self._flowing, self._losing, self._links))

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        try:
            self.heal()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it and all its connections."""
        self._run(self._reset(refuse=True))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Link:
    """One connection through the proxy: a socket to the client, and one to the server once bytes may flow."""

    def __init__(
        self, client: socket.socket, target: tuple[str, int], flowing: asyncio.Event, lost: bool, links: set[_Link]
    ) -> None:
        client.setblocking(False)
        self.lost = lost
        self._ends = {Side.CLIENT: client}
        self._flowing = flowing
        self._links = links
        self._task = asyncio.create_task(self._pass_on(target))

    async def _pass_on(self, target: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        failed = False
        pumps: list[asyncio.Task[None]] = []
        try:
            await self._flowing.wait()
            if self.lost:
                await self._pump(Side.CLIENT, Side.SERVER)
            else:
                self._ends[Side.SERVER] = server = socket.socket()
                server.setblocking(False)
                await loop.sock_connect(server, target)
                for source, sink in ((Side.CLIENT, Side.SERVER), (Side.SERVER, Side.CLIENT)):
                    pumps.append(asyncio.create_task(self._pump(source, sink)))
                await asyncio.gather(*pumps)
        except OSError:
            failed = True
        finally:
            for pump in pumps:
                await _cancelled(pump)
        if not self.lost:
            self._close(reset=failed)

    async def _pump(self, source: Side, sink: Side) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._ends[source], _CHUNK_BYTES):
                await self._flowing.wait()
                if not self.lost:
                    await loop.sock_sendall(self._ends[sink], data)
            await self._flowing.wait()
            if not self.lost:
                self._ends[sink].shutdown(socket.SHUT_WR)
        except OSError:
            await self._flowing.wait()
            if not self.lost:
                raise

    async def close_side(self, side: Side) -> None:
        """Close this end, and swallow what comes from the other."""
        self.lost = True
        await _cancelled(self._task)
        if side in self._ends:
            self._ends.pop(side).close()
        for rest in self._ends:
            self._task = asyncio.create_task(self._swallow(rest, side))

    async def _swallow(self, source: Side, sink: Side) -> None:
        await self._pump(source, sink)
        self._close(reset=False)

    async def end(self, *, reset: bool) -> None:
        """Close both ends."""
        await _cancelled(self._task)
        self._close(reset)

    def _close(self, reset: bool) -> None:
        for end in self._ends.values():
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            end.close()
        self._ends.clear()
        self._links.discard(self)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await task
