"""Who gets calls, and how many: ejection, doubt, slow start, panic and zones, in virtual time."""

from __future__ import annotations

import collections
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from support.virtual_members import VirtualMembers

from pydoudou import (
    HealthPolicy,
    LeastLatency,
    LeastPending,
    Member,
    MemberState,
    RoundRobin,
    SmoothWeighted,
    WeightedRandom,
)
from pydoudou.balancers.balancer import ReportingBalancer
from pydoudou.balancers.explaining import explain_service
from pydoudou.balancers.memory.pick import Pick
from pydoudou.balancers.memory.verdict import counted_seconds, counts_against
from pydoudou.balancers.memory.zones import Callers
from pydoudou.balancers.service_state import ServiceState, state_of
from pydoudou.balancers.table_balancer import TableBalancer
from pydoudou.drivers.members import Outcome, Reached

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = pytest.mark.parametrize("make", [RoundRobin, WeightedRandom, SmoothWeighted, LeastPending, LeastLatency])


class World(VirtualMembers):
    """A registry in virtual time, its members, and what they do."""

    def __init__(self, count: int, **fields: Any) -> None:
        self.why = ""
        self.probed: list[Member] = []
        self.given = Callers()
        self.pings: dict[int, float] = {}
        self.random = random.Random(1).random
        ports = range(1, count + 1)
        super().__init__(1000.0, *(Member("orders", "10.0.0.1", port, registered_at=BEGAN, **fields) for port in ports))

    # -- as balancers see it

    def probe(self, member: Member) -> None:
        self.probed.append(member)

    def doubt(self) -> str:
        return self.why

    def round_trip(self, member: Member) -> float | None:
        return self.pings.get(member.port)

    def callers(self) -> Callers:
        return self.given

    # -- as tests change it

    def change(self, port: int, **fields: Any) -> None:
        self.show(*(attrs.evolve(member, **fields) if member.port == port else member for member in self.members))

    @property
    def state(self) -> ServiceState:
        return state_of(self, "orders")

    def counts(self) -> collections.Counter[str]:
        return self.state.memory.health.counts

    def end(self, pick: Pick, status: int = 200, seconds: float = 0.01) -> None:
        pick.done(Outcome(pick.member, Reached.ANSWERED, status, seconds, seconds, True))

    def call(
        self, balancer: ReportingBalancer, bad: Callable[[Member], bool] = lambda member: False, seconds: float = 0.01
    ) -> Member:
        """One call, which a bad member answers with 503."""
        pick = balancer.begin()
        self.now += seconds
        self.end(pick, 503 if bad(pick.member) else 200, seconds)
        return pick.member

    def ports(self, balancer: ReportingBalancer, count: int = 200) -> collections.Counter[int]:
        """Whom good calls go to."""
        return collections.Counter(self.call(balancer).port for _ in range(count))

    def fail(self, balancer: ReportingBalancer, port: int, times: int, status: int = 503) -> None:
        """So many calls to one member fail, as calls do that exclude all others."""
        for _ in range(times):
            pick = balancer.begin(exclude=[member for member in self.members if member.port != port])
            self.now += 0.001
            self.end(pick, status, 0.001)

    def row(self, port: int) -> Any:
        return next(row for row in explain_service(self, self._snapshot).members if row.member.port == port)


@pytest.fixture
def world() -> World:
    return World(4)


@pytest.fixture
def balancer(world: World) -> RoundRobin:
    return RoundRobin("orders", world)


# -- the verdict -------------------------------------------------------------------------------------------------------

SOMEBODY = Member("orders", "10.0.0.1", 1)


