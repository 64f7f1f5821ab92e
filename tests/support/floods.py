"""Everything that a stranger can throw at a gossip node, at bounded rates and for a bounded time."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import attrs

from pydoudou.drivers.memberlist.protocol.messages import Ack, Alive, IndirectPing, Ping, Suspect, Weight
from pydoudou.drivers.memberlist.protocol.packet import compressed
from pydoudou.drivers.memberlist.protocol.stream_messages import PushPullHeader, PushPullNode, stream_user_header

from .captured import all_captured, load

__all__ = ["Floods"]

VSN = bytes((1, 5, 2, 0, 0, 0))
_SOURCES = ("127.0.0.66", "127.0.0.67", "127.0.0.68")
_GHOSTS = 5
"""Members that are made up. Whoever is not refused has to be probed by everybody before he is given up, and makes them
doubt their own health: each costs the cluster seconds. It is what plain gossip cannot refuse, and so there are few.
"""
_HOLDING = 210
_INFLATED_BYTES = 8 * 1024 * 1024


@attrs.frozen
class Floods:
    """All of them at once, against one node.

    Args:
        target: the gossip address of the node.
        members: the names of its cluster's members, who are slandered.
        seed: of what is left to chance.
        unknown_names: whether to name hosts that do not exist; only where no question for a name can leave the machine.
    """

    target: tuple[str, int]
    members: Sequence[str]
    seed: int
    unknown_names: bool

    def run(self, seconds: float, pace: Callable[[], float] = lambda: 1.0) -> collections.Counter[str]:
        """Send for so long, at the share of the rates that `pace` says. Returns how many of each kind were sent."""
        chance = random.Random(self.seed)
        unfinished = itertools.cycle(_unfinished())
        inflating = compressed(chance.randbytes(43_000))
        broken = _broken([c.data for c in all_captured() if not c.stream], "udp", chance)
        broken_streams = _broken([c.data for c in all_captured() if c.stream], "tcp", chance)
        datagrams: dict[str, tuple[float, Iterator[bytes]]] = {
            "broken datagrams": (200.0, broken),
            "dense compressed datagrams": (100.0, itertools.repeat(inflating)),
            "accusations": (20.0, self._accusations(chance)),
            "weights": (20.0, self._weights()),
            "acks nobody asked for": (50.0, (Ack(number).encode() for number in itertools.count())),
            "pings for third hosts": (50.0, self._relays()),
            "members made up": (10.0, self._ghosts(chance)),
        }
        if self.unknown_names:
            datagrams["pings from unknown names"] = (100.0, self._unknown_names())
        streams: dict[str, tuple[float, Iterator[bytes]]] = {
            "broken streams": (20.0, broken_streams),
            "states made up": (5.0, self._states(chance)),
        }
        until = time.monotonic() + seconds
        sent: collections.Counter[str] = collections.Counter()

        def flood(kind: str, rate: float, inputs: Iterator[bytes], send: Callable[[bytes], None]) -> None:
            sent[kind] = _send(lambda: rate * pace(), inputs, until, send)

        with contextlib.ExitStack() as stack:
            threads = []
            for number, (kind, (rate, inputs)) in enumerate(datagrams.items()):
                sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sender.bind((_SOURCES[number % len(_SOURCES)], 0))
                send = self._datagram(sender)
                threads.append(threading.Thread(target=flood, args=(kind, rate, inputs, send)))
            for kind, (rate, inputs) in streams.items():
                threads.append(threading.Thread(target=flood, args=(kind, rate, inputs, self._stream)))
            held = stack.enter_context(_Held(self.target))
            threads.append(threading.Thread(target=flood, args=("connections held", 20.0, unfinished, held.open)))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return sent

    def _datagram(self, sender: socket.socket) -> Callable[[bytes], None]:
        def send(data: bytes) -> None:
            with contextlib.suppress(OSError):
                sender.sendto(data[:65_000], self.target)

        return send

    def _stream(self, data: bytes) -> None:
        with contextlib.suppress(OSError), _connected(self.target, _SOURCES[0]) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    def _accusations(self, chance: random.Random) -> Iterator[bytes]:
        """By ever new accusers, now and in the far future."""
        for number in itertools.count():
            incarnation = chance.choice((1, 2, 2**24, 2**32 - 2, 2**32 - 1))
            yield Suspect(incarnation, chance.choice(self.members), f"nobody-{number}").encode()

    def _weights(self) -> Iterator[bytes]:
        for number, name in enumerate(itertools.cycle(self.members)):
            yield Weight(1, name, name, 900 + number % 100, 2**62 + number).encode()

    def _relays(self) -> Iterator[bytes]:
        for number in itertools.count():
            host = b"127.0.0.99"
            yield IndirectPing(number, host, 9, f"ghost-{number}", True, b"127.0.0.98", 9, "nobody").encode()

    def _ghosts(self, chance: random.Random) -> Iterator[bytes]:
        """Nodes that do not exist, some under names that would end a line."""
        for number in itertools.count():
            name = f"ghost{'-' if number % 2 else chr(13) + chr(10)}{number % _GHOSTS}"
            meta = chance.choice((None, b"\x80", b"\xff" * 512, chance.randbytes(100)))
            yield Alive(number + 1, name, b"127.0.0.99", 9, meta, VSN).encode()

    def _unknown_names(self) -> Iterator[bytes]:
        for number in itertools.count():
            yield Ping(number, "", b"n%d.attack.invalid" % number, 9, f"n{number}").encode()

    def _states(self, chance: random.Random) -> Iterator[bytes]:
        """Push/pulls of a peer whose members are all made up."""
        while True:
            nodes = [
                PushPullNode(f"ghost-{number}", b"127.0.0.99", 9, chance.randbytes(200), 1, chance.randrange(5), VSN)
                for number in range(_GHOSTS)
            ]
            head = PushPullHeader(len(nodes), 0, bool(chance.randrange(2))).encode()
            yield head + b"".join(node.encode() for node in nodes)


@functools.cache
def _unfinished() -> tuple[bytes, bytes]:
    """Little to send, much to hold, and never at its end: megabytes of zeros inflated, and empty records decoded. To
    compress the first takes seconds.
    """
    zeros = compressed(stream_user_header(_INFLATED_BYTES + 1) + bytes(_INFLATED_BYTES))
    records = PushPullHeader(65_536, 0, False).encode() + b"\x80" * 50_000
    return zeros, records


def _broken(whole: list[bytes], transport: str, chance: random.Random) -> Iterator[bytes]:
    """Captured and hostile inputs, each with a few bytes changed; none that introduces nodes (see `_GHOSTS`)."""
    hostile = [bytes.fromhex(each["sent_hex"]) for each in load("hostile") if each.get("transport") == transport]
    inputs = [each for each in (*whole, *hostile) if each and b"Vsn" not in each]
    while True:
        changed = bytearray(chance.choice(inputs))
        for _ in range(chance.randrange(4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield bytes(changed)


def _send(rate: Callable[[], float], inputs: Iterator[bytes], until: float, send: Callable[[bytes], None]) -> int:
    """Send at that rate, or as fast as it goes; returns how many."""
    due = time.monotonic()
    for number, data in enumerate(inputs):
        now = time.monotonic()
        if now >= until:
            return number
        if now < due:
            time.sleep(due - now)
        send(data)
        due = max(due + 1 / rate(), time.monotonic() - 1)
    raise AssertionError("an endless source has ended")


def _connected(target: tuple[str, int], source: str) -> socket.socket:
    connection = socket.create_connection(target, 1.0, (source, 0))
    connection.settimeout(1.0)
    return connection


class _Held:
    """Connections that are kept open, after so many the oldest is closed for the next."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._number = itertools.count()

    def open(self, data: bytes) -> None:
        """One more, that has written all of `data`."""
        if len(self._open) >= _HOLDING:
            self._open.pop(0).close()
        with contextlib.suppress(OSError):
            connection = _connected(self._target, _SOURCES[next(self._number) % len(_SOURCES)])
            self._open.append(connection)
            connection.sendall(data)

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._open:
            connection.close()
