"""The connections of a gossip node: accepting, dialling, and moving bytes between a socket and an `StreamExchange`.

Strangers can open connections too. Each may last only as long as its exchange allows, each source may have only so
many, and together they may hold only so many bytes. Whatever happens on a connection ends that connection and nothing
else.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable

import anyio
from anyio import lowlevel, to_thread
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from .protocol import Swim
from .protocol.addresses import shown
from .protocol.errors import ProtocolError
from .protocol.stream_exchange import StreamExchange
from .resolver import resolve_all

__all__ = ["MAX_STREAMS_PER_SOURCE", "Streams"]

MAX_STREAMS = 256
MAX_STREAMS_PER_SOURCE = 64
MAX_HELD_BYTES = 256 * 1024 * 1024
"""What all accepted connections together may have sent. One honest push/pull is a few megabytes at the most."""
_READ_BYTES = 65_536
_TURN = 0.001
"""Seconds of work on an exchange before the loop gets its turn."""
_FIRST_BACKOFF = 0.005
_LONGEST_BACKOFF = 1.0


class Streams:
    """The TCP side of one node; `flush` does what the protocol wants done, see `GossipNode`."""

    def __init__(self, swim: Swim, flush: Callable[[], None]) -> None:
        self._swim = swim
        self._flush = flush
        self._clock = time.monotonic
        self._by_source: collections.Counter[str] = collections.Counter()
        self._held_bytes = 0

    # -- accepting -----------------------------------------------------------------------------------------------------

    async def serve(self, listener: SocketListener) -> None:
        """Accept connections for ever. One that cannot be accepted - no file descriptor is free, say - is tried again
        after a wait that grows.
        """
        backoff = _FIRST_BACKOFF
        async with anyio.create_task_group() as tasks:
            while True:
                try:
                    stream: SocketStream = await listener.accept()
                except OSError as error:
                    self._swim.report("cannot accept", error)
                    self._flush()
                    await anyio.sleep(backoff)
                    backoff = min(_LONGEST_BACKOFF, 2 * backoff)
                else:
                    backoff = _FIRST_BACKOFF
                    tasks.start_soon(self._accepted, stream)

    async def _accepted(self, stream: SocketStream) -> None:
        async with stream:
            remote = stream.extra(SocketAttribute.remote_address, None)
            if remote is None:
                return  # reset by the peer before we came to it
            host, port = str(remote[0]), int(remote[1])
            if self._admitted(host, port):
                self._by_source[host] += 1
                try:
                    await self._converse(self._swim.accept((host, port), self._clock()), stream)
                finally:
                    self._by_source[host] -= 1
                    if not self._by_source[host]:
                        del self._by_source[host]
            self._flush()

    def _admitted(self, host: str, port: int) -> bool:
        swim, source = self._swim, shown((host, port))
        if not swim.config.allows(host):
            swim.report("address not allowed", "a connection", source)
            return False
        if self._by_source[host] >= MAX_STREAMS_PER_SOURCE or self._by_source.total() >= MAX_STREAMS:
            swim.report("too many connections", f"{self._by_source.total()} are open", source)
            return False
        return True

    # -- dialling ------------------------------------------------------------------------------------------------------

    async def dial(self, exchange: StreamExchange) -> None:
        """Have the exchange with the peer that it names."""
        host, port = exchange.address or ("", 0)
        try:
            with anyio.fail_after(max(0.0, exchange.deadline - self._clock())):
                stream = await anyio.connect_tcp(await self._allowed_address(host), port)
        except (OSError, UnicodeError) as error:
            reason = "no connection in time" if isinstance(error, TimeoutError) else str(error)
            exchange.end(f"cannot connect to {shown((host, port))}: {reason}")
            self._flush()
            return
        async with stream:
            await self._converse(exchange, stream)

    async def _allowed_address(self, host: str) -> str:
        """`host`, or the address of it that the allow-list admits.

        Raises:
            OSError: there is none.
        """
        config = self._swim.config
        if config.cidrs_allowed is None:
            return host
        for address in await resolve_all(host):
            if config.allows(address):
                return address
        raise OSError(f"no address of {host} is allowed")

    # -- both ----------------------------------------------------------------------------------------------------------

    async def _converse(self, exchange: StreamExchange, stream: SocketStream) -> None:
        try:
            with anyio.fail_after(None) as scope:
                await self._exchange(exchange, stream, scope)
        except TimeoutError:
            exchange.end("no answer in time")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            exchange.end(f"connection broken: {error.__cause__ or error}")
        self._flush()

    async def _exchange(self, exchange: StreamExchange, stream: SocketStream, scope: anyio.CancelScope) -> None:
        held_bytes = 0
        self._limit(scope, exchange)
        try:
            while True:
                if exchange.to_send:
                    data, exchange.to_send = exchange.to_send, b""
                    exchange.renew(self._clock())
                    self._limit(scope, exchange)
                    await stream.send(data)
                    exchange.renew(self._clock())
                    self._limit(scope, exchange)
                elif exchange.done:
                    return
                elif exchange.heavy is not None:
                    result = await to_thread.run_sync(_attempt, exchange.heavy)
                    exchange.resume(result, self._clock())
                elif exchange.work is not None:
                    self._work(exchange)
                    self._flush()
                    await lowlevel.checkpoint()
                elif not exchange.expects_reply:
                    exchange.end()
                else:
                    received = await _received(stream)
                    held_bytes += len(received)
                    self._held_bytes += len(received)
                    if self._held_bytes > MAX_HELD_BYTES:
                        self._swim.report("streams full", f"{self._held_bytes} bytes are being read", exchange.peer)
                        exchange.end("too much is being read already")
                    exchange.feed(received, self._clock())
        finally:
            self._held_bytes -= held_bytes

    def _work(self, exchange: StreamExchange) -> None:
        """Some of what the exchange has to do, for about as long as an event loop may be held up."""
        now = self._clock()
        until = now + _TURN
        while exchange.step(now) and now < until:
            now = self._clock()

    def _limit(self, scope: anyio.CancelScope, exchange: StreamExchange) -> None:
        """Give an exchange until its deadline, which is on our clock."""
        scope.deadline = anyio.current_time() + exchange.deadline - self._clock()


async def _received(stream: SocketStream) -> bytes:
    """What came, empty at the end."""
    try:
        return await stream.receive(_READ_BYTES)
    except anyio.EndOfStream:
        return b""


def _attempt(work: Callable[[], bytes]) -> bytes | ProtocolError:
    try:
        return work()
    except ProtocolError as error:
        return error
