"""Writes docs/simulations.md: what every balancer does about every fault, with and without ejection.

    python tests/support/simulations_page.py docs/simulations.md

All is computed in virtual time from one seed, so the figures are the same wherever and whenever it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydoudou.contrib.simulator import BALANCERS, CALLERS_POLICY, FAULTS, NO_EJECTION, Load, Row, Simulation, row

__all__ = ["line", "page", "rows"]

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
_TABLE = """\
| | | without ejection | | | with ejection | | | |
|---|---|---:|---:|---:|---:|---:|---:|---:|
| **fault** | **balancer** | errors | p99 | shares | errors | p99 | shares | out |
"""


def rows(balancer: str, attempts: int, seed: int = 1) -> Iterator[tuple[Row, Row]]:
    """For one fault after the other: without ejection, and with it."""
    load = Load()
    without, with_it = (CALLERS_POLICY.change(attempts=attempts, health=health) for health in (NO_EJECTION, None))
    calm: Mapping[object, Simulation] = {}
    for name, fault in FAULTS.items():
        runs = [Simulation(fault, balancer, policy, load, seed) for policy in (without, with_it)]
        for run in runs:
            run.run()
        if name == "none":
            calm = dict(enumerate(runs))
        first, second = (row(balancer, run, calm[place]) for place, run in enumerate(runs))
        yield first, second


def line(without: Row, with_it: Row) -> str:
    """One line of the page."""
    cells = [without.fault, f"`{without.balancer}`"]
    for one in (without, with_it):
        cells += [f"{one.error_share:.3%}", f"{one.p99 * 1000:,.0f} ms ({one.p99_ratio:.2f})", f"{one.share_ratio:.2f}"]
    return "| " + " | ".join([*cells, str(with_it.ejections)]) + " |"


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
        found = {balancer: list(rows(balancer, attempts)) for balancer in BALANCERS}
        text += f"\n{head}\n{_TABLE}"
        for place in range(len(FAULTS)):
            text += "".join(line(*found[balancer][place]) + "\n" for balancer in BALANCERS)
    return text


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
