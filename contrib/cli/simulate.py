"""``pydoudou simulate``: what the balancers do about a fault, under the user's own policy, in virtual time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import click

from ...balancers.calls.policy import CallPolicy
from ..simulator import BALANCERS, CALLERS_POLICY, FAULTS, NO_EJECTION, Fault, Load, Row, Simulation, row
from ..simulator.faults import UNDISTURBED
from .output import Column, Output, output_option
from .output import Row as OutputRow
from .policy_option import policy_from
from .progress import progress

__all__ = ["simulate"]

_DEFAULTS = Load()
_HEADINGS = ("fault", "balancer", "calls", "errors", "p99", "p99 ratio", "attempts", "share ratio", "ejections")
_WIDTHS = (8, 14, 7, 8, 8, 9, 8, 11, 9)


@click.command()
@click.option(
    "--fault",
    "faults",
    type=click.Choice(tuple(FAULTS)),
    multiple=True,
    help="What is wrong in the middle third of the time; may be given several times. Without it, one after the other: "
    + "; ".join(f"{fault.name}: {fault.summary}" for fault in FAULTS.values())
    + ".",
)
@click.option(
    "--balancer",
    "balancers",
    type=click.Choice(tuple(BALANCERS)),
    multiple=True,
    help="May be given several times; without it, all of them.",
)
@click.option(
    "--policy",
    "policies",
    metavar="NAME=VALUE,…",
    multiple=True,
    help="The callers' policy, in the names of CallPolicy: attempts=2,attempt_timeout=0.5,retry_on=502+503. "
    "Callers who set neither a deadline nor an attempt_timeout wait 2 s for an attempt.",
)
@click.option("--no-ejection", is_flag=True, help="Take no member out, however it does (the rules of HealthPolicy).")
@click.option("--members", type=int, default=_DEFAULTS.members, show_default=True, help="How many the service has.")
@click.option("--rate", type=float, default=_DEFAULTS.rate, show_default=True, help="Calls per second, all together.")
@click.option("--seconds", type=float, default=_DEFAULTS.seconds, show_default=True, help="Of virtual time.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same one gives the same figures.")
@output_option
def simulate(
    faults: Sequence[str],
    balancers: Sequence[str],
    policies: Sequence[str],
    no_ejection: bool,
    members: int,
    rate: float,
    seconds: float,
    seed: int,
    output: Output,
) -> None:
    """What balancers do when a member is in trouble, under your own policy.

    Members with eight workers of 50 ms each are called in virtual time: the balancers and the policy are the real ones,
    and a minute takes about a second.
    """
    try:
        policy = policy_from(policies, CallPolicy(health=NO_EJECTION if no_ejection else None))
        if policy.deadline is None and policy.attempt_timeout is None:
            policy = policy.change(attempt_timeout=CALLERS_POLICY.attempt_timeout)
        load = Load(members=members, rate=rate, seconds=seconds)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error

    names = faults or [name for name in FAULTS if name != UNDISTURBED.name]
    balancers = balancers or tuple(BALANCERS)
    runs = len(balancers) * len({UNDISTURBED.name, *names})
    title = f"{load.members} members, {load.rate:g} calls/s, {load.seconds:g} s, seed {seed}"
    # Lines that are printed to the same terminal would be torn by it.
    shown = output.terminal or not output.on_terminal
    with progress("simulating", runs * math.ceil(seconds), shown=shown) as tick, _printer(output, title) as show:

        def run(fault: Fault, balancer: str) -> Simulation:
            simulation = Simulation(fault, balancer, policy, load, seed)
            simulation.run(tick)
            return simulation

        for balanced in _rows(names, balancers, run):
            show(balanced)


def _rows(faults: Sequence[str], balancers: Sequence[str], run: Callable[[Fault, str], Simulation]) -> Iterator[Row]:
    """Fault by fault, each as soon as it is ready; what a balancer does undisturbed is computed once."""
    calm: dict[str, Simulation] = {}
    for name in faults:
        for balancer in balancers:
            if balancer not in calm:
                calm[balancer] = run(UNDISTURBED, balancer)
            disturbed = calm[balancer] if name == UNDISTURBED.name else run(FAULTS[name], balancer)
            yield row(balancer, disturbed, calm[balancer])


# -- what is shown ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _printer(output: Output, title: str) -> Iterator[Callable[[Row], None]]:
    """Prints rows: as JSON, as lines, or on a terminal as a table, once there are all of them."""
    if output.as_json:
        yield lambda row: output.json(row.to_dict())
    elif not output.terminal:
        output.say(_line(_HEADINGS))
        yield lambda row: output.say(_line(_cells(row)))
    else:
        rows: list[Row] = []
        yield rows.append
        columns = [Column(heading, right=heading not in _HEADINGS[:2]) for heading in _HEADINGS]
        output.table(columns, [OutputRow(_cells(row), row.to_dict()) for row in rows], title)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.fault,
        row.balancer,
        f"{row.calls}",
        f"{row.error_share:.3%}",
        f"{row.p99 * 1000:.0f} ms",
        f"{row.p99_ratio:.2f}",
        f"{row.attempts / row.calls if row.calls else 0:.3f}",
        f"{row.share_ratio:.2f}",
        f"{row.ejections}",
    )


def _line(cells: Sequence[str]) -> str:
    return "  ".join(
        cell.ljust(width) if place < 2 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
