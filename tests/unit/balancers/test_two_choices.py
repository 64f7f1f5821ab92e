"""Balancers that draw two members and take the better one: what better means, and that nobody starves."""

from __future__ import annotations

import collections
import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from support.virtual_members import VirtualMembers

from pydoudou import LeastLatency, LeastPending, Member, NoMemberAvailable
from pydoudou.balancers.memory.member_record import MemberRecord
from pydoudou.balancers.memory.pick import Pick
from pydoudou.balancers.service_state import state_of
from pydoudou.balancers.two_choices import TwoChoices
from pydoudou.drivers.members import Outcome, Reached

Make = Callable[..., TwoChoices]
BOTH = pytest.mark.parametrize("make", [LeastPending, LeastLatency])


class Timed(VirtualMembers):
    """A registry in virtual time."""

    def __init__(self, *weights: float) -> None:
        self.pings: dict[int, float] = {}
        members = (Member("orders", "10.0.0.1", port, weight=weight) for port, weight in enumerate(weights, 1))
        super().__init__(50.0, *members)

    def round_trip(self, member: Member) -> float | None:
        return self.pings.get(member.port)

    def begin(self, balancer: TwoChoices, port: int) -> Pick:
        """An attempt at this member."""
        return balancer.begin(exclude=[member for member in self.members if member.port != port])

    def teach(self, balancer: TwoChoices, **seconds: float) -> None:
        """Each member (``m1``, ``m2``, …) answers one call in so many seconds, all at the same moment."""
        picks = [(self.begin(balancer, int(name[1:])), taken) for name, taken in seconds.items()]
        self.now += max(seconds.values())
        for pick, taken in picks:
            pick.done(Outcome(pick.member, Reached.ANSWERED, 200, taken, taken, True))
        state_of(self, "orders").in_flight(self.members[0])


def ports(balancer: TwoChoices, count: int = 600) -> collections.Counter[int]:
    return collections.Counter(balancer.pick().port for _ in range(count))


@BOTH
def test_equal_members_get_equal_shares(make: Make) -> None:
    found = ports(make("orders", Timed(1, 1, 1, 1), random=random.Random(1)), 4000)
    assert all(abs(count - 1000) < 150 for count in found.values()), found


@BOTH
def test_the_only_member_is_picked(make: Make) -> None:
    assert ports(make("orders", Timed(1))) == {1: 600}


@BOTH
def test_of_two_members_the_one_with_less_in_flight_is_picked(make: Make) -> None:
    world = Timed(1, 1)
    balancer = make("orders", world)
    held = [world.begin(balancer, 1) for _ in range(2)]
    assert ports(balancer) == {2: 600}
    held += [world.begin(balancer, 2) for _ in range(3)]
    assert ports(balancer) == {1: 600}
    for pick in held:
        pick.cancel()


@BOTH
def test_a_member_of_three_times_the_weight_may_have_three_times_as_many_in_flight(make: Make) -> None:
    world = Timed(3, 1)
    balancer = make("orders", world, random=random.Random(1))
    held = [balancer.begin() for _ in range(40)]
    assert collections.Counter(pick.member.port for pick in held) == {1: 30, 2: 10}


@BOTH
@pytest.mark.parametrize(("weights", "expected"), [((0, 1, 1), {2, 3}), ((0, 0, 0), {1, 2, 3})])
def test_weight_0_takes_no_calls_unless_all_have_it(make: Make, weights: tuple[float, ...], expected: set[int]) -> None:
    assert set(ports(make("orders", Timed(*weights)))) == expected


@BOTH
def test_a_retry_goes_to_a_member_that_was_not_tried(make: Make) -> None:
    world = Timed(1, 1, 1)
    balancer = make("orders", world)
    for _ in range(50):
        assert balancer.pick(exclude=world.members[:2]) == world.members[2]
    with pytest.raises(NoMemberAvailable, match="all are excluded"):
        balancer.pick(exclude=world.members)


def test_the_faster_member_is_picked_and_the_more_in_flight_the_less() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world)
    world.teach(balancer, m1=0.1, m2=0.03)
    held = [balancer.begin() for _ in range(4)]
    assert [pick.member.port for pick in held] == [2, 2, 2, 1]


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 3, 2, 1)])
def test_of_two_bad_members_neither_is_picked_while_there_are_others(weights: tuple[float, ...]) -> None:
    world = Timed(*weights)
    balancer = LeastLatency("orders", world, random=random.Random(1))
    world.teach(balancer, m1=0.005, m2=0.005, m3=0.005, m4=0.005)
    world.now += 1.0
    for _ in range(8):  # one answer raises the average by half at most
        world.teach(balancer, m1=0.005, m2=0.005, m3=0.1, m4=0.005)
    world.begin(balancer, 4).done(Outcome(world.members[3], Reached.UNCONNECTED))
    balancer.begin().cancel()
    found = ports(balancer, 2000)
    assert found[3] + found[4] <= 10
    assert min(found[1], found[2]) > 500


def test_where_all_members_are_slower_than_they_were_each_gets_calls() -> None:
    world = Timed(1, 1, 1, 1)
    balancer = LeastLatency("orders", world, random=random.Random(1))
    world.teach(balancer, m1=0.005, m2=0.005, m3=0.005, m4=0.005)
    world.now += 1.0
    world.teach(balancer, m1=0.5, m2=0.5, m3=0.5, m4=0.5)
    assert min(ports(balancer, 400).values()) > 50


def first_record(world: Timed) -> MemberRecord:
    record = state_of(world, "orders").memory.record(world.members[0])
    assert record is not None
    return record