@pytest.mark.parametrize(
    ("outcome", "counts", "seconds", "may_lower"),
    [
        (Outcome(SOMEBODY, Reached.UNCONNECTED, seconds=0.001), True, 5.0, True),
        (Outcome(SOMEBODY, Reached.BROKEN, seconds=7.0), True, 7.0, True),
        (Outcome(SOMEBODY, Reached.TIMED_OUT, seconds=0.5), True, 5.0, True),
        (Outcome(SOMEBODY, Reached.TIMED_OUT, seconds=0.5, callers_time=True), False, 0.5, False),
        (Outcome(SOMEBODY, Reached.REFUSED, seconds=0.1), False, 0.1, False),
        (Outcome(SOMEBODY, Reached.ANSWERED, 200, 0.1, 3.0), False, 0.1, True),
        (Outcome(SOMEBODY, Reached.ANSWERED, 404, 0.1, 3.0), False, 0.1, True),
        (Outcome(SOMEBODY, Reached.ANSWERED, 429, 0.1, 3.0), False, 0.1, False),
        (Outcome(SOMEBODY, Reached.ANSWERED, 500, 0.1, 3.0), False, 0.1, False),
        (Outcome(SOMEBODY, Reached.ANSWERED, 502, 0.1, 3.0), True, 5.0, True),
        (Outcome(SOMEBODY, Reached.ANSWERED, 504, 0.1, 3.0, retry_after=60.0), True, 5.0, True),
        (Outcome(SOMEBODY, Reached.ANSWERED, 503, 0.1, 3.0, retry_after=60.0), True, 60.0, True),
        (Outcome(SOMEBODY, Reached.ANSWERED, 503, 0.1, 3.0, retry_after=1e9), True, 300.0, True),
        (Outcome(SOMEBODY, Reached.ANSWERED, 503, 0.1, 3.0, retry_after=0.0), True, 5.0, True),
    ],
    ids=lambda value: (
        f"{value.reached.name}-{value.status}-{value.retry_after}" if isinstance(value, Outcome) else None
    ),
)
def test_what_counts_against_a_member_and_how_long_it_is_held_to_have_taken(
    outcome: Outcome, counts: bool, seconds: float, may_lower: bool
) -> None:
    assert counts_against(outcome) is counts
    assert counted_seconds(outcome) == (seconds, may_lower)


# -- ejection ----------------------------------------------------------------------------------------------------------


@EVERY
def test_a_member_that_fails_five_times_in_a_row_gets_no_more_calls(
    world: World, make: Callable[..., TableBalancer[Any]]
) -> None:
    balancer = make("orders", world, random=random.Random(2))
    world.fail(balancer, 1, 4)
    assert world.row(1).status == "in"
    world.fail(balancer, 1, 1)
    assert world.row(1).status == "ejected"
    assert set(world.ports(balancer, 100)) == {2, 3, 4}
    assert {balancer.pick().port for _ in range(100)} <= {2, 3, 4}


def test_a_success_in_between_begins_the_count_anew(world: World, balancer: RoundRobin) -> None:
    world.fail(balancer, 1, 4)
    world.fail(balancer, 1, 40, status=200)
    world.fail(balancer, 1, 4)
    assert world.row(1).status == "in"


@pytest.mark.parametrize("status", [500, 429, 404])
def test_statuses_that_are_answers_eject_nobody(world: World, balancer: RoundRobin, status: int) -> None:
    world.fail(balancer, 1, 50, status=status)
    assert world.row(1).status == "in"


def test_a_member_of_whose_calls_a_quarter_fail_goes_out(world: World, balancer: RoundRobin) -> None:
    for _ in range(5):
        world.fail(balancer, 1, 3, status=200)
        world.fail(balancer, 1, 1)
        world.now += 0.2
    row = world.row(1)
    assert row.status == "ejected"
    assert "calls failed in 10 s" in row.reason


def test_failures_of_more_than_ten_seconds_ago_are_forgotten(world: World, balancer: RoundRobin) -> None:
    world.fail(balancer, 1, 2)
    world.fail(balancer, 1, 2, status=200)
    world.now += 11.0
    world.fail(balancer, 1, 6, status=200)
    world.fail(balancer, 1, 1)
    assert world.row(1).status == "in"
    assert world.row(1).success_ratio == pytest.approx(6 / 7)


def test_a_member_much_slower_than_three_others_goes_out_after_ten_seconds(world: World, balancer: RoundRobin) -> None:
    def second() -> None:
        for _ in range(4):
            pick = balancer.begin()
            world.end(pick, seconds=0.3 if pick.member.port == 1 else 0.05)
        world.now += 1.0

    for _ in range(10):
        second()
    assert world.row(1).status == "in"
    for _ in range(5):
        second()
    row = world.row(1)
    assert row.status == "ejected"
    assert row.reason.endswith("300 ms on average, where the others take 50 ms")


