"""What strangers compress, or pack into one datagram, does not keep a node from answering."""

from __future__ import annotations

import random

from support.cluster import Lone, alive

from pydoudou.drivers.memberlist.protocol.messages import USER_HEAD, Ack, Ping
from pydoudou.drivers.memberlist.protocol.packet import compound, compressed
from pydoudou.drivers.memberlist.protocol.work_budget import ALL_BYTES_PER_SECOND, STRANGERS_BYTES_PER_SECOND

DENSE = compressed(USER_HEAD + random.Random(1).randbytes(20_000))
MEMBER = ("10.0.3.1", 7946)


def inflated(lone: Lone, count: int, source: tuple[str, int]) -> int:
    """How many of so many compressed messages of a source are read."""
    before = lone.swim.counters["work_refused"]
    lone.hear(*[DENSE] * count, source=source)
    return count - (lone.swim.counters["work_refused"] - before)


def knowing_a_member() -> Lone:
    lone = Lone()
    lone.hear(alive("a", host=MEMBER[0]))
    return lone


def test_strangers_together_have_a_budget_that_fills_up_with_time() -> None:
    lone = Lone()
    saved = sum(inflated(lone, 1, (f"10.7.{number}.1", 4000)) for number in range(100))
    assert saved == 2 * STRANGERS_BYTES_PER_SECOND // len(DENSE)
    lone.run(1.0)
    assert 0 < inflated(lone, 100, ("10.7.0.1", 4000)) <= STRANGERS_BYTES_PER_SECOND // len(DENSE) + 1


def test_members_have_another_one() -> None:
    lone = knowing_a_member()
    inflated(lone, 100, ("10.7.0.1", 4000))
    assert inflated(lone, 10, MEMBER) == 10


def test_that_is_bounded_too_because_sources_can_be_forged() -> None:
    lone = knowing_a_member()
    assert inflated(lone, 200, MEMBER) == 2 * ALL_BYTES_PER_SECOND // len(DENSE)


def test_datagrams_full_of_questions_use_up_the_same_budget() -> None:
    lone = Lone()
    (full,) = compound([Ping(1, "me").encode()] * 200)
    lone.hear(*[full] * 1000)
    assert lone.swim.counters["work_refused"] > 800
    lone.packets()
    lone.hear(compound([Ping(7, "me").encode()] * 20)[0])
    assert len(lone.sent(Ack)) == 20


def test_what_is_not_compressed_is_answered_meanwhile() -> None:
    lone = Lone()
    inflated(lone, 100, ("10.7.0.1", 4000))
    lone.packets()
    lone.hear(Ping(7, "me"))
    assert [ack for _, ack in lone.sent(Ack)] == [Ack(7)]


def test_ordinary_compressed_gossip_of_a_stranger_is_read() -> None:
    lone = Lone()
    for number in range(50):
        lone.hear(compressed(alive(f"n{number}").encode()))
        lone.run(0.05)
    assert lone.swim.counters["work_refused"] == 0
    assert lone.swim.known == 51