def test_a_slower_answer_raises_the_average_at_once_and_by_half_of_it_at_most() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world)
    world.teach(balancer, m1=0.05, m2=0.05)
    record = first_record(world)
    world.teach(balancer, m1=0.06)
    assert record.ewma == 0.06
    world.teach(balancer, m1=1.0)
    assert record.ewma == pytest.approx(0.09)
    for _ in range(6):
        world.teach(balancer, m1=1.0)
    assert record.ewma == 1.0


def test_faster_answers_count_little_by_little() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world)
    world.teach(balancer, m1=1.0)
    record = first_record(world)
    world.teach(balancer, m1=0.05)
    assert 0.9 < record.ewma < 1.0
    assert record.cost(world.now + 10.0) == pytest.approx(record.ewma / 2.718281828)
    for _ in range(60):
        world.teach(balancer, m1=0.005)
    assert record.ewma < 0.05


def test_the_first_answer_after_a_while_says_all_there_is_to_say() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world)
    world.teach(balancer, m1=1.0)
    record = first_record(world)
    world.now += 4.0
    world.teach(balancer, m1=0.05)
    assert record.ewma > 0.5
    world.now += 5.0
    world.teach(balancer, m1=0.05)
    assert record.ewma == 0.05
    world.now += 5.0
    world.teach(balancer, m1=1.0)
    assert record.ewma == 1.0


def test_a_failure_counts_for_as_long_however_many_answers_come() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world)
    world.teach(balancer, m1=0.05, m2=0.05)
    record = first_record(world)
    world.begin(balancer, 1).done(Outcome(world.members[0], Reached.UNCONNECTED))
    began = world.now
    for _ in range(100):
        world.teach(balancer, m1=0.05)
        assert record.ewma == pytest.approx(5.0 * math.exp((began - world.now) / 10.0))


def test_a_member_that_failed_is_as_good_as_ever_with_its_first_answer_after_a_while() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world)
    world.teach(balancer, m1=0.05, m2=0.05)
    for _ in range(2):
        world.begin(balancer, 1).done(Outcome(world.members[0], Reached.UNCONNECTED))
        world.now += 6.0
    assert first_record(world).cost(world.now) > 1.0
    world.teach(balancer, m1=0.05)
    assert first_record(world).ewma == 0.05


@BOTH
def test_a_member_that_fails_at_once_attracts_no_calls(make: Make) -> None:
    world = Timed(1, 1, 1)
    balancer = make("orders", world, random=random.Random(2))
    world.teach(balancer, m1=0.05, m2=0.05, m3=0.05)
    pick = world.begin(balancer, 1)
    pick.done(Outcome(pick.member, Reached.UNCONNECTED, seconds=0.001))
    held = [balancer.begin() for _ in range(40)]
    assert collections.Counter(pick.member.port for pick in held)[1] <= 1


@pytest.mark.parametrize(
    ("ping", "others", "expected"), [(0.004, True, 0.004), (None, True, 0.05), (None, False, 0.03)]
)
def test_what_a_member_without_calls_is_held_to_take(ping: float | None, others: bool, expected: float) -> None:
    world = Timed(1, 1, 1)
    balancer = LeastLatency("orders", world)
    balancer.pick()
    if others:
        world.teach(balancer, m1=0.02, m2=0.05, m3=0.3)
    new = Member("orders", "10.0.0.1", 9)
    if ping is not None:
        world.pings[9] = ping
    world.show(*world.members, new)
    balancer.pick()
    record = state_of(world, "orders").memory.record(new)
    assert record is not None
    assert record.cost(world.now) == pytest.approx(expected, rel=0.05)


def call(world: Timed, balancer: TwoChoices, seconds: Callable[[int], float]) -> int:
    pick = balancer.begin()
    taken = seconds(pick.member.port)
    pick.done(Outcome(pick.member, Reached.ANSWERED, 200, taken, taken, True))
    return pick.member.port


def test_a_starved_member_gets_a_call_every_ten_seconds() -> None:
    world = Timed(1, 1, 1)
    balancer = LeastLatency("orders", world, random=random.Random(3))
    calls: list[tuple[float, int]] = []
    for _ in range(6000):
        calls.append((world.now, call(world, balancer, lambda port: 30.0 if port == 1 else 0.01)))
        world.now += 0.02
    times = [now for now, port in calls if port == 1]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) <= 10.1
    assert len(times) <= 14


def test_where_calls_are_rare_only_one_in_ten_goes_to_a_starved_member() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world, random=random.Random(3))
    found = collections.Counter()
    for _ in range(300):
        found[call(world, balancer, lambda port: 60.0 if port == 1 else 0.001)] += 1
        world.now += 11.0
    assert 20 <= found[1] <= 75


def test_times_far_apart_are_no_trouble() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world)
    for step in (0.0, 1e3, 1e5, 1e7):
        world.now += step
        call(world, balancer, lambda port: 0.1)
    assert balancer.pick() in world.members


def test_why_a_member_was_chosen_is_told_in_one_line() -> None:
    world = Timed(1, 1)
    balancer = LeastLatency("orders", world)
    first = balancer.begin()
    assert first.why == "lower latency times calls in flight than another; 0 in flight before, EWMA 30 ms"
    assert balancer.begin(exclude=[first.member]).why.startswith("not tried before; ")


@BOTH
def test_members_that_come_and_go_are_picked_and_forgotten(make: Make) -> None:
    world = Timed(1, 1, 1)
    balancer: Any = make("orders", world)
    for port in range(10, 60):
        world.show(*world.members[1:], attrs.evolve(world.members[0], port=port))
        found = {balancer.begin().member.port for _ in range(30)}
        assert found <= {member.port for member in world.members}
