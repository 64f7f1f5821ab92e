"""Hostile input: every length is bounded before anything is allocated, and nothing escapes."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from support.cluster import PEER, Lone
from support.streams import drive, serve

from pydoudou.drivers.memberlist.protocol import stream_messages as stream_wire
from pydoudou.drivers.memberlist.protocol.gomsgpack import raw
from pydoudou.drivers.memberlist.protocol.lzw import compress
from pydoudou.drivers.memberlist.protocol.packet import compound


def compress_message(plain: bytes) -> bytes:
    return b"\x09\x82\xa4Algo\x00\xa3Buf" + raw(compress(plain))


def push_pull_header(nodes: int, user_state_bytes: int = 0) -> bytes:
    return stream_wire.PushPullHeader(nodes, user_state_bytes, False).encode()


def slowest(call: Callable[[], object]) -> float:
    """The time that the call takes at best, out of three."""
    return min(_timed(call) for _ in range(3))


@pytest.mark.parametrize("depth", [10, 500, 990, 1000, 1020, 2000])
@pytest.mark.parametrize("field", [b"\xa5SeqNo", b"\xa4Node"])
def test_a_field_nested_to_any_depth_is_dropped(depth: int, field: bytes) -> None:
    lone = Lone()
    lone.hear(b"\x00\x81" + field + b"\x91" * depth + b"\x01")
    assert lone.problems() == ["bad_message"]


@pytest.mark.parametrize("depth", [10, 990, 1000, 1020, 2000])
def test_a_record_nested_to_any_depth_ends_the_stream(depth: int) -> None:
    _, exchange = Lone().accept(push_pull_header(1) + b"\x81\xa4Name" + b"\x91" * depth + b"\x01")
    assert exchange.done
    assert exchange.failure


def longest_step(data: bytes) -> float:
    """The longest time that a stream, read in the pieces of a socket, holds up an event loop.

    Without the garbage collector, whose pauses depend on how much else the test process holds.
    """
    gc.collect()
    gc.disable()
    try:
        return _longest_step(data)
    finally:
        gc.enable()


def _longest_step(data: bytes) -> float:
    swim = Lone().swim
    longest = 0.0

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal longest
        start = time.thread_time()
        result = function(*arguments)
        longest = max(longest, time.thread_time() - start)
        swim.take()
        return result

    exchange = swim.accept(PEER, 0.0)
    drive(exchange, 0.0, call)
    for start in range(0, len(data), 65_536):
        call(exchange.received, data[start : start + 65_536], 0.0)
        drive(exchange, 0.0, call)
    return longest


def _timed(call: Callable[[], object]) -> float:
    """The processor's time, which does not count what else this machine does meanwhile."""
    start = time.thread_time()
    call()
    return time.thread_time() - start


STALLS = {
    "empty records": push_pull_header(65_536) + b"\x80" * 65_536,
    "compressed empty records": compress_message(push_pull_header(65_536) + b"\x80" * 65_536),
    "compressed short records": compress_message(push_pull_header(65_536) + b"\x91\xa1x" * 65_536),
    "compressed bomb": compress_message(stream_wire.stream_user_header(19_000_000) + b"x" * 19_000_000),
}


@pytest.mark.parametrize("data", STALLS.values(), ids=STALLS)
def test_no_stream_holds_up_the_event_loop_for_long(data: bytes) -> None:
    assert min(longest_step(data) for _ in range(3)) < 0.05


EMPTY_ARRAYS = (b"\xdc\x04\x00" + b"\x90" * 1024) * 1024
"""A megabyte; each of its bytes takes sixty when it is decoded."""

ENDLESS = {
    "message": b"\x00\x81\xa1x\xdc\x04\x00" + EMPTY_ARRAYS * 8,
    "compressed message": compress_message(b"\x00\x81\xa1x\xdc\x04\x00" + EMPTY_ARRAYS * 8),
    "compress message made of arrays": b"\x09\x82\xa4Algo\x00\xa3Buf\xdc\x04\x00" + EMPTY_ARRAYS * 8,
    "record": push_pull_header(1) + b"\x81\xa1x\xdc\x04\x00" + EMPTY_ARRAYS * 8,
}


@pytest.mark.parametrize("data", ENDLESS.values(), ids=ENDLESS)
def test_a_value_without_end_is_refused_while_it_is_small(data: bytes) -> None:
    exchange = Lone().swim.accept(PEER, 0.0)
    tracemalloc.start()
    serve(exchange, data, 0.0, cut=65_536)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert exchange.failure
    assert peak < 64 * 1024 * 1024


def test_a_packet_full_of_requests_is_answered_within_the_time_of_a_few() -> None:
    request = b"\x01\x94\x01\xa4\x0a\x00\x00\x05\x01\xa0"
    packet = compound([compound([request] * 255)[0]] * 16)[0]
    lone = Lone()
    assert slowest(lambda: lone.hear(packet)) < 0.05
    assert "bad_packet" in lone.problems()
