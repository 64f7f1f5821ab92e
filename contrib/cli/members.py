"""``pydoudou members`` and ``pydoudou services``: who is there."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from datetime import UTC, datetime

import click

import pydoudou

from ...drivers.members import MemberState
from .arrivals import nobody, wait_for_members
from .events import follow, interruptible
from .joining import NAME, Joining, joining_options
from .output import Column, Output, Row, output_option

__all__ = ["age", "members", "services"]

_MEMBERS = (
    *(Column("service"), Column("member"), Column("state"), Column("weight", right=True), Column("node")),
    *(Column("sources"), Column("registered", right=True), Column("base url")),
)
_SERVICES = (
    *(Column("service"), Column("members", right=True), Column("alive", right=True), Column("suspect", right=True)),
    *(Column("weight", right=True), Column("sources")),
)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@click.command()
@click.argument("service", required=False, type=NAME)
@click.option(
    "--watch", is_flag=True, help="Go on: a table that changes on a terminal, a line for each change elsewhere."
)
@output_option
@joining_options
def members(service: str | None, watch: bool, output: Output, joining: Joining) -> None:
    """The members of SERVICE, or of all services.

    It joins to look only, and registers nothing.
    """
    with joining.registry() as registry:
        if watch:
            _watch(registry, service, output)
            return
        found = wait_for_members(registry, service, joining.wait)
        if not found:
            raise nobody(registry, service)
    output.table(_MEMBERS, _rows(found))


def _watch(registry: pydoudou.Registry, service: str | None, output: Output) -> None:
    if not output.terminal:
        follow(registry, service, output)
        return
    title = f"members of {service}" if service else "members of all services"
    shown = output.live(_MEMBERS, lambda: _rows(registry.members(service)), title)
    with interruptible(), registry.watch(service) as events, shown:
        for _ in events:
            pass  # the table looks by itself, four times a second


@click.command()
@output_option
@joining_options
def services(output: Output, joining: Joining) -> None:
    """All services, and how many members each has."""
    with joining.registry() as registry:
        found = wait_for_members(registry, None, joining.wait)
        if not found:
            raise nobody(registry, None)
    by_service: dict[str, list[pydoudou.Member]] = collections.defaultdict(list)
    for member in found:
        by_service[member.service].append(member)
    output.table(_SERVICES, [_service(name, its) for name, its in sorted(by_service.items())])


def _rows(found: Sequence[pydoudou.Member]) -> list[Row]:
    now = datetime.now(UTC)
    return [
        Row(
            (
                *(member.service, member.address, member.state.value, f"{member.weight:g}", member.node),
                ", ".join(member.sources),
                "" if member.registered_at is None else age((now - member.registered_at).total_seconds()),
                member.base_url,
            ),
            member.to_dict(),
        )
        for member in found
    ]


def _service(name: str, its: Sequence[pydoudou.Member]) -> Row:
    states = collections.Counter(member.state for member in its)
    sources = tuple(dict.fromkeys(source for member in its for source in member.sources))
    alive, suspect, weight = states[MemberState.ALIVE], states[MemberState.SUSPECT], sum(each.weight for each in its)
    return Row(
        (name, f"{len(its)}", f"{alive}", f"{suspect}", f"{weight:g}", ", ".join(sources)),
        {
            "service": name,
            "members": len(its),
            "alive": alive,
            "suspect": suspect,
            "weight": weight,
            "sources": sources,
        },
    )


def age(seconds: float) -> str:
    """Seconds as people say them: the largest unit, and the one below it."""
    left = max(0, round(seconds))
    said: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or said or unit == "s":
            said.append(f"{count} {unit}")
        if len(said) == 2:
            break
    return " ".join(said)
