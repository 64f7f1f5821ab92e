"""Who may hold connections to a node, how many, and how much memory all of them together."""

from __future__ import annotations

import tracemalloc

import pytest
from support.cluster import Lone, World, alive
from support.streams import drive, serve

from pydoudou.drivers.memberlist.protocol import Hooks, Keyring
from pydoudou.drivers.memberlist.protocol.events import RemoteState, UserMessage
from pydoudou.drivers.memberlist.protocol.messages import Ack, Ping
from pydoudou.drivers.memberlist.protocol.packet import compressed
from pydoudou.drivers.memberlist.protocol.stream_exchange import StreamExchange
from pydoudou.drivers.memberlist.protocol.stream_limits import MAX_STREAMS, MAX_STREAMS_PER_SOURCE
from pydoudou.drivers.memberlist.protocol.stream_messages import PushPullHeader, stream_user_header

MB = 1024 * 1024
MEMBER = "10.0.9.1"


def connect(lone: Lone, host: str = "10.0.0.9", data: bytes = b"") -> StreamExchange:
    """A peer dials and writes `data`, in the pieces of a socket."""
    exchange = lone.swim.accept((host, 4000), lone.now)
    serve(exchange, data, lone.now, cut=65_536)
    return exchange


def knowing_a_member(**changes: object) -> Lone:
    lone = Lone(**changes)
    lone.hear(alive("member", host=MEMBER))
    return lone


def unfinished_user_message(size: int) -> bytes:
    return stream_user_header(size + 1) + bytes(size)


# -- places ------------------------------------------------------------------------------------------------------------


def test_one_source_gets_so_many_places_and_gets_them_back() -> None:
    lone = Lone()
    held = [connect(lone) for _ in range(MAX_STREAMS_PER_SOURCE)]
    refused = connect(lone)
    assert refused.failure.startswith("too many connections")
    assert lone.problems() == ["too_many_connections"]
    held[0].abort("connection broken", lone.now)
    assert not connect(lone).done


def test_strangers_leave_places_for_members() -> None:
    lone = knowing_a_member()
    strangers = [connect(lone, f"10.7.{number}.1") for number in range(MAX_STREAMS)]
    taken = sum(not exchange.done for exchange in strangers)
    assert taken == round(MAX_STREAMS * 2 / 3 + 0.5)
    assert not connect(lone, MEMBER).done


def test_a_ping_of_a_member_is_answered_while_strangers_hold_all_that_they_may() -> None:
    lone = knowing_a_member()
    for number in range(MAX_STREAMS):
        connect(lone, f"10.7.{number}.1")
    exchange = lone.swim.accept((MEMBER, 4000), lone.now)
    assert serve(exchange, Ping(5, "me").encode(), lone.now) == Ack(5).encode()


# -- bytes -------------------------------------------------------------------------------------------------------------


def test_all_connections_together_may_only_hold_so_many_bytes() -> None:
    """Each announces an encrypted state and sends a part of it."""
    lone = Lone(keyring=Keyring([bytes(16)]), max_held_bytes=600_000)
    part = b"\x0a" + (1 << 20).to_bytes(4, "big") + bytes(90_000)
    first, second, third = (connect(lone, f"10.7.{number}.1", part) for number in range(3))
    assert [first.done, second.done, third.failure] == [False, False, "too much is being read already"]
    assert lone.problems() == ["streams_full"]
    first.abort("connection broken", lone.now)
    assert not connect(lone, data=part).done


def test_strangers_leave_bytes_for_members() -> None:
    lone = knowing_a_member(max_held_bytes=1_200_000)
    held = [connect(lone, f"10.7.{number}.1", unfinished_user_message(90_000)) for number in range(5)]
    assert [exchange.done for exchange in held] == [False, False, False, False, True]
    assert not connect(lone, MEMBER, unfinished_user_message(90_000)).done


def test_a_member_that_sends_much_is_bounded_too() -> None:
    lone = knowing_a_member(max_held_bytes=300_000)
    assert connect(lone, MEMBER, unfinished_user_message(310_000)).failure == "too much is being read already"