def test_two_others_are_too_few_to_say_that_a_member_is_slow() -> None:
    world = World(3)
    balancer = RoundRobin("orders", world)
    for _ in range(90):
        pick = balancer.begin()
        world.end(pick, seconds=0.3 if pick.member.port == 1 else 0.05)
        world.now += 0.3
    assert world.row(1).status == "in"


def test_never_more_than_half_are_out_counted_with_the_one_that_is_about_to_go(world: World) -> None:
    balancer = LeastLatency("orders", world, random=random.Random(1))
    for port in (1, 2, 3, 4):
        world.fail(balancer, port, 6)
    assert sum(row.status == "ejected" for row in explain_service(world, world.snapshot("")).members) == 2
    assert world.counts()["ejections_refused"] == 2


@pytest.mark.parametrize(("count", "most", "out"), [(1, 1.0, 0), (2, 0.5, 1), (3, 0.5, 1), (3, 1.0, 2), (3, 0.0, 0)])
def test_how_many_may_be_out_and_the_last_one_never_is(count: int, most: float, out: int) -> None:
    world = World(count)
    balancer = RoundRobin("orders", world)
    balancer.health = HealthPolicy(most_ejected=most)
    for port in range(1, count + 1):
        world.fail(balancer, port, 6)
    assert sum(row.status == "ejected" for row in explain_service(world, world.snapshot("")).members) == out


def outs(world: World, balancer: RoundRobin, times: int) -> list[float]:
    """How long each of so many ejections of one member lasts."""
    found = []
    world.fail(balancer, 1, 5)
    for _ in range(times):
        left = world.row(1).ejected_for
        assert left is not None
        found.append(left)
        world.now += left + 0.001
        assert world.call(balancer, lambda member: member.port == 1).port == 1
    return found


def test_each_ejection_lasts_twice_as_long_as_the_last_up_to_a_limit(world: World, balancer: RoundRobin) -> None:
    longest = [3.0, 6.0, 12.0, 24.0, 48.0, 96.0, 192.0, 300.0, 300.0]
    for seconds, most in zip(outs(world, balancer, 9), longest, strict=True):
        assert most / 2 - 0.1 <= seconds <= most


def test_who_was_well_for_long_is_out_for_less(world: World, balancer: RoundRobin) -> None:
    outs(world, balancer, 3)
    world.now += 50.0
    assert world.call(balancer).port == 1
    assert world.row(1).status == "in"
    world.now += 65.0
    world.fail(balancer, 1, 5)
    assert world.row(1).ejected_for <= 12.0  # four steps, two less


def test_one_call_tries_who_was_out_and_brings_it_back(world: World) -> None:
    balancer = LeastLatency("orders", world, random=random.Random(3))
    world.ports(balancer, 100)
    world.fail(balancer, 1, 5)
    world.now += 3.0
    first, second = balancer.begin(), balancer.begin()
    assert first.member.port == 1
    assert second.member.port != 1
    assert first.why.startswith("tried again")
    world.now += 0.01
    world.end(first)
    world.end(second)
    world.call(balancer)
    assert world.row(1).status == "in"
    others = sorted(world.row(port).ewma for port in (2, 3, 4))
    assert others[0] * 0.5 <= world.row(1).ewma <= others[-1] * 2


def test_calls_that_began_before_the_trial_decide_nothing(world: World, balancer: RoundRobin) -> None:
    old = balancer.begin(exclude=[member for member in world.members if member.port != 1])
    world.fail(balancer, 1, 5)
    world.now += 3.0
    world.end(old)
    world.call(balancer, lambda member: member.port == 1)
    world.call(balancer)
    assert world.row(1).status == "ejected"


def test_a_call_that_was_cancelled_leaves_the_trial_to_the_next(world: World, balancer: RoundRobin) -> None:
    world.fail(balancer, 1, 5)
    world.now += 3.0
    pick = balancer.begin()
    assert pick.member.port == 1
    pick.cancel()
    assert balancer.begin().member.port == 1


