"""A member that has calls and answers none of them, while others answer, is slow before its first answer tells so."""

from __future__ import annotations

import collections
import random
from collections.abc import Callable

import pytest
from support.virtual_members import VirtualMembers

from pydoudou import LeastLatency, Member
from pydoudou.balancers.memory.pick import Pick
from pydoudou.balancers.service_state import state_of
from pydoudou.drivers.members import Outcome, Reached

FAST, SLOWER = 0.005, 0.02
"""What the first member takes, and what the others do: whoever has a call or two in flight is still the better one."""


class World(VirtualMembers):
    """Four members of which the first is the fastest, in virtual time."""

    def __init__(self) -> None:
        super().__init__(50.0, *(Member("orders", "10.0.0.1", port) for port in (1, 2, 3, 4)))
        self.balancer = LeastLatency("orders", self, random=random.Random(1))
        for _ in range(40):
            for port in (1, 2, 3, 4):
                self.call(port, FAST if port == 1 else SLOWER)
        self.now += 1.0
        self.call(1, FAST)  # once a second it is seen what members take

    def begin(self, port: int) -> Pick:
        """An attempt at this member."""
        return self.balancer.begin(exclude=[member for member in self.members if member.port != port])

    def call(self, port: int, seconds: float) -> None:
        """A call to this member, which takes so long."""
        pick = self.begin(port)
        self.now += seconds
        assert pick.answered(200, self.now)
        pick.ended(self.now, True)

    def share(self, port: int = 1) -> float:
        """Of the next calls those that this member would get."""
        state_of(self, "orders").settle(self.now)
        return collections.Counter(self.balancer.pick().port for _ in range(400))[port] / 400


@pytest.fixture
def world() -> World:
    return World()


def test_a_member_that_does_not_answer_while_others_do_gets_no_more_calls(world: World) -> None:
    held = world.begin(1)
    assert world.share() > 0.4
    world.call(2, 0.2)
    assert world.share() == 0.0
    held.cancel()


def test_a_retry_does_not_go_to_a_late_member_either(world: World) -> None:
    held = world.begin(1)
    world.call(2, 0.2)
    for _ in range(50):
        found = [world.balancer.pick(exclude=world.members[3:]) for _ in range(2)]
        assert {member.port for member in found} <= {1, 2, 3}
    share = collections.Counter(world.balancer.pick(exclude=world.members[3:]).port for _ in range(400))[1] / 400
    assert share <= 0.2  # both draws may be the same member
    held.cancel()


def test_it_is_not_late_before_it_takes_far_longer_than_answers_do(world: World) -> None:
    held = world.begin(1)
    world.call(2, 2 * SLOWER)
    assert world.share() > 0.4
    held.cancel()


def test_nobody_is_late_while_nobody_answers(world: World) -> None:
    # This process stood still, or the network did: the answers are there and have not been read.
    held = world.begin(1)
    world.now += 0.5
    assert world.share() > 0.4
    held.cancel()


def test_its_next_answer_says_how_slow_it_is(world: World) -> None:
    held = world.begin(1)
    world.call(2, 0.2)
    assert held.answered(200, world.now)
    held.ended(world.now, True)
    assert world.share() > 0.4  # one answer is not believed: machines stand still for a moment


def test_a_member_that_answers_other_calls_has_one_long_call_and_is_not_late(world: World) -> None:
    held = world.begin(1)
    for _ in range(20):
        world.call(1, FAST)
        world.call(2, SLOWER)
    assert world.share() > 0.4
    held.cancel()


def test_a_member_that_streams_is_not_late(world: World) -> None:
    held = world.begin(1)
    assert held.answered(200, world.now)
    world.call(2, 5.0)
    assert world.share() > 0.3
    held.ended(world.now, True)


@pytest.mark.parametrize(
    "end",
    [
        lambda pick: pick.cancel(),
        lambda pick: pick.done(Outcome(pick.member, Reached.ANSWERED, 200, FAST, FAST, True)),
        lambda pick: pick.done(Outcome(pick.member, Reached.TIMED_OUT, seconds=FAST, callers_time=True)),
    ],
    ids=["cancelled", "told at once", "given up"],
)
def test_a_member_without_calls_is_not_late(world: World, end: Callable[[Pick], None]) -> None:
    end(world.begin(1))
    world.call(2, 0.2)
    assert world.share() > 0.1


def test_those_who_tell_only_the_end_of_calls_know_late_members_as_well(world: World) -> None:
    held, other = world.begin(1), world.begin(2)
    world.now += 0.2
    other.done(Outcome(other.member, Reached.ANSWERED, 200, 0.2, 0.2, True))
    assert world.share() == 0.0
    held.cancel()


def test_an_attempt_that_is_sent_later_is_not_waited_for(world: World) -> None:
    held = world.begin(1)
    held.put_off()
    world.call(2, 0.2)
    assert world.share() > 0.4
    held.cancel()


def test_a_service_that_is_hardly_called_does_not_become_impatient(world: World) -> None:
    world.now += 60.0
    world.call(2, SLOWER)
    world.now += 1.0
    held = world.begin(1)
    world.call(2, 2 * SLOWER)
    assert world.share() > 0.4
    held.cancel()
