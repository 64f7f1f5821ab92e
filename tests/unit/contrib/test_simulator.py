"""The simulator of balancing: what it simulates is what its figures are taken for."""

from __future__ import annotations

import math
import statistics

import attrs
import pytest

from pydoudou import HealthPolicy
from pydoudou.balancers.calls.hedging import Hedging
from pydoudou.balancers.calls.policy import CallPolicy
from pydoudou.contrib.simulator import CALLERS_POLICY, FAULTS, NO_EJECTION, Fault, Load, Row, Simulation, row, simulate

QUICK = Load(members=4, rate=200.0, seconds=30.0)
# Members that fail stay in: it is the simulator that is tested here.
MOVING = CALLERS_POLICY.change(health=HealthPolicy(most_ejected=0))
ONCE = MOVING.change(attempts=1)
STILL = Fault("still", "everybody stands still now and then", pauses=FAULTS["busy"].pauses)


def run(
    fault: str = "none", balancer: str = "RoundRobin", policy: CallPolicy = ONCE, load: Load = QUICK, seed: int = 1
) -> Simulation:
    simulation = Simulation({**FAULTS, "still": STILL}[fault], balancer, policy, load, seed)
    simulation.run()
    return simulation


def test_as_many_calls_come_as_are_asked_for() -> None:
    expected = QUICK.rate * (QUICK.seconds - QUICK.counted_from)
    assert abs(run().calls - expected) < 4 * math.sqrt(expected)


def test_work_is_log_normal_when_nobody_has_to_wait() -> None:
    found = run(load=Load(members=4, workers=1000, rate=200.0, work=0.05, spread=0.5, seconds=60.0))
    assert statistics.fmean(found.seconds) == pytest.approx(0.05, rel=0.03)
    assert found.p99 == pytest.approx(0.05 * math.exp(2.326 * 0.5 - 0.125), rel=0.06)


def test_who_has_to_wait_waits_as_queueing_theory_says() -> None:
    # Random picks leave each member a Poisson process; one worker and constant work make it an M/D/1 queue, in which
    # the mean wait is rho * work / (2 * (1 - rho)) (Pollaczek and Khinchine).
    load = Load(members=4, workers=1, rate=40.0, work=0.07, spread=0.001, seconds=3000.0)
    found = run(balancer="WeightedRandom", policy=CallPolicy(1), load=load)
    busy = load.rate * load.work / load.members
    assert statistics.fmean(found.seconds) - load.work == pytest.approx(busy * load.work / (2 * (1 - busy)), rel=0.08)


def test_the_same_seed_brings_the_same_calls_and_the_same_work_to_every_balancer_and_fault() -> None:
    one, other, third = run(), run(balancer="SmoothWeighted"), run(seed=2)
    assert one.calls == run("silent").calls == other.calls != third.calls
    assert one.seconds == run().seconds
    assert sorted(one.seconds) == pytest.approx(sorted(other.seconds))


def test_two_members_can_have_a_fault_each() -> None:
    found = run("two", load=Load(members=4, workers=1000, rate=200.0, seconds=30.0))
    # One refuses, which takes a millisecond; as many calls take ten times as long at the other one.
    expected = found.calls * (1 / 4) * (10 / 25)
    assert found.errors == pytest.approx(expected, rel=0.1)
    assert sum(seconds > 0.25 for seconds in found.seconds) == pytest.approx(expected, rel=0.15)


def test_everybody_stands_still_now_and_then() -> None:
    # Every member works on 12.5 pieces of 50 ms at once, and stands still for 1 % of the time. A piece that comes then
    # waits for the rest of the pause, another one that is worked on for all of it; the caller's pauses come on top.
    load = Load(members=4, workers=1000, rate=1000.0, work=0.05, spread=0.001, seconds=300.0)
    calm, busy = (sorted(run(fault, load=load, policy=CallPolicy(1)).seconds) for fault in ("none", "still"))
    assert calm[-1] < 0.06
    late = sum(seconds > 0.06 for seconds in busy) / len(busy)
    assert late == pytest.approx(1 - (1 - (0.2 - 0.01 + 0.05) / 20.2) ** 2, rel=0.25)
    assert 0.25 < busy[-1] < 0.25 * 3


def test_calls_are_due_while_the_caller_stands_still() -> None:
    still, calm = run("still"), run()
    assert still.calls == calm.calls
    assert sorted(still.seconds)[-10] > 0.15


def test_a_row_says_how_much_the_member_with_the_fault_got_while_it_was_there() -> None:
    assert row("RoundRobin", run("slow"), run()).fault_share == pytest.approx(1 / 4, rel=0.01)
    left = run("slow", "LeastLatency", load=attrs.evolve(QUICK, workers=1000))
    assert 0 < left.fault_share < 0.05


