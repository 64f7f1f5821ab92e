"""Writes docs/simulations.md: what every balancer does about every fault, with and without ejection.

    python tests/support/simulations_page.py docs/simulations.md

All is computed in virtual time from one seed, so the figures are the same whenever it runs, and on every version of
Python.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from pydoudou.contrib.simulator import BALANCERS, CALLERS_POLICY, FAULTS, NO_EJECTION, Load, Row, Simulation, row

__all__ = ["ATTEMPTS", "SEED", "figures", "line", "page"]

SEED = 1

_HEAD = """\
# What balancers do about members in trouble

Made by `make simulations`; a test holds the rows of `LeastLatency` to what is simulated. `pydoudou simulate` prints the
same for your own policy ([cli.md](cli.md)).

{members} members with {workers} workers each, {rate:g} calls a second (a Poisson process), {work:g} ms of work for each
(log-normal, sigma {spread:g}): {busy:.0%} of what they can do. A run takes {seconds:g} s of virtual time; the fault is
there from {fault_from:g} to {fault_until:g} s, calls from {counted_from:g} s on are counted. A caller waits
{timeout:g} s for an answer. The balancers, what is remembered of members and the core of a call are the ones that
clients use; nothing is sent, and no gossip helps.

{faults}

- *errors*: calls that ended without an answer or with a status of 500 or more.
- *p99*: the time within which 99 of 100 calls ended, and how many times that of the same run without the fault it is.
- *shares*: attempts at the member that had the most of them, for each at the one that had the fewest.
- *out*: how often a member was ejected.

Without ejection, the rules `consecutive`, `success_ratio` and `slow_factor` of `HealthPolicy` are off; slow start is on
in both.
"""
_SECTIONS = {
    1: """\
## One attempt for each call

What balancing does alone: a call that fails is an error.
""",
    3: """\
## Up to three attempts

The default policy: a call moves to another member where that is harmless.
""",
}
ATTEMPTS = tuple(_SECTIONS)
_TABLE = """\
| | | without ejection | | | with ejection | | | |
|---|---|---:|---:|---:|---:|---:|---:|---:|
| **fault** | **balancer** | errors | p99 | shares | errors | p99 | shares | out |
"""


@functools.cache
def _ran(fault: str, balancer: str, attempts: int, ejection: bool, seed: int) -> Simulation:
    policy = CALLERS_POLICY.change(attempts=attempts, health=None if ejection else NO_EJECTION)
    simulation = Simulation(FAULTS[fault], balancer, policy, Load(), seed)
    simulation.run()
    return simulation


def figures(fault: str, balancer: str, attempts: int, *, ejection: bool = True, seed: int = SEED) -> Row:
    """Those of one run; each is computed once."""
    disturbed, calm = (_ran(name, balancer, attempts, ejection, seed) for name in (fault, "none"))
    return row(balancer, disturbed, calm)


def line(fault: str, balancer: str, attempts: int) -> str:
    """One line of the page."""
    cells = [fault, f"`{balancer}`"]
    for ejection in (False, True):
        found = figures(fault, balancer, attempts, ejection=ejection)
        cells += [f"{found.error_share:.3%}", f"{found.p99 * 1000:,.0f} ms ({found.p99_ratio:.2f})"]
        cells += [f"{found.share_ratio:.2f}"]
    return "| " + " | ".join([*cells, str(found.ejections)]) + " |"


def page() -> str:
    """The page, in Markdown."""
    load = Load()
    busy = load.rate * load.work / load.members / load.workers
    text = _HEAD.format(
        members=load.members,
        workers=load.workers,
        rate=load.rate,
        work=load.work * 1000,
        spread=load.spread,
        busy=busy,
        seconds=load.seconds,
        fault_from=load.fault_from,
        fault_until=load.fault_until,
        counted_from=load.counted_from,
        timeout=CALLERS_POLICY.attempt_timeout,
        faults="\n".join(f"- *{fault.name}*: {fault.summary}." for fault in FAULTS.values()),
    )
    for attempts, head in _SECTIONS.items():
        text += f"\n{head}\n{_TABLE}"
        text += "".join(line(fault, balancer, attempts) + "\n" for fault in FAULTS for balancer in BALANCERS)
    return text


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
