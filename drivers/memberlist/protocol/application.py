"""What an application that uses gossip for itself may ask of a node: to spread, to send, to ping.

The product asks for none of it. `GossipNode` offers it to programs that want gossip without the registry, as
memberlist offers it in Go; see also `hooks`.
"""

from __future__ import annotations

from collections.abc import Callable

from .addresses import Address, shown
from .context import Context
from .messages import USER_HEAD
from .node_list import NodeRecord, Roster
from .probe import Prober
from .stream_exchange import StreamExchange
from .stream_messages import stream_user_header
from .stream_reader import MAX_USER_BYTES

__all__ = ["MAX_DATAGRAM_BYTES", "Application"]

MAX_DATAGRAM_BYTES = 65_000
"""What an application may send in one: the most that UDP carries, less than all that may be put around it."""


class Application:
    """The application's side of one node. Every call takes the present moment, as those of `Swim` do."""

    def __init__(self, context: Context, roster: Roster, prober: Prober) -> None:
        self._context = context
        self._roster = roster
        self._prober = prober

    def broadcast(self, payload: bytes, now: float) -> None:
        """Spread a message by gossip, after what gossip has to say itself.

        Raises:
            ValueError: it does not fit into a packet of gossip.
        """
        context = self._context
        context.enter(now)
        most = context.largest_user_broadcast
        if len(payload) > most:
            raise ValueError(f"a message of {len(payload)} bytes cannot be gossiped: at most {most} fit into a packet")
        context.user_broadcasts.queue(payload)

    def send(
        self,
        to: str | Address,
        payload: bytes,
        now: float,
        *,
        reliable: bool,
        on_end: Callable[[StreamExchange], None] | None = None,
    ) -> None:
        """Send a message to one node, by its name or its address: as a datagram, which may be lost, or over a stream,
        of which `on_end` learns how it went.

        Raises:
            KeyError: no node of that name is known.
            ValueError: the message is longer than a datagram, or than receivers take on a stream.
        """
        context = self._context
        context.enter(now)
        node, address = self._addressee(to)
        most = MAX_USER_BYTES if reliable else MAX_DATAGRAM_BYTES
        if len(payload) > most:
            raise ValueError(f"a message of {len(payload)} bytes; at most {most} can be sent in this way")
        if not reliable:
            context.send(address, USER_HEAD + payload, crc=node is not None and node.reads_crc)
            return
        exchange = StreamExchange(context, address, shown(address), now + context.config.tcp_timeout, None, on_end)
        exchange.write(stream_user_header(len(payload)) + payload)
        context.streams.append(exchange)

    def ping(self, to: str | tuple[str, Address], now: float, on_end: Callable[[float | None], None]) -> None:
        """Ping one node once, by its name, or by its name and another address than the known one. `on_end` learns the
        round-trip time in seconds, or None if no ack came within the probe timeout.

        Raises:
            KeyError: no node of that name is known.
        """
        self._context.enter(now)
        name, address = to if isinstance(to, tuple) else (to, self._addressee(to)[1])
        self._prober.ping(name, address, on_end)

    def _addressee(self, to: str | Address) -> tuple[NodeRecord | None, Address]:
        if isinstance(to, tuple):
            return None, to
        node = self._roster.get(to)
        if node is None:
            raise KeyError(to)
        return node, node.address
