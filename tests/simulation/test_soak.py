"""A cluster that lives long, with guests who come and go under ever new names, keeps nothing of those who are gone."""

from __future__ import annotations

import gc
import sys

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


@pytest.mark.parametrize("leave", [True, False], ids=["leave", "crash"])
def test_of_guests_who_are_gone_nothing_is_kept(leave: bool) -> None:
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
    # What is kept of a guest by a resident would be this many blocks at the least.
    assert allocated() - before < RESIDENTS * GUESTS * VISITS / 4
