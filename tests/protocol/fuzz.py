"""Feeds the gossip protocol with broken input: no exception escapes, memory stays small, and no input takes long.

    python tests/protocol/fuzz.py --inputs 2000000 --seconds 900 --seed 1

Inputs are captured messages that were changed, and random structures with the protocol's own field names; half of the
inputs are then wrapped in the layers a peer may use (compound, compression, checksum, encryption with the right key,
label), so that what is behind those layers is reached. Datagrams go to `packet_received`, streams to `accept`, whole
or cut at random places. One seed gives one run, and a failure prints the input.

A few streams are dense: much memory of few bytes, compressed or not. Some of those, and a few of the others, are
weighed: what unfinished connections take, allocated by Python or written into the pages of dictionaries, is no more
than the node says that they hold, and that is no more than it may be. When a connection is over nothing may count as
held.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import math
import mmap
import random
import re
import resource
import sys
import time
import traceback
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock
from zlib import crc32

import attrs
import msgpack

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.captured import all_captured, load
from support.streams import drive

from pydoudou.drivers.memberlist.protocol import Config, Dialect, Keyring, Swim, stream_messages
from pydoudou.drivers.memberlist.protocol import messages as wire
from pydoudou.drivers.memberlist.protocol.encryption import encrypt
from pydoudou.drivers.memberlist.protocol.label import label_header
from pydoudou.drivers.memberlist.protocol.packet import PacketCodec, compound, compressed
from pydoudou.drivers.memberlist.protocol.stream_limits import MAX_HELD_BYTES

__all__ = [
    "SETUPS",
    "Fed",
    "Fuzzer",
    "Report",
    "Setup",
    "corpus",
    "feed_packet",
    "feed_stream",
    "packet_layers",
    "stream_layers",
    "weigh",
]

SLOW_AFTER = 0.050
MAX_RESIDENT_BYTES = 200 * 1024 * 1024
SOURCE = ("10.0.0.9", 7946)
_KEY = bytes(range(16))
_FRESH_AFTER = 2_000
_LOOK_AFTER = 50
_EDGES = bytes.fromhex("00 01 1f 7f 80 90 9f a0 bf c0 c1 c4 cf d3 d9 db dd df f4 ff")
_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 65_535, 65_536, 2**31, 2**32 - 2**16, 2**32 - 1, 2**32, 2**63 - 1, -(2**63))
_CLASSES = (*vars(wire).values(), *vars(stream_messages).values())
_FIELDS = tuple(sorted({name for each in _CLASSES for name in getattr(each, "declared", ())} | {b"Algo", b"Buf"}))
_DENSE_SHARE, _LONGEST_DENSE = 0.01, 60_000
_INFLATING_SHARE_OF_DENSE, _INFLATED_BYTES = 0.15, 2 * 1024 * 1024
_WEIGHED_SHARE, _WEIGHED_OF_DENSE = 0.005, 0.5
_STEPS_TO_INFLATE = 300
_CROWD, _CROWD_MAY_HOLD = 30, 4 * 1024 * 1024
_UNCOUNTED_BYTES = 256 * 1024
"""What a connection may take beyond what it counts: objects and decoders, some 60 KB, and the members it told of."""
_COUNTED_TWICE = 1.25
"""A buffer that grows has room for an eighth more, here and there."""
_MOST_AT_ONCE = 16 * 1024 * 1024
"""What may be allocated for a moment beyond that: a record of nested arrays that is refused takes 8 MB."""
_UNITS = (
    *(b"\x80", b"\x90", b"\xc0", b"\x00", b"\xa1x", b"\x81\x90\x90", b"\x81\xa4Meta\x90"),
    *(b"\xdc\x04\x00", b"\xdc\x04\x00" + b"\x90" * 1024, b"\x81\xa4Node\xdc\x04\x00"),
)
_NESTED = b"\x81\xa4Node\xdc\x04\x00"
_HEADS = (
    *(bytes((kind,)) + _NESTED for kind in (0, 2)),
    stream_messages.PushPullHeader(65_536, 0, False).encode(),
    stream_messages.PushPullHeader(3, 60_000, False).encode(),
    stream_messages.stream_user_header(1 << 20),
)
_PACKET_TYPES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 14)
_STREAM_TYPES = (0, 2, 6, 8, 9, 13)


@attrs.define
class Report:
    """What a run found.

    Attributes:
        reached: what the nodes reported, by class of event: an input that is dropped at the first byte proves little.
    """

    inputs: int = 0
    packets: int = 0
    streams: int = 0
    weighed: int = 0
    most_held_bytes: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    slowest_input: bytes = b""
    resident_bytes: int = 0
    reached: collections.Counter[str] = attrs.field(factory=collections.Counter)
    failures: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0.0
        return (
            f"{self.inputs:,} inputs ({self.packets:,} packets, {self.streams:,} streams) in {self.seconds:.0f} s, "
            f"{rate:,.0f} a second; slowest {self.slowest_seconds * 1e3:.1f} ms ({len(self.slowest_input)} bytes: "
            f"{self.slowest_input[:40].hex()}); one stream held {self.most_held_bytes / 2**20:.1f} MB at most, "
            f"{self.weighed:,} were weighed; {self.resident_bytes / 2**20:.0f} MB resident; "
            f"{len(self.failures)} failures"
        )


@attrs.frozen
class Fed:
    """What one input took: the longest time of one call, of the processor's, and the most that its stream held."""

    seconds: float
    held_bytes: int = 0