def test_a_trial_whose_call_never_ends_goes_to_another_call(world: World, balancer: RoundRobin) -> None:
    world.fail(balancer, 1, 5)
    world.now += 3.0
    hanging = balancer.begin()
    assert hanging.member.port == 1
    assert 1 not in world.ports(balancer, 50)
    world.now += 10.0
    assert balancer.begin().member.port == 1


@EVERY
def test_whoever_only_picks_sees_it_back_in_the_end(world: World, make: Callable[..., TableBalancer[Any]]) -> None:
    world.fail(make("orders", world), 1, 5)
    balancer = make("orders", world, random=random.Random(4))
    assert world.row(1).status == "ejected"
    assert 1 not in {balancer.pick().port for _ in range(100)}
    for _ in range(15):
        world.now += 1.0
        balancer.pick()
    assert world.row(1).status == "on trial"
    if make is not LeastLatency:  # to which it looks slow until calls end
        assert 1 in {balancer.pick().port for _ in range(100)}


@pytest.mark.parametrize("event", ["registered anew", "no suspect any more"])
def test_news_of_the_member_end_its_ejection_with_one_call(world: World, balancer: RoundRobin, event: str) -> None:
    world.fail(balancer, 1, 5)
    if event == "registered anew":
        world.change(1, registered_at=BEGAN + timedelta(hours=1))
    else:
        world.change(1, state=MemberState.SUSPECT)
        world.call(balancer)
        world.change(1, state=MemberState.ALIVE)
    balancer.pick()
    assert balancer.begin().member.port == 1


def test_a_retry_goes_to_a_member_that_is_out_when_all_others_were_tried(world: World, balancer: RoundRobin) -> None:
    world.fail(balancer, 1, 5)
    assert balancer.pick(exclude=world.members[1:]).port == 1


# -- doubt -------------------------------------------------------------------------------------------------------------


def test_a_process_in_doubt_about_itself_ejects_nobody_and_says_why(world: World, balancer: RoundRobin) -> None:
    world.call(balancer)
    world.why = "the event loop is late"
    world.fail(balancer, 1, 20)
    assert world.row(1).status == "in"
    assert explain_service(world, world.snapshot("")).doubt == "the event loop is late"
    assert world.counts()["failures_in_doubt"] == 20
    world.why = ""
    world.fail(balancer, 1, 3)
    assert world.row(1).status == "in"
    world.fail(balancer, 1, 2)
    assert world.row(1).status == "ejected"


def test_a_timeout_that_fires_late_is_doubt_for_ten_seconds(world: World, balancer: RoundRobin) -> None:
    pick = balancer.begin()
    pick.answer_limit = 0.5
    world.now += 0.7
    pick.done(Outcome(pick.member, Reached.TIMED_OUT, seconds=0.7))
    world.fail(balancer, 1, 20)
    assert world.row(1).status == "in"
    world.now += 11.0
    world.fail(balancer, 1, 5)
    assert world.row(1).status == "ejected"


def test_a_failed_call_has_the_member_probed_unless_in_doubt(world: World, balancer: RoundRobin) -> None:
    def fail(reached: Reached, **fields: Any) -> None:
        pick = balancer.begin(exclude=world.members[1:])
        pick.done(Outcome(pick.member, reached, **fields))

    fail(Reached.BROKEN)
    fail(Reached.TIMED_OUT, callers_time=True)
    assert not world.probed
    fail(Reached.UNCONNECTED)
    fail(Reached.TIMED_OUT)
    assert [member.port for member in world.probed] == [1, 1]
    world.why = "late"
    fail(Reached.UNCONNECTED)
    assert len(world.probed) == 2


# -- slow start, panic, zones ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [RoundRobin, WeightedRandom, SmoothWeighted, LeastPending])
def test_a_new_member_comes_to_its_share_in_thirty_seconds(make: Callable[..., TableBalancer[Any]]) -> None:
    world = World(4)
    balancer = make("orders", world, random=random.Random(5))
    world.call(balancer)
    world.now += 60.0
    world.show(*world.members, Member("orders", "10.0.0.1", 5))
    shares = []
    for age in (0.0, 15.0, 15.0):
        world.now += age
        world.row(5)  # what has ended is counted
        # In no time: how many go there at this age.
        ports = collections.Counter(balancer.pick().port for _ in range(4000))
        shares.append(ports[5] / 4000 * 5)
    assert shares[0] == pytest.approx(0.1, abs=0.06)
    assert shares[1] == pytest.approx(0.55, abs=0.1)
    assert shares[2] == pytest.approx(1.0, abs=0.15)


