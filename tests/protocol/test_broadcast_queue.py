"""The transmit-limited queue: order, room, replacement, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydoudou.drivers.memberlist.protocol.broadcast import BroadcastQueue
from pydoudou.drivers.memberlist.protocol.scaling import retransmit_limit

EVERYTHING = 1 << 20


def queue_of(*messages: bytes) -> BroadcastQueue:
    queue = BroadcastQueue()
    for message in messages:
        queue.queue(message)
    return queue


def take_one(queue: BroadcastQueue, size: int) -> list[bytes]:
    """One message of `size` bytes, if there is one."""
    return queue.take(0, size, 100)


@pytest.mark.upstream("TestMemberlistBroadcast_Invalidates", "TestTransmitLimited_Queue")
def test_a_message_replaces_the_one_of_the_same_name_and_no_other() -> None:
    queue = BroadcastQueue()
    queue.queue(b"old about a", "a")
    queue.queue(b"about b", "b")
    queue.queue(b"new about a", "a")
    assert len(queue) == 2
    assert sorted(queue.take(0, EVERYTHING, 10)) == [b"about b", b"new about a"]


@pytest.mark.upstream("TestMemberlistBroadcast_Message")
def test_a_message_comes_out_as_it_was_put_in() -> None:
    assert queue_of(b"\x04something").take(2, 100, 1) == [b"\x04something"]


def test_messages_without_a_name_replace_nothing() -> None:
    assert queue_of(b"same", b"same").take(0, EVERYTHING, 1) == [b"same", b"same"]


def test_a_replaced_message_is_finished() -> None:
    finished: list[str] = []
    queue = BroadcastQueue()
    queue.queue(b"old", "a", lambda: finished.append("old"))
    queue.queue(b"new", "a", lambda: finished.append("new"))
    assert finished == ["old"]


def test_a_message_is_finished_after_its_last_transmission() -> None:
    finished: list[str] = []
    queue = BroadcastQueue()
    queue.queue(b"x", "a", lambda: finished.append("x"))
    queue.take(0, EVERYTHING, 2)
    assert finished == []
    queue.take(0, EVERYTHING, 2)
    assert finished == ["x"]
    assert not queue


@pytest.mark.upstream("TestLimitedBroadcastLess")
@pytest.mark.parametrize(
    ("first", "second"),
    [([b"sent once"], [b"new"]), ([b"short"], [b"much longer"]), ([b"older"], [b"newer"])],
    ids=["transmissions", "length", "age"],
)
def test_fewest_transmissions_go_first_then_the_longest_then_the_newest(
    first: list[bytes], second: list[bytes]
) -> None:
    queue = queue_of(*first)
    if first == [b"sent once"]:
        queue.take(0, EVERYTHING, 10)
    for message in second:
        queue.queue(message)
    assert queue.take(0, EVERYTHING, 10) == [*second, *first]


@pytest.mark.upstream("TestTransmitLimited_ordering")
def test_the_queue_is_ordered_by_transmissions() -> None:
    queue = BroadcastQueue()
    for name, transmissions in ((b"y", 10), (b"v", 7), (b"u", 4), (b"z", 3), (b"x", 0)):
        queue.queue(name, name)
        for _ in range(transmissions):
            assert queue.take(0, 1, 100) == [name]
    assert queue.take(0, EVERYTHING, 100) == [b"x", b"z", b"u", b"v", b"y"]


@pytest.mark.upstream("TestTransmitLimited_GetBroadcasts")
@pytest.mark.parametrize(("overhead", "fit"), [(2, 4), (3, 3)])
def test_the_overhead_of_each_message_counts_against_the_room(overhead: int, fit: int) -> None:
    queue = queue_of(*(b"%d. this is a test." % number for number in range(1, 5)))
    assert [len(message) for message in queue.take(overhead, 80, 100)] == [18] * fit


def test_a_message_longer_than_the_room_lets_shorter_ones_pass() -> None:
    queue = queue_of(b"x" * 100, b"short")
    assert queue.take(2, 50, 10) == [b"short"]
    assert len(queue) == 2


@pytest.mark.upstream("TestTransmitLimited_GetBroadcasts_Limit")
def test_each_message_is_sent_as_often_as_the_limit_says() -> None:
    limit = retransmit_limit(1, 10)
    assert limit == 2
    queue = queue_of(*(b"%d. this is a test." % number for number in range(1, 5)))
    assert [len(queue.take(3, 80, limit)) for _ in range(4)] == [3, 3, 2, 0]


@pytest.mark.upstream("TestTransmitLimited_Prune")
def test_pruning_drops_the_oldest_and_finishes_them() -> None:
    finished: list[int] = []
    queue = BroadcastQueue()
    for number in range(1, 5):
        queue.queue(b"%d. this is a test." % number, f"n{number}", lambda number=number: finished.append(number))  # type: ignore[misc]
    queue.prune(2)
    assert sorted(finished) == [1, 2]
    assert queue.take(0, EVERYTHING, 1) == [b"4. this is a test.", b"3. this is a test."]


@pytest.mark.upstream("TestRetransmitLimit")
def test_the_number_of_transmissions_grows_with_the_logarithm_of_the_cluster() -> None:
    assert [retransmit_limit(3, nodes) for nodes in (0, 1, 99)] == [0, 3, 6]
    assert [retransmit_limit(4, nodes) for nodes in (2, 10, 100, 1000)] == [4, 8, 12, 16]


@given(
    st.lists(st.binary(min_size=1, max_size=60), max_size=30), st.integers(0, 5), st.integers(0, 200), st.integers(1, 6)
)
def test_no_packet_is_overfull_and_no_message_is_sent_too_often(
    messages: list[bytes], overhead: int, room: int, limit: int
) -> None:
    queue = queue_of(*messages)
    sent: list[bytes] = []
    for _ in range(limit * len(messages) + 1):
        packet = queue.take(overhead, room, limit)
        assert sum(len(message) + overhead for message in packet) <= room
        sent += packet
    fitting = [message for message in messages if len(message) + overhead <= room]
    assert sorted(sent) == sorted(fitting * limit)
    assert len(queue) == len(messages) - len(fitting)