@attrs.frozen
class Setup:
    """How a node that is fed is configured."""

    dialect: Dialect
    key: bytes
    label: bytes

    def start(self, seed: int, max_held_bytes: int = MAX_HELD_BYTES) -> Swim:
        config = Config.lan("victim", "10.0.0.1", 7946, dialect=self.dialect, label=self.label)
        seeded = random.Random(seed)
        keyring = Keyring([self.key] if self.key else [])
        return Swim(
            config,
            random=seeded,
            random_bytes=seeded.randbytes,
            now=0.0,
            keyring=keyring,
            max_held_bytes=max_held_bytes,
        )


SETUPS = (
    Setup(Dialect.HASHICORP, b"", b""),
    Setup(Dialect.DOUDOU, b"", b""),
    Setup(Dialect.HASHICORP, _KEY, b"blue"),
)


class Fuzzer:
    """One run, from one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._packets, self._streams = corpus()
        self._inflating = compressed(stream_messages.stream_user_header(2 * _INFLATED_BYTES) + bytes(_INFLATED_BYTES))
        self.report = Report()

    def run(self, inputs: int, seconds: float) -> Report:
        """Feed up to so many inputs for up to so long."""
        started = time.perf_counter()
        report = self.report
        while report.inputs < inputs and report.seconds < seconds and not report.failures:
            setup = SETUPS[report.inputs // _FRESH_AFTER % len(SETUPS)]
            self._feed_one_node(setup, min(_FRESH_AFTER, inputs - report.inputs), started + seconds)
            report.seconds = time.perf_counter() - started
            report.resident_bytes = _most_resident_bytes()
            if report.resident_bytes > MAX_RESIDENT_BYTES:
                report.failures.append(f"{report.resident_bytes / 2**20:.0f} MB resident")
        return report

    def _feed_one_node(self, setup: Setup, count: int, until: float) -> None:
        swim = setup.start(self._seed)
        now = 0.0
        for number in range(count):
            as_stream = self._random.random() < 0.3
            dense = as_stream and self._random.random() < _DENSE_SHARE
            data, feed = self._input(setup, as_stream=as_stream, dense=dense)
            try:
                fed = feed(swim, now)
                if as_stream and self._random.random() < (_WEIGHED_OF_DENSE if dense else _WEIGHED_SHARE):
                    self._weigh(setup, data)
            except Exception:
                self.report.failures.append(f"{traceback.format_exc()}\n{setup}\nstream: {as_stream}\n{data.hex()}")
                return
            self.report.inputs += 1
            if as_stream:
                self.report.streams += 1
            else:
                self.report.packets += 1
            self.report.most_held_bytes = max(self.report.most_held_bytes, fed.held_bytes)
            if fed.seconds > self.report.slowest_seconds:
                self._slow(setup, data, feed, fed.seconds)
            if number % _LOOK_AFTER == 0:
                now += 0.1
                swim.advance(now)
                effects = swim.take()
                self.report.reached.update(type(event).__name__ for event in effects.events)
                for exchange in effects.streams:
                    exchange.abort("not dialled", now)
                if time.perf_counter() > until:
                    return

    def _weigh(self, setup: Setup, data: bytes) -> None:
        crowd = self._random.random() < 0.2
        swim = setup.start(self._seed, _CROWD_MAY_HOLD if crowd else MAX_HELD_BYTES)
        # What is inflated takes most in the middle of it, where other connections have their turn.
        steps = self._random.randrange(_STEPS_TO_INFLATE) if self._random.random() < 0.5 else None
        weigh(swim, data, _CROWD if crowd else 1, _CROWD_MAY_HOLD if crowd else MAX_HELD_BYTES, steps)
        self.report.weighed += 1

    def _slow(self, setup: Setup, data: bytes, feed: Callable[[Swim, float], Fed], took: float) -> None:
        """Note the slowest input; a machine that is shared stalls now and then, so one that seems slow is repeated."""
        if took > SLOW_AFTER:
            took = min(took, *(feed(setup.start(self._seed), 0.0).seconds for _ in range(3)))
        if took > self.report.slowest_seconds:
            self.report.slowest_seconds, self.report.slowest_input = took, data
        if took > SLOW_AFTER:
            self.report.failures.append(f"{took * 1e3:.0f} ms\n{setup}\n{data.hex()}")

    def _input(self, setup: Setup, *, as_stream: bool, dense: bool) -> tuple[bytes, Callable[[Swim, float], Fed]]:
        chance = self._random.random()
        types = _STREAM_TYPES if as_stream else _PACKET_TYPES
        if dense:
            plain = self._dense()
        elif chance < 0.25:
            plain = bytes((self._random.choice(types),)) + b"".join(self._structures())
        else:
            plain = self._mutated(self._random.choice(self._streams if as_stream else self._packets))
        if as_stream:
            data = self._stream_layers(plain, setup)
            cuts = self._cuts(len(data))
            return data, lambda swim, now: feed_stream(swim, data, cuts, now)
        data = self._packet_layers(plain, setup)
        return data, lambda swim, now: feed_packet(swim, data, now)

    # -- contents ------------------------------------------------------------------------------------------------------

    def _dense(self) -> bytes:
        """Few bytes that stand for much memory, and are not at their end."""
        rng = self._random
        if rng.random() < _INFLATING_SHARE_OF_DENSE:
            return self._inflating
        size = int(math.exp(rng.uniform(math.log(100), math.log(_LONGEST_DENSE))))
        unit = rng.choice((*_UNITS, rng.randbytes(rng.randrange(1, 6))))
        plain = rng.choice((*_HEADS, bytes((rng.choice(_STREAM_TYPES),)))) + (unit * size)[:size]
        return compressed(plain) if rng.random() < 0.3 else plain

    def _mutated(self, data: bytes) -> bytes:
        rng = self._random
        changed = bytearray(data)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 4, 8))):
            size = len(changed)
            at = rng.randrange(size + 1)
            how = rng.randrange(7)
            if how == 0 and at < size:
                changed[at] ^= 1 << rng.randrange(8)
            elif how == 1 and at < size:
                changed[at] = rng.choice(_EDGES)
            elif how == 2:
                del changed[at : at + rng.choice((1, 2, 4, 16, size))]
            elif how == 3:
                changed[at:at] = changed[rng.randrange(size + 1) :][: rng.choice((1, 4, 32, 256))]
            elif how == 4:
                changed[at:at] = rng.randbytes(rng.choice((1, 2, 5, 40)))
            elif how == 5:
                changed[at:] = rng.choice(self._packets)[rng.randrange(40) :]
            else:
                changed[at:at] = msgpack.packb(self._value(0), use_bin_type=rng.random() < 0.5)
        return bytes(changed)

    def _structures(self) -> Iterator[bytes]:
        for _ in range(self._random.choice((1, 1, 2, 5))):
            yield msgpack.packb(self._value(3), use_bin_type=self._random.random() < 0.2)
        if self._random.random() < 0.2:
            yield self._random.randbytes(self._random.randrange(40))

    def _value(self, depth: int) -> object:
        rng = self._random
        how = rng.randrange(12) if depth else rng.randrange(2, 9)
        if how == 2:
            return rng.choice(_NUMBERS[: -2 if rng.random() < 0.5 else None])
        if how < 6:
            return rng.choice((b"", b"x", b"victim", b"\x0a\x00\x00\x05", b"10.0.0.5", rng.randbytes(6), b"\xff" * 300))
        if how == 6:
            return rng.choice((None, True, False, 0.5, b"\x01\x05\x02\x00\x00\x00"))
        if how < 9:
            return rng.randrange(200)
        if how == 9:
            return [self._value(depth - 1) for _ in range(rng.randrange(9))]
        return {rng.choice(_FIELDS): self._value(depth - 1) for _ in range(rng.randrange(9))}

    # -- layers --------------------------------------------------------------------------------------------------------

    def _packet_layers(self, plain: bytes, setup: Setup) -> bytes:
        rng = self._random
        while rng.random() < 0.25:
            others = [rng.choice(self._packets)[:1400] for _ in range(rng.choice((0, 1, 3)))]
            plain = compound([plain[:65_535], *others, b""])[0]
        if rng.random() < 0.02 and len(plain) < 4096:
            plain = compressed(plain)
        if rng.random() < 0.2:
            plain = b"\x0c" + crc32(plain).to_bytes(4, "big") + plain
        return plain if rng.random() < 0.05 else packet_layers(plain, setup, rng)

    def _stream_layers(self, plain: bytes, setup: Setup) -> bytes:
        rng = self._random
        if rng.random() < 0.02 and len(plain) < 4096:
            plain = compressed(plain)
        return plain if rng.random() < 0.1 else stream_layers(plain, setup, rng)

    def _cuts(self, size: int) -> tuple[int, ...]:
        rng = self._random
        how = rng.random()
        if how < 0.5 or size < 2:
            return (0, size)
        if how < 0.6 and size <= 200:
            return tuple(range(size + 1))
        return (0, *sorted(rng.randrange(size) for _ in range(rng.choice((1, 2, 5)))), size)


def packet_layers(plain: bytes, setup: Setup, rng: random.Random) -> bytes:
    """A datagram that the node of `setup` opens."""
    if setup.key:
        plain = encrypt(Keyring([setup.key]), rng.randrange(2), plain, setup.label, rng.randbytes)
    return label_header(setup.label) + plain


def stream_layers(plain: bytes, setup: Setup, rng: random.Random) -> bytes:
    """What a dialler sends to the node of `setup`."""
    if setup.key:
        header = b"\x0a" + (29 + len(plain)).to_bytes(4, "big")
        plain = header + encrypt(Keyring([setup.key]), 1, plain, header + setup.label, rng.randbytes)
    return label_header(setup.label) + plain


def corpus() -> tuple[list[bytes], list[bytes]]:
    """Plaintexts of captured and hostile packets, and of streams."""
    packets, streams = [], []
    for captured in all_captured():
        config = Config("reader", "10.0.0.1", 7946, dialect=Dialect(captured.dialect), label=captured.label)
        codec = PacketCodec(config, Keyring([captured.key] if captured.key else []), random.Random(0).randbytes)
        if not captured.stream:
            packets.append(codec.unwrap(captured.data))
        elif not captured.key and not captured.label:
            streams.append(captured.data)
    for vector in (*load("hostile"), *load("leniency")):
        data = bytes.fromhex(vector["sent_hex"])
        if data and vector.get("transport") == "tcp":
            streams.append(data)
        elif data:
            packets.append(data)
    return _addressed(packets), _addressed(streams)


def _addressed(inputs: list[bytes]) -> list[bytes]:
    """The shorter ones, and those about other nodes also as if they were about ours, whose name is as long."""
    short = [data for data in inputs if len(data) < 8192]
    renamed = [data.replace(b"fake-b", b"victim").replace(b"fake-c", b"victim") for data in short]
    return list(dict.fromkeys((*short, *renamed)))


def feed_packet(swim: Swim, data: bytes, now: float) -> Fed:
    """Only the processor's time counts: what else the machine does meanwhile is nobody's fault here."""
    start = time.thread_time()
    swim.packet_received(data, SOURCE, now)
    return Fed(time.thread_time() - start)


def feed_stream(swim: Swim, data: bytes, cuts: tuple[int, ...], now: float) -> Fed:
    """One connection, from its beginning to its end.

    Raises:
        AssertionError: after its end something still counts as held.
    """
    longest, most = 0.0, 0
    before = _held(swim)

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal longest, most
        start = time.thread_time()
        result = function(*arguments)
        longest = max(longest, time.thread_time() - start)
        most = max(most, _held(swim) - before)
        return result

    exchange = swim.accept(SOURCE, now)
    drive(exchange, now, call)
    for begin, end in itertools.pairwise(cuts):
        call(exchange.received, data[begin:end], now)
        drive(exchange, now, call)
    exchange.received(b"", now)
    drive(exchange, now)
    assert _held(swim) == before, f"{_held(swim) - before} bytes count as held by a connection that is over"
    return Fed(longest, most)


class _Pages(mmap.mmap):
    """Memory that the allocator knows nothing of, with a note of how much of it was written."""

    living: ClassVar[weakref.WeakSet[_Pages]] = weakref.WeakSet()
    written = 0

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.living.add(self)
        self.written = max(self.written, key.stop)

    @classmethod
    def written_bytes(cls) -> int:
        """Of all that are still held."""
        return sum(pages.written for pages in cls.living)


def weigh(swim: Swim, data: bytes, connections: int, may_hold: int, steps: int | None = None) -> None:
    """Have so many connections write `data` and wait, and compare what they take with what the node says that they
    hold.

    Args:
        steps: how many the node takes with each after that; None: all that it can.

    Raises:
        AssertionError: they take more than that, or hold more than they may.
    """
    exchanges = []
    _Pages.living.clear()
    tracemalloc.start()
    try:
        with mock.patch.object(mmap, "mmap", _Pages):
            for number in range(connections):
                exchange = swim.accept((f"10.7.{number}.1", 7946), 0.0)
                exchanges.append(exchange)
                drive(exchange, 0.0)
                exchange.received(data, 0.0)
                drive(exchange, 0.0, steps=steps)
        taken, peak = (size + _Pages.written_bytes() for size in tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()
    held = _held(swim)
    counted = held * _COUNTED_TWICE + connections * _UNCOUNTED_BYTES
    assert taken <= counted, f"{connections} connections take {taken:,} bytes, and count as {held:,}"
    assert peak <= may_hold + counted + _MOST_AT_ONCE, f"{connections} connections took {peak:,} bytes for a moment"
    assert held <= may_hold, f"{connections} connections hold {held:,} bytes, {may_hold:,} are allowed"
    for exchange in exchanges:
        exchange.abort("enough", 0.0)
    assert _held(swim) == 0, f"{_held(swim)} bytes count as held by connections that are over"


def _held(swim: Swim) -> int:
    return swim.gauges["stream_bytes_held"]


def _most_resident_bytes() -> int:
    """The most memory that this process had. Where Linux tells, it is this program's own: the figure of `getrusage`
    begins with that of the process which started it.
    """
    status = Path("/proc/self/status")
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE) if status.exists() else None
    return int(peak[1] if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=2_000_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    report = Fuzzer(arguments.seed).run(arguments.inputs, arguments.seconds)
    print(report)
    print("reported:", ", ".join(f"{name} {count:,}" for name, count in report.reached.most_common()))
    for failure in report.failures:
        print(f"\nFAILED (seed {arguments.seed}): {failure}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