def test_members_that_were_there_when_the_process_began_are_not_new(world: World, balancer: RoundRobin) -> None:
    world.call(balancer)
    world.now += 5.0
    world.show(*world.members, Member("orders", "10.0.0.1", 5))
    assert world.ports(balancer, 100)[5] == 20


def test_where_half_of_the_members_are_new_all_get_their_share(world: World, balancer: RoundRobin) -> None:
    world.call(balancer)
    world.now += 60.0
    world.show(*world.members, *(Member("orders", "10.0.0.1", port) for port in (5, 6, 7, 8)))
    assert world.ports(balancer, 800) == dict.fromkeys(range(1, 9), 100)


def test_with_too_few_left_all_get_calls_but_those_that_refuse_connections(world: World, balancer: RoundRobin) -> None:
    world.fail(balancer, 1, 5)
    for _ in range(5):
        pick = balancer.begin(exclude=[member for member in world.members if member.port != 2])
        pick.done(Outcome(pick.member, Reached.UNCONNECTED))
    assert set(world.ports(balancer, 40)) == {3, 4}
    world.show(*world.members[:3])
    assert set(collections.Counter(balancer.pick().port for _ in range(40))) == {1, 3}
    assert "too few members" in explain_service(world, world.snapshot("")).call


def zoned(**zones: str) -> World:
    world = World(len(zones))
    world.show(*(attrs.evolve(m, data={"zone": zone}) for m, zone in zip(world.members, zones.values(), strict=True)))
    return world


@EVERY
def test_calls_stay_in_a_zone_that_has_members_enough(make: Callable[..., TableBalancer[Any]]) -> None:
    world = zoned(one="a", two="a", three="b", four="b")
    world.given = Callers("a", {"a": 1, "b": 1})
    balancer = make("orders", world)
    assert set(world.ports(balancer, 100)) == {1, 2}
    assert balancer.pick(exclude=world.members[:2]).port in {3, 4}


def test_what_a_small_zone_cannot_take_goes_to_those_with_members_to_spare() -> None:
    world = zoned(one="a", two="b", three="b", four="c")
    world.given = Callers("a", {"a": 2, "b": 1, "c": 1})
    ports = world.ports(WeightedRandom("orders", world, random=random.Random(6)), 4000)
    assert ports[1] / 4000 == pytest.approx(0.5, abs=0.03)
    assert (ports[2] + ports[3]) / 4000 == pytest.approx(0.5, abs=0.03)
    assert ports[4] == 0


def test_a_small_change_of_the_callers_moves_nobody() -> None:
    world = zoned(one="a", two="b")
    world.given = Callers("a", {"a": 60, "b": 40})
    balancer = RoundRobin("orders", world)
    world.call(balancer)
    local = world.state.memory.health.zones
    assert local is not None
    world.given = Callers("a", {"a": 63, "b": 37})
    world.now += 11.0
    world.call(balancer)
    world.call(balancer)
    again = world.state.memory.health.zones
    assert again is not None
    assert again.local == local.local == pytest.approx(0.5 / 0.6)


@pytest.mark.parametrize("callers", [Callers(), Callers("a", {}), Callers("c", {"c": 1})], ids=["none", "a", "c"])
def test_without_callers_or_members_in_the_zone_all_are_called(callers: Callers) -> None:
    world = zoned(one="a", two="b")
    world.given = callers
    assert set(world.ports(RoundRobin("orders", world), 40)) == {1, 2}


# -- dry runs, switches, and bounds ------------------------------------------------------------------------------------


def test_a_dry_run_counts_what_it_would_have_done_and_leaves_the_calls_alone(world: World) -> None:
    balancer = RoundRobin("orders", world)
    balancer.health = HealthPolicy(dry_run={"consecutive", "success_ratio"})
    for _ in range(400):
        world.call(balancer, lambda member: member.port == 1)
    found = explain_service(world, world.snapshot(""))
    assert found.counters["dry_run_ejections_consecutive"] == 1
    assert found.counters["dry_run_probes_failed"] >= 1 or world.row(1).reason.startswith("would be ejected")
    assert not any(name.startswith("ejections") for name in found.counters)
    assert world.ports(balancer, 40)[1] == 10


