"""Gossip nodes without I/O, on a clock that a test turns by hand.

Both are views of `simulator.Simulation`. `Lone` is one node whose peers exist only as the messages a test lets it hear.
`World` is several nodes on a network that delivers at once; a test may cut links or switch nodes off.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, TypeVar

from support.simulator import Network, Outside, Process, Simulation
from support.streams import serve

from pydoudou.drivers.memberlist.protocol import Config, Dialect, Hooks, Keyring, Node, State, Swim
from pydoudou.drivers.memberlist.protocol import messages as wire
from pydoudou.drivers.memberlist.protocol import stream_messages as stream_wire
from pydoudou.drivers.memberlist.protocol.addresses import Address
from pydoudou.drivers.memberlist.protocol.context import Context
from pydoudou.drivers.memberlist.protocol.events import Event, Problem
from pydoudou.drivers.memberlist.protocol.message_types import MessageType
from pydoudou.drivers.memberlist.protocol.packet import PacketCodec, messages
from pydoudou.drivers.memberlist.protocol.stream_exchange import StreamExchange

__all__ = ["PEER", "VSN", "Lone", "World", "alive", "codec", "context_of", "decoded", "serve"]

VSN = bytes((1, 5, 2, 0, 0, 0))
PEER: Address = ("10.0.0.9", 7946)
PORT = 7946
_E = TypeVar("_E")
_CLASSES: dict[int, Any] = {
    MessageType.PING: wire.Ping,
    MessageType.INDIRECT_PING: wire.IndirectPing,
    MessageType.ACK: wire.Ack,
    MessageType.SUSPECT: wire.Suspect,
    MessageType.ALIVE: wire.Alive,
    MessageType.DEAD: wire.Dead,
    MessageType.NACK: wire.Nack,
    MessageType.WEIGHT: wire.Weight,
}


def alive(
    name: str,
    incarnation: int = 1,
    *,
    host: str = "10.0.0.9",
    port: int = PORT,
    meta: bytes | None = None,
    vsn: bytes = VSN,
    dialect: Dialect = Dialect.HASHICORP,
) -> wire.Alive:
    """What a node says when it starts."""
    return wire.Alive(incarnation, name, dialect.encode_host(host), port, meta, vsn)


def codec(config: Config, keyring: Keyring | None = None) -> PacketCodec:
    """The layers of packets and streams as a node of these settings writes and reads them."""
    return PacketCodec(config, keyring if keyring is not None else Keyring(()), random.Random(0).randbytes)


def context_of(**changes: Any) -> Context:
    """What the parts of a node share, without the node."""
    config = Config.lan("me", "10.0.0.1", PORT, dialect=Dialect.HASHICORP, **changes)
    return Context(config, Keyring(()), random.Random(0), random.Random(0).randbytes, 0.0)


def decoded(datagram: bytes, config: Config, keyring: Keyring | None = None) -> list[Any]:
    """The messages of a datagram; user messages as bytes."""
    return [
        body if kind == MessageType.USER else _CLASSES[kind].decode(body)
        for kind, body in messages(codec(config, keyring).unwrap(datagram))
    ]


class Lone:
    """A simulation of one node, by default called ``me`` at 10.0.0.1 with memberlist's LAN settings in the dialect
    hashicorp. Its peers exist only as what a test lets it hear; what it sends to them is kept to look at.

    Attributes:
        simulation: where it runs.
        started: what happened while it started.
    """

    def __init__(self, *, name: str = "me", hooks: Hooks | None = None, **changes: Any) -> None:
        options = {key: changes.pop(key) for key in ("keyring", "max_held_bytes") if key in changes}
        settings: dict[str, Any] = {"dialect": Dialect.HASHICORP} | changes
        config = Config.lan(name, settings.pop("advertise_host", "10.0.0.1"), PORT, **settings)
        self._events: list[Event] = []
        self._outside = Outside()
        self.simulation = Simulation(
            0, Network.instant(), on_event=lambda _, event: self._events.append(event), outside=self._outside
        )
        self._process = self.simulation.add(config, hooks=hooks, **options)
        self.started = self.events()
        self.forget_gossip()

    @property
    def swim(self) -> Swim:
        """The node."""
        return self._process.core

    @property
    def config(self) -> Config:
        """The settings it was started with."""
        return self._process.config

    @property
    def now(self) -> float:
        """The clock, in seconds. Setting it lets time pass in which the node stands still."""
        return self.simulation.now

    @now.setter
    def now(self, now: float) -> None:
        self.simulation.now = now

    def hear(self, *heard: Any, source: Address = PEER) -> None:
        """Let a datagram arrive for each message."""
        for message in heard:
            data = message if isinstance(message, bytes) else message.encode()
            self.simulation.inject(self._process, data, source)

    def hear_from(self, name: str, *heard: Any) -> None:
        """Let a datagram arrive for each message from the address of a node that it knows."""
        node = self.node(name)
        self.hear(*heard, source=(node.host, node.port))

    def knows(self, *names: str, vsn: bytes = VSN) -> None:
        """Let it learn of live nodes at 10.0.1.1 and up, and forget that it did."""
        self.swim.introduce(
            [
                Node(name, f"10.0.1.{number}", PORT, b"", State.ALIVE, 1, vsn)
                for number, name in enumerate(names, 1 + self.swim.known)
            ],
            self.now,
        )
        self.packets()

    def run(self, seconds: float) -> None:
        """Let time pass, waking the node whenever it wants to be."""
        self.simulation.flush(self._process)
        self.simulation.run(seconds)

    def run_until(self, predicate: Callable[[], object], within: float) -> None:
        """Let time pass until `predicate` holds.

        Raises:
            AssertionError: it does not within so many seconds.
        """
        self.simulation.flush(self._process)
        assert self.simulation.run_until(predicate, within, every=0.0) is not None, f"not within {within} s"

    def until_sent(self, kind: type[_E], within: float = 10.0) -> list[tuple[Address, _E]]:
        """Let time pass until messages of one class are sent; returns those that are sent then."""
        found: list[tuple[Address, _E]] = []

        def sent() -> bool:
            found.extend(self.sent(kind))
            return bool(found)

        self.run_until(sent, within)
        return found

    def events(self) -> list[Event]:
        """What happened since the last call."""
        self.simulation.flush(self._process)
        events = list(self._events)
        self._events.clear()
        return events

    def happened(self, kind: type[_E]) -> list[_E]:
        """The events of one class since the last call of this or `events`."""
        return [event for event in self.events() if isinstance(event, kind)]

    def problems(self) -> list[str]:
        """The kinds of problems reported since the last call."""
        return [event.kind for event in self.events() if isinstance(event, Problem)]

    def packets(self) -> list[tuple[Address, bytes]]:
        """The datagrams sent since the last call."""
        self.simulation.flush(self._process)
        packets, self._outside.packets = self._outside.packets, []
        return packets

    def sent(self, kind: type[_E] | None = None) -> list[tuple[Address, _E]]:
        """The messages sent since the last call, those of one class if given; user messages are bytes."""
        return [
            (to, message)
            for to, datagram in self.packets()
            for message in decoded(datagram, self.config, self.swim.keyring)
            if kind is None or isinstance(message, kind)
        ]

    def streams(self) -> list[StreamExchange]:
        """What it wants to dial since the last call."""
        self.simulation.flush(self._process)
        streams, self._outside.streams = self._outside.streams, []
        return streams

    def gossip(self) -> list[Any]:
        """What the queue would spread next; taking it counts as one transmission."""
        return [_leaf(part) for part in self.swim.gossip(1 << 16)]

    def forget_gossip(self) -> None:
        """Empty the queue."""
        self.swim.introduce((), self.now)

    def node(self, name: str) -> Node:
        """What it knows of a node.

        Raises:
            KeyError: nothing.
        """
        for node in self.swim.nodes():
            if node.name == name:
                return node
        raise KeyError(name)

    def state(self, name: str) -> State | None:
        """The state of a node, None if it is unknown."""
        return next((node.state for node in self.swim.nodes() if node.name == name), None)

    def accept(self, data: bytes, *, cut: int = 0) -> tuple[bytes, StreamExchange]:
        """A peer dials and writes `data`: the answer, and the exchange."""
        exchange = self.swim.accept(PEER, self.now)
        return serve(exchange, data, self.now, cut=cut), exchange

    def push_pull(
        self, *records: stream_wire.PushPullNode, join: bool = False, user_state: bytes = b""
    ) -> StreamExchange:
        """A peer dials and sends its state."""
        header = stream_wire.PushPullHeader(len(records), len(user_state), join)
        data = b"".join([header.encode(), *(record.encode() for record in records), user_state])
        return self.accept(data)[1]


def _leaf(part: bytes) -> Any:
    return part[1:] if part[0] == MessageType.USER else _CLASSES[part[0]].decode(part[1:])


class World:
    """A simulation of several nodes, called by their names, on a network that delivers at once.

    Attributes:
        simulation: where they run.
        passes: whether something gets through, as (from name, to name, "udp" or "tcp"); replace it to cut links.
        traffic: every datagram so far, as (from name, to name, bytes).
    """

    def __init__(self, dialect: Dialect = Dialect.HASHICORP) -> None:
        self.passes: Callable[[str, str, str], bool] = lambda source, target, transport: True
        self.traffic: list[tuple[str, str, bytes]] = []
        self.simulation = Simulation(0, Network.instant(), on_event=self._on_event, on_packet=self._on_packet)
        self.simulation.passes = lambda source, target, transport: self.passes(source.name, target.name, transport)
        self._dialect = dialect
        self._processes: dict[str, Process] = {}
        self._events: dict[str, list[Event]] = {}
        self._off: dict[str, Swim] = {}

    def _on_event(self, process: Process, event: Event) -> None:
        self._events[process.name].append(event)

    def _on_packet(self, process: Process, to: Address, datagram: bytes) -> None:
        target = self.simulation.processes.get(to)
        self.traffic.append((process.name, target.name if target is not None else "", datagram))

    @property
    def now(self) -> float:
        """The clock, in seconds."""
        return self.simulation.now

    def add(
        self, name: str, *, keyring: Keyring | None = None, hooks: Hooks | None = None, host: str = "", **changes: Any
    ) -> Swim:
        """Start a node, or start it anew under the same name and address."""
        process = self._processes.get(name)
        if process is not None and self._off.pop(name, None) is not None:
            host = process.address[0]
        host = host or f"10.0.0.{1 + len(self.simulation.processes)}"
        settings: dict[str, Any] = {"dialect": self._dialect} | changes
        self._events[name] = []
        process = self.simulation.add(Config.lan(name, host, PORT, **settings), keyring=keyring, hooks=hooks)
        self._processes[name] = process
        return process.core

    def start(self, *names: str, **changes: Any) -> list[Swim]:
        """Start nodes that know each other."""
        swims = [self.add(name, **changes) for name in names]
        for name in names[1:]:
            self.join(name, names[0])
        self.run_until(lambda: all(len(swim.members()) == len(names) for swim in swims), within=60.0)
        return swims

    def swim(self, name: str) -> Swim:
        """The node of that name."""
        return self._off.get(name) or self._processes[name].core

    def address(self, name: str) -> Address:
        """Where a node is."""
        return self._processes[name].address

    def join(self, name: str, seed: str) -> str:
        """Let one node dial another; returns why it failed, "" if it did not."""
        ended: list[str] = []
        self.swim(name).join(self.address(seed), self.now, lambda exchange: ended.append(exchange.failure))
        self.pump()
        return ended[0] if ended else "not ended"

    def off(self, name: str) -> None:
        """Switch a node off, without a word."""
        self._off[name] = self._processes[name].core
        self.simulation.crash(self._processes[name])

    def on(self, name: str) -> None:
        """Let a node that was switched off go on: it stood still meanwhile."""
        process = self._processes[name]
        process.swim, process.wakes_at = self._off.pop(name), math.inf
        self.simulation.flush(process)

    def events(self, name: str, kind: type[_E]) -> list[_E]:
        """All events of one class at a node so far."""
        return [event for event in self._events[name] if isinstance(event, kind)]

    def view(self, name: str) -> dict[str, State]:
        """What a node knows."""
        return {node.name: node.state for node in self.swim(name).nodes()}

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.pump()
        self.simulation.run(seconds)

    def run_until(self, predicate: Callable[[], object], within: float) -> None:
        """Let time pass until `predicate` holds.

        Raises:
            AssertionError: it does not within so many seconds.
        """
        self.pump()
        assert self.simulation.run_until(predicate, within, every=0.0) is not None, f"not within {within} s"

    def pump(self) -> None:
        """Deliver what was sent, and what was sent because of it, until all are silent."""
        self.simulation.settle()
