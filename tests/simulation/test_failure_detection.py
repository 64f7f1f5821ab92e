"""The failure detector is complete and, while the network is no worse than assumed, accurate.

Sizes, times, noise and seeds are hypothesis' choice; a failing run prints them, and they repeat it.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.effort import EFFORT
from support.invariants import Watch, agreed, lan, watched
from support.simulator import Network, Process, Simulation

from pydoudou.drivers.memberlist.protocol import Node, State
from pydoudou.drivers.memberlist.protocol.events import Event, NodeLeft
from pydoudou.drivers.memberlist.protocol.messages import Dead, Suspect

pytestmark = pytest.mark.timeout(400 * EFFORT)
"""A failing example is made smaller for up to five minutes before it is shown."""

PERIOD = 1.0
PUSH_PULL_INTERVAL = 30.0
LEAST_SUSPICION, MOST_SUSPICION = 4.0, 24.0
"""Of up to ten nodes, with the LAN profile."""

seeds = st.integers(0, 2**32)
sizes = st.integers(3, 8)
networks = st.builds(
    Network,
    loss=st.floats(0, 0.1),
    duplication=st.floats(0, 0.2),
    reordering=st.floats(0, 0.2),
    held_up=st.floats(0, 0.3),
    most_latency=st.floats(0.001, 0.05),
)
thorough = settings(
    max_examples=100 * EFFORT,
    deadline=None,
    derandomize=EFFORT == 1,
    phases=[phase for phase in Phase if phase is not Phase.explain],  # tracing makes a simulation ten times as slow
)


def cluster(seed: int, size: int, network: Network) -> tuple[Simulation, Watch]:
    """Nodes that have known each other for a while."""
    simulation, watch = watched(seed, network)
    simulation.form([lan(number) for number in range(size)])
    simulation.run(5.0)
    return simulation, watch


@thorough
@given(
    seeds,
    sizes,
    networks,
    st.lists(st.tuples(st.integers(0, 7), st.floats(0, 2), st.booleans(), st.integers(0, 3)), max_size=20),
)
def test_a_live_and_reachable_node_is_not_declared_dead(
    seed: int, size: int, network: Network, pauses: list[tuple[int, float, bool, int]]
) -> None:
    """Not even if it stands still, or is not heard, for half of the shortest suspicion, and calls to it fail."""
    simulation, watch = cluster(seed, size, network)
    for number, seconds, stands_still, calls in pauses:
        process = simulation.live[number % size]
        (simulation.suspend if stands_still else simulation.mute)(process, seconds)
        for _ in range(calls):
            simulation.run(seconds / calls)
            for caller in simulation.live:
                caller.core.hint(process.name, simulation.now)
                simulation.flush(caller)
        simulation.run(seconds + LEAST_SUSPICION)
    simulation.run(2 * MOST_SUSPICION)
    assert watch.deaths == [], simulation


@thorough
@given(seeds, sizes, networks, st.integers(0, 7))
def test_a_crash_is_known_to_everyone_within_the_bound(seed: int, size: int, network: Network, number: int) -> None:
    """Whoever is the first to probe it does so within 2N - 1 periods; then comes a suspicion that nobody may confirm,
    and gossip.
    """
    simulation, watch = cluster(seed, size, network)
    victim = simulation.live[number % size]
    simulation.crash(victim)
    within = (2 * size - 1) * PERIOD + PERIOD + MOST_SUSPICION + math.log2(size) * PERIOD
    took = simulation.run_until(lambda: agreed(simulation), within)
    assert took is not None, f"not within {within} s: {simulation}"
    assert took >= LEAST_SUSPICION
    assert {death.observer for death in watch.deaths} == {process.name for process in simulation.live}
    assert watch.false_deaths == []


def untroubled(process: Process, node: Node) -> bool:
    record = process.core.record(node.name)
    return record is not None and record.suspicion is None and record.state is State.ALIVE


def no_trace_left(simulation: Simulation) -> bool:
    """Whether nobody suspects anybody, waits for a death, doubts its own health, or has anything to gossip about."""
    return all(
        all(untroubled(process, node) for node in process.core.nodes())
        and process.core.health_score == 0
        and not process.core.queued
        for process in simulation.live
    )


@thorough
@given(
    seeds,
    sizes,
    networks,
    st.integers(0, 7),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=12),
)
def test_a_refuted_suspicion_leaves_no_trace(
    seed: int, size: int, network: Network, number: int, reports: list[tuple[int, int]]
) -> None:
    """Reports out of the blue, by several nodes and heard by several: enough to shorten the timeout.

    Gossip passes by a node now and then. Whoever heard of the suspicion but not of its end hears that when it probes
    the suspect, at the latest; whoever heard of neither hears of the new incarnation with the next push/pull.
    """
    simulation, watch = cluster(seed, size, network)
    suspect = simulation.live[number % size]
    before = suspect.view()[suspect.name][0]
    for reporter, hearer in reports:
        suspicion = Suspect(before, suspect.name, f"node-{reporter % size}")
        simulation.inject(simulation.live[hearer % size], suspicion.encode())
    simulation.run_until(lambda: suspect.view()[suspect.name][0] > before, LEAST_SUSPICION)
    assert suspect.view()[suspect.name][0] > before, f"not refuted: {simulation}"
    simulation.stop_faults()
    within = LEAST_SUSPICION + 2 * size * PERIOD
    took = simulation.run_until(lambda: no_trace_left(simulation), within)
    assert took is not None, f"not within {within} s: {simulation}"
    simulation.run(2 * PUSH_PULL_INTERVAL)
    assert watch.deaths == [], simulation
    assert no_trace_left(simulation), simulation
    assert agreed(simulation), simulation


@thorough
@given(seeds, sizes, networks, st.integers(0, 7), st.integers(0, 7))
def test_a_live_node_that_is_said_to_be_dead_returns(
    seed: int, size: int, network: Network, number: int, hearer: int
) -> None:
    """It hears of its own death, because the recently dead are gossiped to; that takes a second. Gossip passes by a
    node now and then: who did not hear of the return does with the next push/pull, or looks for whom it lost.
    """
    departures: list[str] = []
    simulation, _ = cluster(seed, size, network)
    suspect = simulation.live[number % size]

    def note(process: Process, event: Event) -> None:
        if isinstance(event, NodeLeft):
            assert (event.node.name, event.node.state) == (suspect.name, State.DEAD)
            departures.append(process.name)

    simulation.on_event = note
    slander = Dead(suspect.view()[suspect.name][0], suspect.name, "nobody")
    simulation.inject(simulation.live[hearer % size], slander.encode())
    took = simulation.run_until(lambda: agreed(simulation), 2 * PUSH_PULL_INTERVAL)
    assert took is not None, simulation
    assert departures.count(suspect.name) == 0
