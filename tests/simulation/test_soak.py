"""A cluster that lives long, with guests who come and go under ever new names, keeps nothing of those who are gone."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from support.effort import EFFORT
from support.invariants import agreed, lan
from support.simulator import Network, Process, Simulation

pytestmark = pytest.mark.timeout(120 * EFFORT)

RESIDENTS, GUESTS = 4, 4
VISIT, LEAVING, FORGOTTEN_AFTER = 40.0, 2.0, 80.0
"""Seconds. The dead are gossiped about, and so kept, for 30 s."""
SETTLED, VISITS = 10, 30 * EFFORT


def allocated() -> int:
    """How many blocks of memory this process uses."""
    gc.collect()
    return sys.getallocatedblocks()


def visit(simulation: Simulation, guests: list[Process], number: int, *, leave: bool) -> None:
    """The guests join under names of their own, stay, and are gone for long enough to be forgotten."""
    for guest in guests:
        guest.config = attrs.evolve(guest.config, name=f"guest {number} at {guest.address}")
        simulation.restart(guest, b"metadata %d" % number)
    simulation.run(VISIT)
    if leave:
        for guest in guests:
            simulation.leave(guest)
        simulation.run(LEAVING)
    for guest in guests:
        simulation.crash(guest)
    simulation.run(FORGOTTEN_AFTER)


def kept(*, leave: bool) -> int:
    """How many blocks more are in use after the guests of `VISITS` visits are gone."""
    simulation = Simulation(1, Network(loss=0.02))
    seeds = [(lan(number).advertise_host, lan(number).advertise_port) for number in range(2)]
    for number in range(RESIDENTS):
        simulation.add(lan(number), seeds)
    guests = [simulation.add(lan(number), seeds) for number in range(RESIDENTS, RESIDENTS + GUESTS)]
    for guest in guests:
        simulation.crash(guest)
    for number in range(SETTLED):
        visit(simulation, guests, number, leave=leave)
    before = allocated()
    for number in range(SETTLED, SETTLED + VISITS):
        visit(simulation, guests, number, leave=leave)
        assert agreed(simulation), simulation
        assert [process.core.known for process in simulation.live] == [RESIDENTS] * RESIDENTS
    return allocated() - before


@pytest.mark.parametrize("how", ["leave", "crash"])
def test_of_guests_who_are_gone_nothing_is_kept(how: str) -> None:
    """In a process of its own: what other tests and their threads allocate meanwhile is not the protocol's."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run([sys.executable, __file__, how], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    # A block for each guest and resident at the least, if anything were kept; caches fill by some hundred meanwhile.
    assert int(run.stdout) < RESIDENTS * GUESTS * VISITS / 2


if __name__ == "__main__":
    print(kept(leave=sys.argv[1] == "leave"))
