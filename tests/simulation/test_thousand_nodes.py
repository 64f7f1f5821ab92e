"""A thousand nodes with LAN settings, held against the bounds of the SWIM paper (Das, Gupta, Motivala, DSN 2002).

All figures are in protocol periods (the probe interval). The paper counts from a failure to the period in which
some member finds out: e/(e-1) = 1.58 are expected, at most 2N-1 with round-robin selection, and dissemination takes
O(log N). A measured time until a suspicion is longer by up to one period, because nodes do not probe in step: the
victim is picked after one period on average, and its death is declared when the prober's period ends, one later.
"""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Callable, Iterator

import pytest
from support.invariants import lan
from support.simulator import Process, Simulation

from pydoudou.drivers.memberlist.protocol import State
from pydoudou.drivers.memberlist.protocol.events import Event, NodeJoined, NodeLeft, NodeSuspected

pytestmark = pytest.mark.timeout(300)

SEED = 20_020_623
NODES = 1000
CRASHES = 10
PERIOD = 1.0
EXPECTED_DETECTION = math.e / (math.e - 1)
DISSEMINATION = math.log2(NODES)
LEAST_SUSPICION = 4 * math.log10(NODES)

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """The cluster. A million objects that live until the end are nothing for the garbage collector to look at."""
    simulation = Simulation(SEED)
    gc.disable()
    simulation.form(lan(number) for number in range(NODES))
    gc.freeze()
    gc.enable()
    simulation.run(2 * PERIOD)
    yield simulation
    simulation.processes.clear()
    gc.unfreeze()


def test_a_join_reaches_everyone_in_logarithmic_time(simulation: Simulation, record_property: Record) -> None:
    heard: dict[str, float] = {}

    def note(process: Process, event: Event) -> None:
        if isinstance(event, NodeJoined) and event.node.name == newcomer != process.name:
            heard.setdefault(process.name, simulation.now - started)

    newcomer, started, there = f"node-{NODES}", simulation.now, len(simulation.live)
    simulation.on_event = note
    simulation.add(lan(NODES), [simulation.live[0].address])
    simulation.run_until(lambda: len(heard) == there, 2 * DISSEMINATION * PERIOD)
    simulation.on_event = None
    others = sorted(time / PERIOD for time in heard.values())
    assert len(others) == there, f"{len(others)} heard of the join: {simulation}"
    record_property(
        "measured",
        f"join, {there} nodes: half knew after {others[len(others) // 2]:.2f} periods, all after {others[-1]:.2f}"
        f" (SWIM: O(log N), log2 N = {DISSEMINATION:.1f}); seed {SEED}",
    )
    assert others[-1] <= DISSEMINATION


def test_a_crash_is_known_to_everyone_within_the_bounds_of_the_paper(
    simulation: Simulation, record_property: Record
) -> None:
    """Ten crashes at once give ten times to average."""
    victims = {process.name: process for process in simulation.live[100 : 100 + CRASHES]}
    suspected: dict[str, float] = {}
    dead: dict[str, list[float]] = {name: [] for name in victims}
    wrong: list[str] = []

    def note(process: Process, event: Event) -> None:
        if isinstance(event, NodeSuspected):
            suspected.setdefault(event.node.name, (simulation.now - started) / PERIOD)
        elif isinstance(event, NodeLeft):
            assert event.node.state is State.DEAD
            if event.node.name in dead:
                dead[event.node.name].append((simulation.now - started) / PERIOD)
            else:
                wrong.append(event.node.name)

    started = simulation.now
    simulation.on_event = note
    for victim in victims.values():
        simulation.crash(victim)
    survivors = len(simulation.live)
    simulation.run_until(lambda: all(len(times) == survivors for times in dead.values()), 100 * PERIOD)
    simulation.on_event = None

    assert {len(times) for times in dead.values()} == {survivors}, simulation
    first = [suspected[name] for name in victims]
    undecided = [min(times) - suspected[name] for name, times in dead.items()]
    spread = [max(times) - min(times) for times in dead.values()]
    last = [max(times) for times in dead.values()]
    record_property(
        "measured",
        f"crash, {survivors} survivors, {CRASHES} victims: suspected after {statistics.fmean(first):.2f} periods on"
        f" average, {max(first):.2f} at most (SWIM: {EXPECTED_DETECTION:.2f} expected, {2 * NODES - 1} at most;"
        " up to 1 more for the decision at the end of the prober's period)",
    )
    record_property(
        "measured",
        f"crash, suspicion until it is first declared dead: {statistics.fmean(undecided):.2f} periods on average"
        f" (Lifeguard: at least {LEAST_SUSPICION:.0f}, at most {6 * LEAST_SUSPICION:.0f})",
    )
    record_property(
        "measured",
        f"crash, declared dead until all know: {statistics.fmean(spread):.2f} periods on average, {max(spread):.2f} at"
        f" most (SWIM: O(log N), log2 N = {DISSEMINATION:.1f}); everybody knew after {max(last):.2f}; seed {SEED}",
    )
    assert statistics.fmean(first) <= EXPECTED_DETECTION + 1 + 3 / math.sqrt(CRASHES), first
    assert max(first) <= 2 * NODES - 1
    assert min(undecided) >= LEAST_SUSPICION - 1e-6
    assert max(undecided) <= LEAST_SUSPICION + DISSEMINATION
    assert max(spread) <= DISSEMINATION
    assert wrong == []
