"""A failed call is a question for the gossip: one probe out of turn, and nothing more than that."""

from __future__ import annotations

import attrs
import pytest
from support.cluster import Lone
from support.invariants import lan
from support.simulator import Process, Simulation

from pydoudou.drivers.memberlist.protocol import State
from pydoudou.drivers.memberlist.protocol.events import Event, NodeSuspected
from pydoudou.drivers.memberlist.protocol.hint import AT_ONCE
from pydoudou.drivers.memberlist.protocol.messages import Ack, Dead, IndirectPing, Ping, Suspect

INTERVAL, TIMEOUT = 1.0, 0.5
"""The LAN profile."""


def resting(*names: str) -> Lone:
    """A node that knows these and whose round robin is far away."""
    lone = Lone(probe_interval=INTERVAL)
    lone.knows(*names)
    return lone


def pings(lone: Lone, name: str, seconds: float, *, answered: bool = False) -> int:
    """How often `name` is pinged by us within so many seconds; the others always answer."""
    count, end = 0, lone.now + seconds
    while lone.now < end:
        lone.run(0.01)
        for _, ping in lone.sent(Ping):
            count += ping.node == name
            if answered or ping.node != name:
                lone.hear_from(ping.node, Ack(ping.seq_no))
    return count


def hinted(lone: Lone) -> int:
    return lone.swim.counters["probes_hinted"]


def test_a_hint_has_the_node_probed_within_a_quarter_of_an_interval() -> None:
    lone = resting(*"abcdefgh")
    lone.swim.hint("c", lone.now)
    assert pings(lone, "c", 0.25 * INTERVAL + 0.02) >= 1
    assert hinted(lone) == 1


def test_it_is_the_ordinary_probe_with_helpers_and_only_its_failure_makes_a_suspect() -> None:
    lone = resting(*"abcdefgh")
    lone.swim.hint("c", lone.now)
    while hinted(lone) == 0:
        lone.run(0.01)
    began = lone.now
    lone.packets()
    helped = 0
    while lone.state("c") is State.ALIVE:
        lone.run(0.01)
        for _, message in lone.sent():
            helped += isinstance(message, IndirectPing) and message.node == "c"
            if isinstance(message, Ping) and message.node != "c":
                lone.hear_from(message.node, Ack(message.seq_no))
    assert lone.now - began == pytest.approx(INTERVAL, abs=0.03)
    assert helped == lone.config.indirect_checks
    assert [event.node.name for event in lone.happened(NodeSuspected)] == ["c"]


def test_a_healthy_node_that_is_hinted_a_thousand_times_is_probed_once_per_interval_and_never_suspected() -> None:
    lone = resting(*"abcdefghijklmnopqrst")
    for _ in range(1000):
        lone.swim.hint("c", lone.now)
        pings(lone, "c", 0.01, answered=True)
    assert 8 <= hinted(lone) <= 10
    assert lone.happened(NodeSuspected) == []
    assert lone.swim.health_score == 0


def test_the_round_robin_goes_on_meanwhile() -> None:
    lone = resting("a", "b")
    lone.swim.hint("a", lone.now)
    pings(lone, "a", 0.3)
    assert hinted(lone) == 1
    assert pings(lone, "b", 3 * INTERVAL) >= 1


def test_who_doubts_its_own_health_asks_nothing() -> None:
    lone = resting("a", "b", "c")
    lone.hear(Suspect(lone.node("me").incarnation, "me", "nobody"))
    assert lone.swim.health_score == 1
    lone.swim.hint("a", lone.now)
    lone.run(0.3)
    assert hinted(lone) == 0


@pytest.mark.parametrize("report", [Suspect(1, "a", "b"), Dead(1, "a", "b"), Dead(1, "a", "a")], ids=str)
def test_a_node_in_trouble_already_is_not_asked_even_if_that_became_known_while_the_probe_waited(
    report: Suspect | Dead,
) -> None:
    lone = resting("a", "b", "c")
    lone.swim.hint("a", lone.now)
    lone.hear(report)
    lone.swim.hint("a", lone.now)
    lone.run(0.3)
    assert hinted(lone) == 0


