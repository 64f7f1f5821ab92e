"""A cluster that fell apart becomes one again without anybody's help."""

from __future__ import annotations

import pytest
from support.effort import EFFORT
from support.invariants import agreed, lan, watched
from support.simulator import Simulation

PUSH_PULL_INTERVAL = 30.0
GOSSIP_TO_THE_DEAD = 30.0


@pytest.fixture(params=range(5 * EFFORT), ids="seed {}".format)
def simulation(request: pytest.FixtureRequest) -> Simulation:
    """Six nodes that know each other; the first two are everybody's seeds."""
    simulation, _ = watched(request.param)
    configs = [lan(number) for number in range(6)]
    simulation.form(configs, [(config.advertise_host, config.advertise_port) for config in configs[:2]])
    simulation.run(5.0)
    assert agreed(simulation), simulation
    return simulation


@pytest.mark.parametrize("seconds", [10.0, 60.0, 600.0])
def test_two_halves_are_one_again_within_two_push_pull_intervals(simulation: Simulation, seconds: float) -> None:
    """60 s are twice the time for which the dead are gossiped to; 600 s make sure that each half forgot the other."""
    nodes = simulation.live
    simulation.partition(nodes[:3], nodes[3:])
    simulation.run(seconds)
    if seconds > 3 * GOSSIP_TO_THE_DEAD:
        assert all(process.core.known == 3 for process in nodes), simulation
    simulation.mend()
    assert simulation.run_until(lambda: agreed(simulation), 2 * PUSH_PULL_INTERVAL) is not None, simulation


def test_a_node_that_was_cut_off_alone_comes_back(simulation: Simulation) -> None:
    alone, *others = reversed(simulation.live)
    simulation.partition([alone], others)
    simulation.run(600.0)
    assert list(alone.view()) == [alone.name]
    simulation.mend()
    assert simulation.run_until(lambda: agreed(simulation), 2 * PUSH_PULL_INTERVAL) is not None, simulation


def test_a_member_that_never_returns_does_not_keep_the_others_from_looking_for_their_seeds(
    simulation: Simulation,
) -> None:
    """The seeds are replaced by new processes that know only each other; somebody else crashed for good."""
    nodes = simulation.live
    simulation.crash(nodes[5])
    for seed in nodes[:2]:
        simulation.leave(seed)
    simulation.run(1.0)
    for seed in nodes[:2]:
        simulation.crash(seed)
    simulation.run(600.0)
    for seed in nodes[:2]:
        simulation.restart(seed)
    assert simulation.run_until(lambda: agreed(simulation), 4 * PUSH_PULL_INTERVAL) is not None, simulation
