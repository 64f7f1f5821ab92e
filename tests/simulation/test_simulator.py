"""The simulator itself: a run can be repeated, and its faults are what they say they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.invariants import agreed, lan, watched
from support.simulator import Network, Process, Simulation

from pydoudou.drivers.memberlist.protocol import State

TERRIBLE = Network(loss=0.2, duplication=0.2, reordering=0.2)

RUN = """
import hashlib
from support.invariants import lan
from support.simulator import Network, Simulation

digest = hashlib.sha256()
simulation = Simulation({seed}, Network(loss=0.2, duplication=0.2, reordering=0.2))
simulation.on_event = lambda process, event: digest.update(repr((simulation.now, process.name, event)).encode())
nodes = [simulation.add(lan(number), [("10.0.0.0", 7946)]) for number in range(8)]
simulation.run(10)
simulation.partition(nodes[:3], nodes[3:])
simulation.suspend(nodes[1], 5)
simulation.crash(nodes[7])
simulation.run(60)
print(digest.hexdigest(), simulation.packets)
"""


def trace(seed: int, hash_seed: int) -> str:
    """A fingerprint of all that happens in one eventful minute, in a process of its own."""
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", RUN.format(seed=seed)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def two_nodes() -> tuple[Simulation, Process, Process]:
    simulation, _ = watched(1)
    one, other = simulation.form([lan(1), lan(2)])
    return simulation, one, other


def test_the_same_seed_gives_the_same_run_in_any_process() -> None:
    assert trace(7, hash_seed=1) == trace(7, hash_seed=2)


def test_another_seed_gives_another_run() -> None:
    assert trace(7, hash_seed=1) != trace(8, hash_seed=1)


def test_a_simulation_says_its_seed() -> None:
    assert "seed 4711" in repr(Simulation(4711))


def test_a_cluster_forms_on_a_terrible_network() -> None:
    simulation, _ = watched(3, TERRIBLE)
    for number in range(8):
        simulation.add(lan(number), [("10.0.0.0", 7946)])
    assert simulation.run_until(lambda: agreed(simulation), 60.0) is not None, simulation


def test_a_one_way_cut_lets_the_other_way_through() -> None:
    simulation, one, other = two_nodes()
    simulation.cut([one], [other])
    simulation.run(3.0)
    assert one.core.counters["probes_failed"] > 0
    opinion = one.opinion(other.name)
    assert opinion is not None
    assert opinion.state is State.SUSPECT
    simulation.mend()
    simulation.run(3.0)
    assert agreed(simulation), simulation


def test_a_suspended_process_does_nothing_until_it_is_continued() -> None:
    simulation, one, other = two_nodes()
    simulation.run(2.0)
    simulation.suspend(other, 3.0)
    before = other.core.counters
    simulation.run(2.9)
    assert other.core.counters == before
    assert one.core.counters["probes_failed"] > 0
    simulation.run(5.0)
    assert other.core.counters["stood_still"] == 1
    assert agreed(simulation), simulation


def test_a_muted_process_keeps_its_time() -> None:
    simulation, _, other = two_nodes()
    simulation.run(2.0)
    simulation.mute(other, 3.0)
    simulation.run(2.9)
    assert other.core.counters["probes_failed"] > 0
    simulation.run(5.0)
    assert other.core.counters["stood_still"] == 0
    assert agreed(simulation), simulation


def test_a_connection_to_a_crashed_process_is_refused_and_one_across_a_cut_times_out() -> None:
    simulation, one, other = two_nodes()
    ends: list[tuple[float, str]] = []

    def join() -> None:
        started = simulation.now
        one.core.join(
            other.address, started, lambda exchange: ends.append((simulation.now - started, exchange.failure))
        )
        simulation.flush(one)
        simulation.run(30.0)

    join()
    simulation.partition([one], [other])
    join()
    simulation.mend()
    simulation.crash(other)
    join()
    assert [failure for _, failure in ends] == ["", "no answer in time", "connection refused"]
    assert [round(seconds, 1) for seconds, _ in ends] == [0.0, one.config.tcp_timeout, 0.0]
