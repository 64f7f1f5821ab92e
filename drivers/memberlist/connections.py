"""The connections of a gossip node: accepting, dialling, and moving bytes between a socket and a `StreamExchange`.

What to do next, and for how long at the most, is the exchange's to say. Whatever happens on a connection ends that
connection and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import anyio
from anyio import lowlevel, to_thread
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from .protocol import Swim
from .protocol.addresses import shown
from .protocol.stream_exchange import Close, Compute, Pause, Receive, Send, Step, StreamExchange
from .protocol.stream_layers import Inflated

__all__ = ["Connections"]

_READ_BYTES = 65_536
_TURN = 0.001
"""Seconds of work on an exchange before the loop gets its turn."""
_THREADS = 2
"""That inflate what others compressed. More would not be faster, and each keeps memory of its own."""
_FIRST_BACKOFF = 0.005
_LONGEST_BACKOFF = 1.0


class Connections:
    """The TCP side of one node; `flush` does what the protocol wants done, see `GossipNode`; `resolve` gives the
    addresses of a host.
    """

    def __init__(
        self, swim: Swim, flush: Callable[[], None], resolve: Callable[[str], Awaitable[Sequence[str]]]
    ) -> None:
        self._swim = swim
        self._flush = flush
        self._resolve = resolve
        self._clock = time.monotonic
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def serve(self, listener: SocketListener) -> None:
        """Accept connections for ever. One that cannot be accepted - no file descriptor is free, say - is tried again
        after a wait that grows.

        Only a listener that has one is told to accept: whoever cancels asyncio's own waiting when a connection has just
        come loses it to a callback that fails, which is logged with a traceback (CPython's `sock_accept`).
        """
        backoff = _FIRST_BACKOFF
        waiting = listener.extra(SocketAttribute.raw_socket)
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.wait_readable(waiting)
                try:
                    stream: SocketStream = await listener.accept()
                except OSError as error:
                    self._swim.report("cannot_accept", error)
                    self._flush()
                    await anyio.sleep(backoff)
                    backoff = min(_LONGEST_BACKOFF, 2 * backoff)
                else:
                    backoff = _FIRST_BACKOFF
                    tasks.start_soon(self._accepted, stream)

    async def _accepted(self, stream: SocketStream) -> None:
        async with stream:
            remote = stream.extra(SocketAttribute.remote_address, None)
            if remote is not None:  # else reset by the peer before we came to it
                source = (str(remote[0]), int(remote[1]))
                await self._converse(self._swim.accept(source, self._clock()), stream)

    async def dial(self, exchange: StreamExchange) -> None:
        """Have the exchange with the peer that it names."""
        host, port = exchange.address or ("", 0)
        try:
            with anyio.fail_after(max(0.0, exchange.deadline - self._clock())):
                stream = await self._connect(host, port)
        except (OSError, UnicodeError) as error:
            reason = "no connection in time" if isinstance(error, TimeoutError) else str(error)
            exchange.abort(f"cannot connect to {shown((host, port))}: {reason}", self._clock())
            self._flush()
            return
        async with stream:
            await self._converse(exchange, stream)

    async def _connect(self, host: str, port: int) -> SocketStream:
        """Connect to the first address of `host` that the allow-list admits and that answers.

        Raises:
            OSError: there is none.
        """
        failure: OSError | None = None
        for address in await self._resolve(host):
            if not self._swim.config.allows(address):
                continue
            try:
                return await anyio.connect_tcp(address, port)
            except OSError as error:
                failure = error
        raise failure or OSError(f"no address of {host} is allowed")

    async def _converse(self, exchange: StreamExchange, stream: SocketStream) -> None:
        """Have an exchange over a connection, whatever comes."""
        failure = "given up"
        try:
            with anyio.fail_after(None) as scope:
                await self._exchange(exchange, stream, scope)
        except TimeoutError:
            failure = "no answer in time"
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            failure = f"connection broken: {error.__cause__ or error}"
        except MemoryError:
            failure = "no memory is left for it"
            self._swim.report("no_memory", "a connection was given up", exchange.peer)
        finally:
            exchange.abort(failure, self._clock())
        self._flush()

    async def _exchange(self, exchange: StreamExchange, stream: SocketStream, scope: anyio.CancelScope) -> None:
        while True:
            step = self._next_step(exchange)
            scope.deadline = anyio.current_time() + exchange.deadline - self._clock()
            self._flush()
            match step:
                case Send(data):
                    await stream.send(data)
                case Receive():
                    exchange.received(await _received(stream), self._clock())
                case Compute(work):
                    exchange.computed(await self._computed(work), self._clock())
                case Pause():
                    await lowlevel.checkpoint()
                case Close():
                    return

    async def _computed(self, work: Callable[[], Inflated]) -> Inflated:
        """The result of `work`, from a thread unless none can be started: then the loop has to wait for it."""
        try:
            return await to_thread.run_sync(work, limiter=self._threads)
        except RuntimeError as error:
            self._swim.report("no_memory", f"no thread to inflate in: {error}")
            return work()

    def _next_step(self, exchange: StreamExchange) -> Step:
        """The next step; slices of work are done one after the other for as long as an event loop may be held up."""
        now = self._clock()
        until = now + _TURN
        while True:
            step = exchange.next_step(now)
            now = self._clock()
            if not isinstance(step, Pause) or now >= until:
                return step


async def _received(stream: SocketStream) -> bytes:
    """What came, empty at the end."""
    try:
        return await stream.receive(_READ_BYTES)
    except anyio.EndOfStream:
        return b""