@pytest.mark.parametrize("off", [{"consecutive": None, "success_ratio": None}, {"most_ejected": 0.0}])
def test_a_rule_that_is_switched_off_does_nothing(world: World, balancer: RoundRobin, off: dict[str, Any]) -> None:
    balancer.health = HealthPolicy(**off)
    world.fail(balancer, 1, 50)
    assert world.row(1).status == "in"


def much_slower(world: World, balancer: RoundRobin, seconds: int = 15) -> None:
    """One member takes six times as long as the others for so many seconds."""
    for _ in range(seconds):
        for _ in world.members:
            pick = balancer.begin()
            world.end(pick, seconds=0.3 if pick.member.port == 1 else 0.05)
        world.now += 1.0
    world.row(1)


def fails_in_a_row(world: World, balancer: RoundRobin) -> None:
    world.fail(balancer, 1, 5)


def fails_too_often(world: World, balancer: RoundRobin) -> None:
    for _ in range(5):
        world.fail(balancer, 1, 3, status=200)
        world.fail(balancer, 1, 1)


EJECTING = {"consecutive": fails_in_a_row, "success_ratio": fails_too_often, "slow_factor": much_slower}
TAKEN_OUT = pytest.mark.parametrize("rule", EJECTING)


@TAKEN_OUT
@pytest.mark.parametrize("how", ["off", "dry run", "nobody may be out"])
def test_a_rule_that_is_switched_off_lets_go_of_whom_it_took_out(
    world: World, balancer: RoundRobin, rule: str, how: str
) -> None:
    EJECTING[rule](world, balancer)
    assert world.row(1).status == "ejected"
    changes: dict[str, dict[str, Any]] = {
        "off": {rule: None},
        "dry run": {"dry_run": {rule}},
        "nobody may be out": {"most_ejected": 0.0},
    }
    balancer.health = balancer.health.change(**changes[how])
    assert world.row(1).status == "in"
    assert world.ports(balancer, 40)[1] == 10
    EJECTING[rule](world, balancer)
    assert world.row(1).status == "in"


@TAKEN_OUT
@pytest.mark.parametrize("off", ["off", "dry run"])
def test_a_rule_that_is_switched_on_takes_out_whom_it_has_to(
    world: World, balancer: RoundRobin, rule: str, off: str
) -> None:
    only = HealthPolicy().change(**{other: None for other in EJECTING if other != rule})
    balancer.health = only.change(**({rule: None} if off == "off" else {"dry_run": {rule}}))
    EJECTING[rule](world, balancer)
    assert world.row(1).status == "in"
    balancer.health = only
    assert not world.row(1).reason
    world.now += 15.0
    EJECTING[rule](world, balancer)
    assert world.row(1).status == "ejected"


@TAKEN_OUT
def test_a_change_of_other_rules_leaves_out_who_is_out(world: World, balancer: RoundRobin, rule: str) -> None:
    EJECTING[rule](world, balancer)
    others: dict[str, Any] = {name: None for name in EJECTING if name != rule}
    balancer.health = balancer.health.change(**others, panic=None, zone=False, slow_start=None)
    assert world.row(1).status == "ejected"


def test_a_change_of_other_rules_does_not_begin_the_seconds_of_a_slow_member_anew(
    world: World, balancer: RoundRobin
) -> None:
    much_slower(world, balancer, 9)
    balancer.health = balancer.health.change(zone=False)
    much_slower(world, balancer, 4)
    assert world.row(1).status == "ejected"


def test_another_factor_holds_for_the_next_answer(world: World, balancer: RoundRobin) -> None:
    balancer.health = HealthPolicy(slow_factor=100.0)
    much_slower(world, balancer)
    balancer.health = HealthPolicy(slow_factor=2.0)
    much_slower(world, balancer, 12)
    assert world.row(1).status == "ejected"


