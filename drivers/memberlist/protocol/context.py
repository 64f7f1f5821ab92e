"""What the parts of a node share: its configuration, the present moment, and where effects are collected.

Nothing here or in any other module of this package reads a clock, draws from a global random source or does I/O.
Whoever drives a node sets `now`, passes bytes in, and afterwards takes out what is to be sent and what has
happened.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from .addresses import Address, ip_of, shown
from .awareness import Awareness
from .broadcast import BroadcastQueue
from .config import Config
from .encryption import Keyring
from .events import Event, Problem
from .hooks import Hooks
from .messages import USER_HEAD
from .packet import PacketCodec, compound
from .scaling import retransmit_limit
from .stream_limits import StreamLimits
from .timers import Timers

if TYPE_CHECKING:
    from random import Random

    from .stream_exchange import StreamExchange

__all__ = ["Context"]

_COMPOUND_HEADER = 2
_PART_OVERHEAD = 2
_USER_OVERHEAD = 3
_CRC_BYTES = 5


class Context:
    """Shared by all parts of one node.

    Attributes:
        now: seconds on the driver's monotonic clock.
        source: where the input comes from that is being looked at, "" if from time or from our owner.
        packets: datagrams to send, as (destination, bytes).
        streams: exchanges to open.
        events: what happened, in order.
        counters: how often what happened, by the names of `counters`.
        vsn: the version bytes of `config`, for comparing them often, and for sharing them.
        known_entries: the entries of a push/pull that are no news: none before the first one (`push_pull`).
        nodes: how many nodes are known, ourselves and the dead included: the n of every logarithm.
        sequence: the number of the last ping.
        stream_limits: who may hold connections, and how much.
    """

    def __init__(
        self,
        config: Config,
        keyring: Keyring,
        random: Random,
        random_bytes: Callable[[int], bytes],
        now: float,
    ) -> None:
        self.now = now
        self.source: Address | str = ""
        self.random = random
        self.random_bytes = random_bytes
        self.keyring = keyring
        self.codec = PacketCodec(config, keyring, random_bytes)
        self.vsn = config.vsn
        self.timers = Timers()
        self.awareness = Awareness(config.awareness_max_multiplier)
        self.broadcasts = BroadcastQueue()
        self.user_broadcasts = BroadcastQueue()
        self.hooks = Hooks()
        self.stream_limits = StreamLimits(set)
        self.packets: list[tuple[Address, bytes]] = []
        self.streams: list[StreamExchange] = []
        self.events: list[Event] = []
        self.counters: collections.Counter[str] = collections.Counter()
        self.known_entries: Container[bytes] = ()
        self.nodes = 0
        self.sequence = 0

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self.codec.config

    def reconfigure(self, config: Config) -> None:
        """Replace the settings all at once."""
        self.codec = PacketCodec(config, self.keyring, self.random_bytes)
        self.vsn = config.vsn

    def enter(self, now: float, source: Address | str = "") -> None:
        """Begin with an input: the one place where the present moment, and where the input comes from, are set."""
        self.now = now
        self.source = source

    def next_sequence(self) -> int:
        """A number for a ping: 1, 2, … and around at 2**32."""
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return self.sequence

    def is_from(self, source: Address, asked: Address, *, unknown_name: bool = False) -> bool:
        """Whether what came from `source` is of who is at `asked`. A host name whose addresses are not known may be any
        host at that port with `unknown_name`, and is none without: nothing was sent there that could be answered.
        """
        if source == asked:
            return True
        if source[1] != asked[1]:
            return False
        ip = ip_of(asked[0])
        if ip is not None:
            return ip == ip_of(source[0])
        if self.hooks.addresses is None:
            return True
        known = self.hooks.addresses(asked[0])
        return source[0] in known or (unknown_name and not known)

    def stagger(self, interval: float) -> float:
        """A first delay, so that nodes started together do not act together."""
        return self.random.random() * interval

    def problem(self, kind: str, detail: object, source: Address | str | None = None) -> None:
        """Count and report what was dropped; `source` defaults to where the present input comes from."""
        self.counters[kind] += 1
        self.events.append(Problem(kind, str(detail), shown(self.source if source is None else source)))

    def send(self, to: Address, message: bytes, *, crc: bool = False) -> None:
        """Send one message as a datagram."""
        self.packets.append((to, self.codec.wrap(message, crc=crc)))

    def send_with_gossip(self, to: Address, message: bytes) -> None:
        """Send one message and, in the room that is left in the datagram, what gossip has to spread (SWIM section
        4.1).
        """
        if not self.broadcasts and not self.user_broadcasts:
            self.packets.append((to, self.codec.wrap(message)))
            return
        parts = [message, *self.gossip(self._room(crc=False) - len(message) - _PART_OVERHEAD)]
        for packet in compound(parts):
            self.packets.append((to, self.codec.wrap(packet)))

    def send_gossip(self, to: Address, *, crc: bool) -> bool:
        """Send one datagram full of gossip; False if there was nothing to spread.

        A message that is longer than any packet's room goes alone, in a larger packet: left in the queue, it would
        stay there for ever.
        """
        parts = self.gossip(self._room(crc=crc)) or self.broadcasts.take_first(self._transmit_limit)
        for packet in compound(parts) if parts else ():
            self.send(to, packet, crc=crc)
        return bool(parts)

    def _room(self, *, crc: bool) -> int:
        """Bytes for the parts of a compound. Go does not count the checksum, so that its packets exceed the limit
        by 5.
        """
        return self.config.udp_buffer_bytes - _COMPOUND_HEADER - self.codec.overhead - (_CRC_BYTES if crc else 0)

    @property
    def _transmit_limit(self) -> int:
        return retransmit_limit(self.config.retransmit_mult, self.nodes)

    @property
    def largest_user_broadcast(self) -> int:
        """How many bytes of an application's message fit into any packet of gossip."""
        return self._room(crc=True) - _USER_OVERHEAD

    def gossip(self, room: int) -> list[bytes]:
        """At most `room` bytes of messages to spread: those about nodes first, the application's in what is left."""
        limit = self._transmit_limit
        parts = self.broadcasts.take(_PART_OVERHEAD, room, limit)
        if self.user_broadcasts:
            room -= sum(len(part) + _PART_OVERHEAD for part in parts)
            parts += [USER_HEAD + payload for payload in self.user_broadcasts.take(_USER_OVERHEAD, room, limit)]
        return parts