def test_what_is_inflated_counts_and_not_what_came() -> None:
    lone = Lone(max_held_bytes=3 * MB)
    data = compressed(unfinished_user_message(4 * MB))
    assert len(data) < 100_000
    assert connect(lone, data=data).failure == "too much is being read already"


def test_decoded_records_count_as_what_they_take_in_memory() -> None:
    """A record of one byte becomes an object of some hundred."""
    lone = Lone(max_held_bytes=3 * MB)
    assert connect(lone, data=PushPullHeader(60_000, 0, False).encode() + b"\x80" * 50_000).done


@pytest.mark.parametrize(
    "data",
    [b"\x06", b"\x00\x81", b"\x09\x82\xa4Algo", PushPullHeader(1, 0, False).encode()],
    ids=["one byte", "ping", "compressed", "state"],
)
def test_the_decoder_of_an_unfinished_message_counts(data: bytes) -> None:
    lone = Lone()
    tracemalloc.start()
    held = [connect(lone, f"10.7.{number}.1", data) for number in range(50)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not any(exchange.done for exchange in held)
    besides = 13_000 * len(held)  # what every connection takes
    assert taken - besides < lone.swim.gauges["stream_bytes_held"] < taken


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
def test_user_data_on_their_way_need_no_decoder(compress: bool) -> None:
    lone = Lone(hooks=Hooks(user_data=False))
    data = stream_user_header(300_000) + bytes(200_000)
    sent = compressed(data) if compress else data
    connect(lone, "10.7.0.1", sent)
    tracemalloc.start()
    held = [connect(lone, f"10.7.{number}.1", sent) for number in range(1, 21)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not any(exchange.done for exchange in held)
    assert lone.swim.gauges["stream_bytes_held"] == 0
    assert taken < 13_000 * len(held)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    "data",
    [
        unfinished_user_message(2 * MB),
        PushPullHeader(65_536, 0, False).encode() + b"\x80" * 5_000,
        b"\x00\x81\xa4Node\xdc\x04\x00" + (b"\xdc\x04\x00" + b"\x90" * 1024) * 30,
        b"\x00\x81\xa4Node" + b"\xdc\x04\x00" * 400,
    ],
    ids=["user message", "empty records", "empty arrays", "nested arrays"],
)
def test_whatever_strangers_write_all_of_it_together_takes_no_more_than_it_may(data: bytes, compress: bool) -> None:
    lone = Lone(max_held_bytes=9 * MB)
    sent = compressed(data) if compress else data
    tracemalloc.start()
    held = [connect(lone, f"10.7.{number}.1", sent) for number in range(10)]
    taken, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert any(exchange.done for exchange in held)
    assert taken < 4 * MB
    assert peak < 9 * MB


def test_what_we_dial_has_a_room_of_its_own() -> None:
    lone = Lone(max_held_bytes=300_000)
    for number in range(3):
        connect(lone, f"10.7.{number}.1", unfinished_user_message(90_000))
    lone.swim.join((MEMBER, 7946), lone.now)
    (dialled,) = lone.streams()
    drive(dialled, lone.now)
    serve(dialled, unfinished_user_message(90_000), lone.now)
    assert not dialled.done
    serve(dialled, bytes(310_000), lone.now)
    assert dialled.failure


def test_nothing_is_kept_of_exchanges_that_are_over() -> None:
    world = World()
    me, peer = world.start("me", "peer")
    for _ in range(5):
        assert world.join("me", "peer") == ""
    world.off("peer")
    assert world.join("me", "peer") != ""
    for swim in (me, peer):
        assert (swim.gauges["streams_open"], swim.gauges["stream_bytes_held"]) == (0, 0)


# -- what nobody wants -------------------------------------------------------------------------------------------------


def test_user_data_that_nobody_wants_are_dropped_while_they_come_in() -> None:
    lone = Lone(hooks=Hooks(user_data=False), max_held_bytes=300_000)
    state = PushPullHeader(0, 1_000_000, False).encode() + bytes(1_000_000)
    for data in (unfinished_user_message(1_000_000) + b"!", state):
        assert connect(lone, data=data).failure == ""
    lone.hear(b"\x08news")
    assert [event for event in lone.events() if isinstance(event, UserMessage | RemoteState)] == []
