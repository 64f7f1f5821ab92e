"""``pydoudou explain``: every member of a service as a caller sees it, and what a call would do now."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...balancers.explaining import explain_service
from ...discovery.explanation import MemberExplanation, ServiceExplanation
from .arrivals import wait_for_members
from .joining import Joining, joining_options

__all__ = ["explain"]

_STYLES = {"in": "green", "ejected": "red", "suspect": "yellow"}


@click.command()
@click.argument("service")
@click.option(
    "--json", "as_json", is_flag=True, help="JSON: an object for each member and one for the service, line by line."
)
@joining_options
def explain(service: str, as_json: bool, joining: Joining) -> None:
    """Every member of SERVICE as a caller sees it, and what a call would do now.

    It joins to look only, and knows what a process knows that has just begun.
    """
    with joining.registry() as registry:
        wait_for_members(registry, service, joining.wait)
        found = explain_service(registry, registry.snapshot(service))
        if not found.members:
            raise click.ClickException(registry.explain(service))
    if as_json:
        rest = {name: value for name, value in found.to_dict().items() if name != "members"}
        for row in (*(member.to_dict() for member in found.members), rest):
            print(json.dumps(row), flush=True)
        return
    console = Console()
    if console.is_terminal:
        console.print(_table(found))
        console.print(found.call, highlight=False, markup=False, soft_wrap=True)
    else:
        for line in (*found.members, found.call):
            print(line, flush=True)


def _table(found: ServiceExplanation) -> Table:
    table = Table(title=escape(found.service))
    for heading in ("member", "status", "why"):
        table.add_column(heading)
    for heading in ("share", "weight", "slow start", "zone", "EWMA", "in flight"):
        table.add_column(heading, justify="right")
    for member in found.members:
        table.add_row(*_cells(member))
    return table


def _cells(row: MemberExplanation) -> tuple[str, ...]:
    style = _STYLES.get(row.status, "cyan")
    again = [] if row.ejected_for is None else [f"tried again in {row.ejected_for:.1f} s"]
    return (
        escape(row.member.address),
        f"[{style}]{row.status}[/]",
        escape("; ".join([*filter(None, [row.reason]), *again])),
        f"{row.share:.1%}",
        f"{row.weight:g}",
        "" if row.slow_start is None else f"{row.slow_start:.0%}",
        escape(row.zone) if row.zone_share == 1.0 else escape(f"{row.zone} ({row.zone_share:.0%})"),
        "" if row.ewma is None else f"{row.ewma * 1000:.3g} ms",
        f"{row.in_flight}",
    )