def test_a_hint_about_ourselves_or_nobody_means_nothing() -> None:
    lone = resting("a")
    for name in ("me", "nobody", ""):
        lone.swim.hint(name, lone.now)
    lone.run(0.3)
    assert hinted(lone) == 0


def test_who_loses_everybody_at_once_does_not_probe_them_all() -> None:
    names = [f"n{number}" for number in range(100)]
    lone = resting(*names)
    for name in names:
        lone.swim.hint(name, lone.now)
    lone.run(0.3)
    assert hinted(lone) <= AT_ONCE
    lone.run(2 * INTERVAL)
    for name in names:
        lone.swim.hint(name, lone.now)
    lone.run(0.3)
    assert hinted(lone) <= AT_ONCE  # by now it doubts itself


def test_a_process_that_stood_still_blames_nobody_for_it() -> None:
    lone = resting("a", "b", "c")
    lone.swim.hint("a", lone.now)
    while hinted(lone) == 0:
        lone.run(0.01)
    lone.now += 10.0
    lone.run(0.01)
    assert lone.state("a") is State.ALIVE
    assert lone.happened(NodeSuspected) == []


# -- round trips -------------------------------------------------------------------------------------------------------


def test_the_round_trips_of_direct_acks_are_smoothed_and_forgotten_when_the_node_comes_back_from_the_dead() -> None:
    lone = resting("a")
    record = lone.swim.record("a")
    assert record is not None
    assert record.round_trip is None
    for wait in (0.08, 0.16):
        ((_, ping),) = lone.until_sent(Ping)
        lone.run(wait)
        lone.hear_from("a", Ack(ping.seq_no))
    assert record.round_trip == pytest.approx(0.08 + (0.16 - 0.08) / 8)
    statement = record.statement()
    lone.hear(Dead(1, "a", "b"), attrs.evolve(statement, incarnation=2))
    assert lone.state("a") is State.ALIVE
    assert record.round_trip is None


# -- in a cluster ------------------------------------------------------------------------------------------------------


def suspected_after(seed: int, size: int, *, hint: bool) -> float:
    """Seconds from a crash until everybody has the crashed node for a suspect; one of them calls it, or does not."""
    told: set[str] = set()

    def hear(process: Process, event: Event) -> None:
        if isinstance(event, NodeSuspected) and event.node.name == victim.name:
            told.add(process.name)

    simulation = Simulation(seed, on_event=hear)
    victim, caller, *_ = simulation.form([lan(number) for number in range(size)])
    simulation.run(5.0 + seed / 10)
    simulation.crash(victim)
    if hint:
        caller.core.hint(victim.name, simulation.now)
        simulation.flush(caller)
    took = simulation.run_until(lambda: len(told) == size - 1, 60.0, every=0.01)
    assert took is not None, simulation
    return took


def test_a_node_that_crashed_is_suspected_sooner_because_somebody_called_it() -> None:
    without, with_it = (sorted(suspected_after(seed, 6, hint=hint) for seed in range(20))[10] for hint in (False, True))
    assert with_it < without - 0.2
    assert with_it < 1.25 * INTERVAL + 0.5


def test_a_thousand_failed_calls_of_a_hundred_callers_are_a_probe_of_each_and_spread() -> None:
    asked: list[float] = []

    def count(process: Process, to: object, datagram: bytes) -> None:
        if to == victim.address and simulation.now >= crashed:
            asked.append(simulation.now)

    crashed = float("inf")
    simulation = Simulation(7, on_packet=count)
    victim, *others = simulation.form([lan(number) for number in range(120)])
    simulation.run(1.0)
    simulation.crash(victim)
    crashed = simulation.now
    for caller in others:
        for _ in range(9):
            caller.core.hint(victim.name, simulation.now)
        simulation.flush(caller)
    simulation.run(0.25 * INTERVAL)
    busiest = max(sum(1 for when in asked if begin <= when < begin + 0.01) for begin in asked)
    assert len(asked) <= 2 * len(others)
    assert busiest < len(others) / 5
