"""Gossip nodes without I/O, on a clock that a test turns by hand.

`Lone` is one node whose peers exist only as the messages a test lets it hear. `World` is several nodes on a network
that delivers at once; a test may cut links or switch nodes off. Nothing here sleeps, and every run is the same run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from pydoudou.drivers.memberlist.protocol import Config, Dialect, Hooks, Keyring, Node, State, Swim
from pydoudou.drivers.memberlist.protocol import messages as wire
from pydoudou.drivers.memberlist.protocol import stream_messages as stream_wire
from pydoudou.drivers.memberlist.protocol.addresses import Address
from pydoudou.drivers.memberlist.protocol.context import Context
from pydoudou.drivers.memberlist.protocol.errors import ProtocolError
from pydoudou.drivers.memberlist.protocol.events import Event, Problem
from pydoudou.drivers.memberlist.protocol.packet import PacketCodec, messages
from pydoudou.drivers.memberlist.protocol.stream_exchange import StreamExchange

__all__ = ["PEER", "VSN", "Lone", "World", "alive", "codec", "context_of", "decoded", "serve"]

VSN = bytes((1, 5, 2, 0, 0, 0))
PEER: Address = ("10.0.0.9", 7946)
PORT = 7946
_E = TypeVar("_E")
_CLASSES: dict[int, Any] = {
    wire.MessageType.PING: wire.Ping,
    wire.MessageType.INDIRECT_PING: wire.IndirectPing,
    wire.MessageType.ACK: wire.Ack,
    wire.MessageType.SUSPECT: wire.Suspect,
    wire.MessageType.ALIVE: wire.Alive,
    wire.MessageType.DEAD: wire.Dead,
    wire.MessageType.NACK: wire.Nack,
    wire.MessageType.WEIGHT: wire.Weight,
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
        body if kind == wire.MessageType.USER else _CLASSES[kind].decode(body)
        for kind, body in messages(codec(config, keyring).unwrap(datagram))
    ]


def serve(exchange: StreamExchange, data: bytes, now: float, *, cut: int = 0) -> bytes:
    """Pass `data` into one side of a stream, in pieces of `cut` bytes, as an event loop does; returns its answer."""
    step = cut or max(1, len(data))
    for start in range(0, len(data), step):
        exchange.feed(data[start : start + step], now)
        _work(exchange, now)
    answer, exchange.to_send = exchange.to_send, b""
    return answer


def _work(exchange: StreamExchange, now: float) -> None:
    while not exchange.done and (exchange.heavy is not None or exchange.work is not None):
        if exchange.heavy is not None:
            try:
                result: bytes | ProtocolError = exchange.heavy()
            except ProtocolError as error:
                result = error
            exchange.resume(result, now)
        else:
            exchange.step(now)


def _swim(config: Config, now: float, keyring: Keyring | None, hooks: Hooks | None) -> Swim:
    seeded = random.Random(config.name)
    return Swim(config, random=seeded, random_bytes=seeded.randbytes, now=now, keyring=keyring, hooks=hooks)


class Lone:
    """One node, by default called ``me`` at 10.0.0.1 with memberlist's LAN settings in the dialect hashicorp.

    Attributes:
        now: the clock, in seconds.
        started: what happened while it started.
    """

    def __init__(
        self, *, name: str = "me", keyring: Keyring | None = None, hooks: Hooks | None = None, **changes: Any
    ) -> None:
        settings: dict[str, Any] = {"dialect": Dialect.HASHICORP} | changes
        self.config = Config.lan(name, settings.pop("advertise_host", "10.0.0.1"), PORT, **settings)
        self.now = 0.0
        self.swim = _swim(self.config, self.now, keyring, hooks)
        self._keyring = keyring
        self._packets: list[tuple[Address, bytes]] = []
        self._events: list[Event] = []
        self._streams: list[StreamExchange] = []
        self.started = self.events()
        self.forget_gossip()

    def hear(self, *heard: Any, source: Address = PEER) -> None:
        """Let a datagram arrive for each message."""
        for message in heard:
            data = message if isinstance(message, bytes) else message.encode()
            self.swim.packet_received(data, source, self.now)

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
        until = self.now + seconds
        while self.swim.wake_at is not None and self.swim.wake_at <= until:
            self.now = max(self.now, self.swim.wake_at)
            self.swim.advance(self.now)
            self._take()
        self.now = until

    def run_until(self, predicate: Callable[[], object], within: float) -> None:
        """Let time pass until `predicate` holds.

        Raises:
            AssertionError: it does not within so many seconds.
        """
        until = self.now + within
        while not predicate():
            wake_at = self.swim.wake_at
            assert wake_at is not None, "nothing is going to happen"
            assert wake_at <= until, f"not within {within} s"
            self.now = max(self.now, wake_at)
            self.swim.advance(self.now)
            self._take()

    def until_sent(self, kind: type[_E], within: float = 10.0) -> list[tuple[Address, _E]]:
        """Let time pass until messages of one class are sent; returns those that are sent then."""
        found: list[tuple[Address, _E]] = []

        def sent() -> bool:
            found.extend(self.sent(kind))
            return bool(found)

        self.run_until(sent, within)
        return found

    def _take(self) -> None:
        effects = self.swim.take()
        self._packets += effects.packets
        self._events += effects.events
        self._streams += effects.streams

    def events(self) -> list[Event]:
        """What happened since the last call."""
        self._take()
        events, self._events = self._events, []
        return events

    def happened(self, kind: type[_E]) -> list[_E]:
        """The events of one class since the last call of this or `events`."""
        return [event for event in self.events() if isinstance(event, kind)]

    def problems(self) -> list[str]:
        """The kinds of problems reported since the last call."""
        return [event.kind for event in self.events() if isinstance(event, Problem)]

    def packets(self) -> list[tuple[Address, bytes]]:
        """The datagrams sent since the last call."""
        self._take()
        packets, self._packets = self._packets, []
        return packets

    def sent(self, kind: type[_E] | None = None) -> list[tuple[Address, _E]]:
        """The messages sent since the last call, those of one class if given; user messages are bytes."""
        return [
            (to, message)
            for to, datagram in self.packets()
            for message in decoded(datagram, self.config, self._keyring)
            if kind is None or isinstance(message, kind)
        ]

    def streams(self) -> list[StreamExchange]:
        """What it wants to dial since the last call."""
        self._take()
        streams, self._streams = self._streams, []
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
    return part[1:] if part[0] == wire.MessageType.USER else _CLASSES[part[0]].decode(part[1:])


@attrs.define
class _Station:
    swim: Swim
    events: list[Event] = attrs.field(factory=list)


class World:
    """Several nodes on one network.

    Attributes:
        now: the clock, in seconds.
        passes: whether something gets through, as (from name, to name, "udp" or "tcp"); replace it to cut links.
        traffic: every datagram so far, as (from name, to name, bytes).
    """

    def __init__(self, dialect: Dialect = Dialect.HASHICORP) -> None:
        self.now = 0.0
        self.passes: Callable[[str, str, str], bool] = lambda source, target, transport: True
        self.traffic: list[tuple[str, str, bytes]] = []
        self._dialect = dialect
        self._stations: dict[str, _Station] = {}
        self._names: dict[Address, str] = {}
        self._off: set[str] = set()

    def add(
        self, name: str, *, keyring: Keyring | None = None, hooks: Hooks | None = None, host: str = "", **changes: Any
    ) -> Swim:
        """Start a node, or start it anew under the same name and address."""
        host = host or f"10.0.0.{1 + len(self._names)}"
        for address, other in self._names.items():
            host = address[0] if other == name and name in self._off else host
        settings: dict[str, Any] = {"dialect": self._dialect} | changes
        swim = _swim(Config.lan(name, host, PORT, **settings), self.now, keyring, hooks)
        self._names[(host, PORT)] = name
        self._stations[name] = _Station(swim)
        self._off.discard(name)
        return swim

    def start(self, *names: str, **changes: Any) -> list[Swim]:
        """Start nodes that know each other."""
        swims = [self.add(name, **changes) for name in names]
        for name in names[1:]:
            self.join(name, names[0])
        self.run_until(lambda: all(len(swim.members()) == len(names) for swim in swims), within=60.0)
        return swims

    def swim(self, name: str) -> Swim:
        """The node of that name."""
        return self._stations[name].swim

    def address(self, name: str) -> Address:
        """Where a node is."""
        return next(address for address, other in self._names.items() if other == name)

    def join(self, name: str, seed: str) -> str:
        """Let one node dial another; returns why it failed, "" if it did not."""
        ended: list[str] = []
        swim = self._stations[name].swim
        swim.join(self.address(seed), self.now, lambda exchange: ended.append(exchange.failure))
        self.pump()
        return ended[0] if ended else "not ended"

    def off(self, name: str) -> None:
        """Switch a node off, without a word."""
        self._off.add(name)

    def on(self, name: str) -> None:
        """Let a node that was switched off go on: it stood still meanwhile."""
        self._off.discard(name)

    def events(self, name: str, kind: type[_E]) -> list[_E]:
        """All events of one class at a node so far."""
        return [event for event in self._stations[name].events if isinstance(event, kind)]

    def view(self, name: str) -> dict[str, State]:
        """What a node knows."""
        return {node.name: node.state for node in self._stations[name].swim.nodes()}

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self._run(lambda: False, seconds)
        self.pump()

    def run_until(self, predicate: Callable[[], object], within: float) -> None:
        """Let time pass until `predicate` holds.

        Raises:
            AssertionError: it does not within so many seconds.
        """
        assert self._run(predicate, within), f"not within {within} s"

    def _run(self, predicate: Callable[[], object], seconds: float) -> bool:
        until = self.now + seconds
        self.pump()
        while not predicate():
            live = [station.swim for name, station in self._stations.items() if name not in self._off]
            due = min((swim.wake_at for swim in live if swim.wake_at is not None), default=until)
            if due >= until:
                self.now = until
                return False
            self.now = max(self.now, due)
            for swim in live:
                swim.advance(self.now)
            self.pump()
        return True

    def pump(self) -> None:
        """Deliver what was sent, and what was sent because of it, until all are silent."""
        busy = True
        while busy:
            busy = False
            for name in list(self._stations):
                busy |= name not in self._off and self._deliver(name)

    def _deliver(self, name: str) -> bool:
        station = self._stations[name]
        effects = station.swim.take()
        station.events += effects.events
        for to, datagram in effects.packets:
            target = self._target(name, to, "udp")
            self.traffic.append((name, self._names.get(to, ""), datagram))
            if target is not None:
                target.packet_received(datagram, self.address(name), self.now)
        for exchange in effects.streams:
            self._converse(name, exchange)
        return bool(effects.packets or effects.streams)

    def _target(self, source: str, to: Address, transport: str) -> Swim | None:
        name = self._names.get(to)
        if name is None or name in self._off or not self.passes(source, name, transport):
            return None
        return self._stations[name].swim

    def _converse(self, name: str, dialled: StreamExchange) -> None:
        assert dialled.address is not None
        target = self._target(name, dialled.address, "tcp")
        if target is None:
            dialled.end("nobody answers")
            return
        question, dialled.to_send = dialled.to_send, b""
        accepted = target.accept(self.address(name), self.now)
        answer = serve(accepted, question, self.now)
        if not dialled.expects_reply:
            dialled.end()
            return
        serve(dialled, answer, self.now)
        if not dialled.done:
            dialled.feed(b"", self.now)
