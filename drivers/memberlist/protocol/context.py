"""What the parts of a node share: its configuration, the present moment, and where effects are collected.

Nothing here or in any other module of this package reads a clock, draws from a global random source or does I/O.
Whoever drives a node sets `now`, passes bytes in, and afterwards takes out what is to be sent and what has
happened.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from .addresses import Address, shown
from .awareness import Awareness
from .broadcast import BroadcastQueue
from .config import Config
from .encryption import Keyring
from .events import Event, Problem
from .packet import PacketCodec, compound
from .suspicion import retransmit_limit
from .timers import Timers

if TYPE_CHECKING:
    from random import Random

    from .stream_exchange import Exchange
    from .stream_messages import PushPullNode

__all__ = ["MAX_DATAGRAM_BYTES", "Context", "Hooks"]

MAX_DATAGRAM_BYTES = 65_000
"""What an application may send in one: the most that UDP carries, less than all that may be put around it."""

_COMPOUND_HEADER = 2
_PART_OVERHEAD = 2
_USER_OVERHEAD = 3
_CRC_BYTES = 5


@attrs.define
class Hooks:
    """Decisions that an application may take part in. Called inside a state transition: they must not call back.

    Attributes:
        admit: `(name, host, port, meta) -> bool`, asked for every alive message that is news and not our own.
        merge: `(records) -> bool`, asked before the reply or request of a *join* is merged, with all it contains.
        ack_payload: what to put into the ack of a ping.
        ping_over_tcp: `(name) -> bool`, whether a node that does not answer over UDP may be pinged over TCP.
        local_state: what to send along with a push/pull; the argument tells whether it is a join.
        load: `() -> (idle, unix_ms)`, the idle share of the processor, 0 to 1, and the time of the measurement.
    """

    admit: Callable[[str, str, int, bytes], bool] | None = None
    merge: Callable[[Sequence[PushPullNode]], bool] | None = None
    ack_payload: Callable[[], bytes] | None = None
    ping_over_tcp: Callable[[str], bool] | None = None
    local_state: Callable[[bool], bytes] | None = None
    load: Callable[[], tuple[float, int]] | None = None


class Context:
    """Shared by all parts of one node.

    Attributes:
        now: seconds on the driver's monotonic clock.
        source: where the input comes from that is being looked at, "" if it is time that passes.
        packets: datagrams to send, as (destination, bytes).
        streams: exchanges to open.
        events: what happened, in order.
        counters: how often what happened, by name.
        nodes: how many nodes are known, ourselves and the dead included: the n of every logarithm.
    """

    def __init__(
        self, config: Config, keyring: Keyring, random: Random, random_bytes: Callable[[int], bytes], now: float
    ) -> None:
        self.now = now
        self.source: Address | str = ""
        self.random = random
        self.random_bytes = random_bytes
        self.keyring = keyring
        self.timers = Timers()
        self.awareness = Awareness(config.awareness_max_multiplier)
        self.broadcasts = BroadcastQueue()
        self.user_broadcasts = BroadcastQueue()
        self.hooks = Hooks()
        self.packets: list[tuple[Address, bytes]] = []
        self.streams: list[Exchange] = []
        self.events: list[Event] = []
        self.counters: collections.Counter[str] = collections.Counter()
        self.nodes = 0
        self._sequence = 0
        self._configure(config)

    def _configure(self, config: Config) -> None:
        self._config = config
        self.codec = PacketCodec(config, self.keyring, self.random_bytes)

    @property
    def config(self) -> Config:
        """The settings in force; assigning replaces them all at once."""
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        self._configure(config)

    def next_sequence(self) -> int:
        """A number for a probe: 1, 2, … and around at 2**32."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return self._sequence

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
        return self._config.udp_buffer_bytes - _COMPOUND_HEADER - self.codec.overhead - (_CRC_BYTES if crc else 0)

    @property
    def _transmit_limit(self) -> int:
        return retransmit_limit(self._config.retransmit_mult, self.nodes)

    def broadcast_user(self, payload: bytes) -> None:
        """Queue an application's message.

        Raises:
            ValueError: it does not fit into a packet.
        """
        most = self._room(crc=True) - _USER_OVERHEAD
        if len(payload) > most:
            raise ValueError(f"a message of {len(payload)} bytes cannot be gossiped: at most {most} fit into a packet")
        self.user_broadcasts.queue(payload)

    def gossip(self, room: int) -> list[bytes]:
        """At most `room` bytes of messages to spread: those about nodes first, the application's in what is left."""
        limit = self._transmit_limit
        parts = self.broadcasts.take(_PART_OVERHEAD, room, limit)
        if self.user_broadcasts:
            room -= sum(len(part) + _PART_OVERHEAD for part in parts)
            parts += [b"\x08" + payload for payload in self.user_broadcasts.take(_USER_OVERHEAD, room, limit)]
        return parts
