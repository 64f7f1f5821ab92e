"""A node that leaves and is started again under its name at once, on a network that holds some datagrams up."""

from __future__ import annotations

import pytest
from support.effort import EFFORT
from support.invariants import agreed, lan, watched
from support.simulator import Network

SEED = ("10.0.0.0", 7946)
RUNS = 150 * EFFORT
GOSSIP_INTERVAL = 0.2


@pytest.mark.parametrize("meta", [None, b"second life"], ids=["as before", "with other metadata"])
def test_everybody_sees_it_again_within_some_gossip_intervals_and_nobody_loses_it_to_its_late_leave(
    meta: bytes | None,
) -> None:
    late = []
    for seed in range(RUNS):
        simulation, watch = watched(seed, Network(reordering=0.2, held_up=1.0))
        *_, node = simulation.form((lan(number) for number in range(6)), [SEED])
        simulation.run(5.0)
        simulation.leave(node)
        assert simulation.run_until(lambda: node.core.left, 2.0, every=0.0) is not None  # noqa: B023
        simulation.run(0.3)
        simulation.crash(node)
        simulation.restart(node, meta)
        simulation.run(10 * GOSSIP_INTERVAL)
        if not agreed(simulation):
            late.append(seed)
        assert node.core.health_score == 0, simulation
        assert watch.deaths == [], simulation
    assert late == []
