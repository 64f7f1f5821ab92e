"""A node that a forged statement has driven far above what the others know of it: they ask, and follow it there."""

from __future__ import annotations

import pytest
from support.cluster import Lone, alive

from pydoudou.drivers.memberlist.protocol.admission import MAX_INCARNATION_JUMP
from pydoudou.drivers.memberlist.protocol.message_types import State
from pydoudou.drivers.memberlist.protocol.messages import Alive, Suspect
from pydoudou.drivers.memberlist.protocol.stream_messages import PushPullNode

HOST, ELSEWHERE = "10.0.0.1", "10.0.0.2"


@pytest.fixture
def me() -> Lone:
    """Known to `other`, and driven as far as one statement can."""
    me = Lone(meta=b"mine")
    me.hear(alive("other", host=ELSEWHERE))
    me.hear(alive("me", 1 + MAX_INCARNATION_JUMP, host=HOST, meta=b"forged"))
    me.packets()
    assert me.node("me").incarnation == 2 + MAX_INCARNATION_JUMP
    return me


@pytest.fixture
def other() -> Lone:
    """It has not heard the forged statement."""
    other = Lone(name="other", advertise_host=ELSEWHERE)
    other.hear(alive("me", host=HOST))
    other.packets()
    return other


def refutation(me: Lone) -> Alive:
    """What the node gossips of itself."""
    (found,) = [each for each in me.gossip() if isinstance(each, Alive) and each.node == "me"]
    return found


def ask_and_answer(other: Lone, me: Lone) -> None:
    """Let both hear what the other one has sent."""
    me.hear(*(message for to, message in other.sent() if to[0] == HOST))
    other.hear(*(message for to, message in me.sent() if to[0] == ELSEWHERE))


def test_whoever_does_not_believe_a_statement_asks_and_follows(me: Lone, other: Lone) -> None:
    other.hear(refutation(me))
    assert other.node("me").incarnation == 1
    ask_and_answer(other, me)
    assert (other.node("me").incarnation, other.node("me").meta) == (2 + MAX_INCARNATION_JUMP, b"mine")


def test_a_state_over_a_stream_is_asked_about_as_well(me: Lone, other: Lone) -> None:
    far = refutation(me)
    other.push_pull(PushPullNode("me", far.addr, far.port, far.meta, far.incarnation, State.ALIVE, far.vsn))
    ask_and_answer(other, me)
    assert other.node("me").incarnation == 2 + MAX_INCARNATION_JUMP


def test_asking_costs_the_node_nothing(other: Lone) -> None:
    """It has never moved: the far statement was forged, and only somebody else heard it."""
    me = Lone()
    me.hear(alive("other", host=ELSEWHERE))
    other.hear(alive("me", 2 + MAX_INCARNATION_JUMP, host=HOST))
    ask_and_answer(other, me)
    assert (me.node("me").incarnation, me.swim.health_score) == (1, 0)
    assert (other.node("me").incarnation, other.state("me")) == (1, State.ALIVE)


def test_a_node_is_asked_once_a_second_however_much_is_said_of_it(me: Lone, other: Lone) -> None:
    other.hear(*[refutation(me)] * 5)
    assert len(other.sent(Suspect)) == 1


def test_a_suspicion_of_a_node_that_was_driven_far_is_refuted(me: Lone, other: Lone) -> None:
    other.hear(Suspect(1, "me", "other"))
    me.hear(Suspect(1, "me", "other"))
    ask_and_answer(other, me)
    assert other.state("me") is State.ALIVE
