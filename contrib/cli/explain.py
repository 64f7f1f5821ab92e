"""``pydoudou explain``: every member of a service as a caller sees it, and what a call would do now."""

from __future__ import annotations

import click

from ...balancers.explaining import explain_service
from ...discovery.explanation import MemberExplanation
from .arrivals import nobody, wait_for_members
from .joining import NAME, Joining, joining_options
from .output import Column, Output, Row, output_option

__all__ = ["explain"]

_COLUMNS = (
    *(Column("member"), Column("status"), Column("why"), Column("share", right=True), Column("weight", right=True)),
    *(Column("slow start", right=True), Column("zone", right=True), Column("EWMA", right=True)),
    Column("in flight", right=True),
)


@click.command()
@click.argument("service", type=NAME)
@output_option
@joining_options
def explain(service: str, output: Output, joining: Joining) -> None:
    """Every member of SERVICE as a caller sees it, and what a call would do now.

    It joins to look only, and knows what a process knows that has just begun. In JSON the last line is about the
    service.
    """
    with joining.registry() as registry:
        wait_for_members(registry, service, joining.wait)
        found = explain_service(registry, registry.snapshot(service))
        if not found.members:
            raise nobody(registry, service)
    if output.as_json:
        rest = {name: value for name, value in found.to_dict().items() if name != "members"}
        for row in (*(member.to_dict() for member in found.members), rest):
            output.json(row)
    elif output.terminal:
        output.table(_COLUMNS, [Row(_cells(member), {}) for member in found.members], found.service)
        output.say(found.call)
    else:
        for line in (*found.members, found.call):
            output.say(str(line))


def _cells(row: MemberExplanation) -> tuple[str, ...]:
    again = [] if row.ejected_for is None else [f"tried again in {row.ejected_for:.1f} s"]
    return (
        row.member.address,
        row.status,
        "; ".join([*filter(None, [row.reason]), *again]),
        f"{row.share:.1%}",
        f"{row.weight:g}",
        "" if row.slow_start is None else f"{row.slow_start:.0%}",
        row.zone if row.zone_share == 1.0 else f"{row.zone} ({row.zone_share:.0%})",
        "" if row.ewma is None else f"{row.ewma * 1000:.3g} ms",
        f"{row.in_flight}",
    )