def test_a_fault_befalls_one_member_for_a_third_of_the_time() -> None:
    found = run("refusing")
    assert found.errors / found.calls == pytest.approx((1 / 4) * (10 / 25), rel=0.1)
    assert sum(seconds < 0.0011 for seconds in found.seconds) == found.errors


def test_a_member_that_is_silent_costs_the_callers_time() -> None:
    found = run("silent")
    assert max(found.seconds) == pytest.approx(2.0)
    assert found.errors == sum(seconds > 1.99 for seconds in found.seconds) > 100


def test_whoever_waits_for_ever_has_failed_when_the_time_is_over() -> None:
    found = run("silent", policy=CallPolicy(1))
    assert found.errors == sum(seconds > 9.0 for seconds in found.seconds) > 100


def test_a_slow_member_is_ten_times_as_slow() -> None:
    load = Load(members=4, workers=1000, rate=200.0, seconds=30.0)
    slow, calm = run("slow", policy=CallPolicy(1), load=load), run(policy=CallPolicy(1), load=load)
    # A quarter of the calls, for 10 of 25 s.
    ratio = statistics.fmean(slow.seconds) / statistics.fmean(calm.seconds)
    assert ratio == pytest.approx(1 + 9 * (1 / 4) * (10 / 25), rel=0.1)


def test_every_member_fails_one_call_in_a_hundred_at_random() -> None:
    found = run("random", load=Load(members=4, rate=400.0, seconds=120.0))
    assert found.errors / found.calls == pytest.approx(0.01, rel=0.15)


def test_a_call_that_moves_is_two_attempts_and_no_error() -> None:
    # An eighth of the calls: the budget allows a fifth.
    found = run("refusing", policy=MOVING, load=Load(members=8, rate=400.0, seconds=30.0))
    assert found.errors == 0
    assert found.attempts == sum(found.by_member.values()) > found.calls


def test_the_retry_budget_holds_in_virtual_time() -> None:
    # A quarter of the calls would have to move for 10 of 25 s; of each second's 200, a fifth and one more may.
    found = run("refusing", policy=MOVING)
    moved = found.attempts - found.calls
    assert moved <= (0.2 * 200 + 1) * 20
    assert 0 < found.errors < run("refusing").errors / 4


def test_a_hedged_call_takes_the_first_of_two_answers() -> None:
    hedging = CALLERS_POLICY.change(hedge=Hedging(), retry_reserve=10.0, health=NO_EJECTION)
    load = Load(members=10, rate=400.0, seconds=30.0)
    plain = run("slow", policy=hedging.change(hedge=None), load=load)
    hedged = run("slow", policy=hedging, load=load)
    assert statistics.fmean(hedged.seconds) < 0.8 * statistics.fmean(plain.seconds)
    assert hedged.errors == 0
    assert hedged.calls == plain.calls == len(hedged.seconds)
    assert 1.01 < hedged.attempts / hedged.calls < 1.1


def test_a_row_compares_with_the_same_run_without_the_fault() -> None:
    found = simulate("slow", "RoundRobin", ONCE, QUICK)
    assert found.p99_ratio == found.p99 / run().p99
    assert found.error_share == found.errors / found.calls


def test_a_member_that_got_nothing_has_no_ratio_in_json() -> None:
    row = Row("slow", "RoundRobin", 10, 1, 10, 0.1, 1.0, math.inf)
    assert row.to_dict()["share_ratio"] is None
    assert row.to_dict()["error_share"] == 0.1


def test_time_is_told_once_a_second() -> None:
    ticks: list[None] = []
    Simulation(FAULTS["none"], "RoundRobin", ONCE, QUICK, 1).run(lambda: ticks.append(None))
    assert len(ticks) == QUICK.seconds


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"members": 1}, "members is 1; accepted: a whole number from 2", id="one member"),
        pytest.param({"workers": 0}, "workers is 0; accepted: a whole number from 1", id="no worker"),
        pytest.param({"members": 2.5}, "members is 2.5; accepted", id="half a member"),
        pytest.param({"rate": math.nan}, "rate is nan; accepted: a number greater than 0", id="no number"),
        pytest.param({"seconds": True}, "seconds is True; accepted: a number", id="a truth value"),
        pytest.param({"rate": 1e6, "seconds": 1e6}, "1e\\+12 calls; accepted: 10,000,000 at most", id="too many calls"),
    ],
)
def test_a_load_that_cannot_be_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Load(**fields)  # type: ignore[arg-type]


def test_an_unknown_fault_or_balancer_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(
        ValueError, match="fault is 'bored'; accepted: none, slow, cold, refusing, silent, two, busy, random"
    ):
        simulate("bored", "RoundRobin")
    with pytest.raises(ValueError, match="balancer is 'Sticky'; accepted: RoundRobin"):
        simulate("slow", "Sticky")
