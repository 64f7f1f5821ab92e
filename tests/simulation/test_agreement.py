"""No two live nodes disagree for ever once the faults stop, whatever happened before.

Hypothesis plays the operator's bad week: it crashes, restarts, stops and cuts off nodes of a small cluster in any
order, for as long as it likes. Longest of all are partitions after which each side has forgotten the other.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from support.effort import EFFORT
from support.invariants import agreed, lan, watched
from support.simulator import Network, Process

from pydoudou.drivers.memberlist.protocol import Dialect

pytestmark = pytest.mark.timeout(400 * EFFORT)
"""A failing example is made smaller for up to five minutes before it is shown."""

AGREE_WITHIN = 10 * 30.0
"""Ten push/pull intervals; the worst case is a single failed member that seven others look for by turns."""
STAY_AGREED = 60.0

nodes = st.integers(0, 7)
probabilities = st.floats(0, 0.3)


class BadWeek(RuleBasedStateMachine):
    """A cluster of three to eight nodes; the first two are everybody's seeds."""

    @initialize(seed=st.integers(0, 2**32), size=st.integers(3, 8), dialect=st.sampled_from(Dialect))
    def start(self, seed: int, size: int, dialect: Dialect) -> None:
        self.simulation, self.watch = watched(seed)
        configs = [lan(number, dialect) for number in range(size)]
        seeds = [(config.advertise_host, config.advertise_port) for config in configs[:2]]
        self.processes = [self.simulation.add(config, seeds) for config in configs]
        self.lives = 0

    def _pick(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    @rule(seconds=st.floats(0.01, 20))
    def time_passes(self, seconds: float) -> None:
        self.simulation.run(seconds)

    @rule(number=nodes)
    def a_node_crashes_or_returns(self, number: int) -> None:
        process = self._pick(number)
        if process.swim is not None:
            self.simulation.crash(process)
        else:
            self.lives += 1
            self.simulation.restart(process, b"life %d" % self.lives)

    @rule(number=nodes)
    def a_node_leaves(self, number: int) -> None:
        process = self._pick(number)
        if process.swim is not None:
            self.simulation.leave(process)
            self.simulation.run(1.0)
            self.simulation.crash(process)

    @rule(number=nodes, seconds=st.floats(0.1, 30))
    def a_node_stands_still(self, number: int, seconds: float) -> None:
        self.simulation.suspend(self._pick(number), seconds)

    @rule(number=nodes, seconds=st.floats(0.1, 30))
    def a_node_is_muted(self, number: int, seconds: float) -> None:
        self.simulation.mute(self._pick(number), seconds)

    @rule(senders=st.sets(nodes, min_size=1), receivers=st.sets(nodes, min_size=1))
    def one_way_is_cut(self, senders: set[int], receivers: set[int]) -> None:
        self.simulation.cut(map(self._pick, senders), map(self._pick, receivers))

    @rule(some=st.sets(nodes, min_size=1), seconds=st.sampled_from((5.0, 40.0, 120.0)))
    def the_cluster_is_partitioned(self, some: set[int], seconds: float) -> None:
        side = {self._pick(number).address for number in some}
        self.simulation.partition(
            [process for process in self.processes if process.address in side],
            [process for process in self.processes if process.address not in side],
        )
        self.simulation.run(seconds)

    @rule()
    def the_cuts_are_mended(self) -> None:
        self.simulation.mend()

    @rule(loss=probabilities, duplication=probabilities, reordering=probabilities)
    def the_network_is_bad(self, loss: float, duplication: float, reordering: float) -> None:
        self.simulation.network = Network(loss=loss, duplication=duplication, reordering=reordering)

    def teardown(self) -> None:
        if not hasattr(self, "simulation"):
            return
        simulation = self.simulation
        simulation.stop_faults()
        for process in self.processes[:2]:
            if process.swim is None:
                simulation.restart(process)
        took = simulation.run_until(lambda: agreed(simulation), AGREE_WITHIN)
        views = {process.name: process.view() for process in simulation.live}
        assert took is not None, f"no agreement within {AGREE_WITHIN} s: {simulation}, {views}"
        simulation.run(STAY_AGREED)
        assert agreed(simulation), f"agreement after {took} s did not last: {simulation}"


TestBadWeek = BadWeek.TestCase
TestBadWeek.settings = settings(
    max_examples=150 * EFFORT,
    stateful_step_count=25,
    deadline=None,
    derandomize=EFFORT == 1,
    phases=[phase for phase in Phase if phase is not Phase.explain],  # tracing makes a simulation ten times as slow
    suppress_health_check=[HealthCheck.too_slow],
)