def test_other_times_hold_for_who_is_out_already(world: World, balancer: RoundRobin) -> None:
    balancer.health = HealthPolicy(ejected_for=100.0)
    fails_in_a_row(world, balancer)
    assert world.row(1).ejected_for > 40.0
    balancer.health = HealthPolicy(ejected_at_most=5.0)
    assert world.row(1).ejected_for <= 5.0
    world.now += 5.0
    assert world.call(balancer).port == 1


def test_with_fewer_that_may_be_out_the_next_to_come_back_is_back() -> None:
    world = World(8)
    balancer = RoundRobin("orders", world)
    for port in (1, 2, 3):
        world.fail(balancer, port, 5)
        world.now += 0.001
    times = {port: world.row(port).ejected_for for port in (1, 2, 3)}
    balancer.health = balancer.health.change(most_ejected=0.3)
    assert {port for port in times if world.row(port).status == "in"} == {min(times, key=times.__getitem__)}
    balancer.health = balancer.health.change(most_ejected=0.5)
    for port in (1, 2, 3, 4):
        world.fail(balancer, port, 5)
    assert all(world.row(port).status == "ejected" for port in (1, 2, 3, 4))


def test_an_equal_policy_changes_nothing(world: World, balancer: RoundRobin) -> None:
    world.call(balancer)
    epoch = world.state.memory.epoch
    balancer.health = HealthPolicy()
    assert world.state.memory.epoch == epoch


def test_without_slow_start_a_new_member_has_its_share_at_once(world: World, balancer: RoundRobin) -> None:
    world.call(balancer)
    world.now += 60.0
    world.show(*world.members, Member("orders", "10.0.0.1", 5))
    assert world.ports(balancer, 20)[5] < 3
    for switched in (HealthPolicy(slow_start=None), HealthPolicy(slow_start_least=1.0)):
        balancer.health = switched
        assert world.ports(balancer, 100)[5] == 20
        assert math.isinf(world.state.memory.due) or switched.slow_start is not None
        balancer.health = HealthPolicy()
        assert world.ports(balancer, 20)[5] < 4


def test_without_panic_only_those_who_are_not_out_get_calls(world: World, balancer: RoundRobin) -> None:
    fails_in_a_row(world, balancer)
    world.fail(balancer, 2, 5)
    world.show(*world.members[:3])
    assert set(collections.Counter(balancer.pick().port for _ in range(40))) == {1, 2, 3}
    balancer.health = HealthPolicy(panic=None)
    assert set(collections.Counter(balancer.pick().port for _ in range(40))) == {3}
    balancer.health = HealthPolicy()
    assert set(collections.Counter(balancer.pick().port for _ in range(40))) == {1, 2, 3}


def test_without_zones_all_are_called() -> None:
    world = zoned(one="a", two="a", three="b", four="b")
    world.given = Callers("a", {"a": 1, "b": 1})
    balancer = RoundRobin("orders", world)
    assert set(world.ports(balancer, 40)) == {1, 2}
    balancer.health = HealthPolicy(zone=False)
    assert set(world.ports(balancer, 40)) == {1, 2, 3, 4}
    balancer.health = HealthPolicy()
    assert set(world.ports(balancer, 40)) == {1, 2}


def test_nothing_grows_over_many_calls_and_changes_of_members() -> None:
    world = World(20)
    balancer = LeastLatency("orders", world, random=random.Random(7))
    chance = random.Random(8)
    sizes = []
    for change in range(1000):
        port = 100 + change
        world.show(*world.members[1:], Member("orders", "10.0.0.1", port))
        for _ in range(100):
            world.call(balancer, lambda member: chance.random() < 0.1 + 0.9 * (member.port % 7 == 0))
        memory = world.state.memory
        health = memory.health
        sizes.append(
            len(memory) + len(memory.loads) + len(health.ejections.out) + len(health.ejections.trials)
            + len(health.tried_out.out) + len(health.young) + len(memory.loads.punished)
        )  # fmt: skip
        world.now += 1.0
    assert world.counts()["returns"] > 100
    assert max(sizes[500:]) <= 1.1 * max(sizes[300:500])
    world.now += 400.0
    world.show(*world.members)
    world.call(balancer)
    assert len(memory) == 20
    assert not [out for out in health.ejections.out if not out.present]
    assert math.isinf(health.tried_out.due)
