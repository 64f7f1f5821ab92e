"""``pydoudou events``: who comes, goes and changes."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from datetime import UTC, datetime

import click

import pydoudou

from ...discovery.merging.events import EventKind, MemberEvent
from .arrivals import wait_for_members
from .joining import NAME, Joining, joining_options
from .output import Output, output_option

__all__ = ["events", "follow", "interruptible"]


@click.command()
@click.argument("service", required=False, type=NAME)
@click.option("--follow", "-f", "following", is_flag=True, help="Go on until Ctrl-C.")
@output_option
@joining_options
def events(service: str | None, following: bool, output: Output, joining: Joining) -> None:
    """One line for each change of a member of SERVICE, or of any service.

    It begins with those that are there, as joined, and ends there without --follow.
    """
    with joining.registry() as registry:
        if following:
            follow(registry, service, output)
            return
        for member in wait_for_members(registry, service, joining.wait):
            _show(MemberEvent(EventKind.JOINED, member), output)


def follow(registry: pydoudou.Registry, service: str | None, output: Output) -> None:
    """Show every change until the user, or whoever reads what is shown, has had enough."""
    with interruptible(), registry.watch(service) as changes, output.until_closed(changes.close):
        there = registry.members(service)
        for member in there:
            _show(MemberEvent(EventKind.JOINED, member), output)
        known = {member.key: member for member in there}
        for change in changes:
            if change.kind is not EventKind.JOINED or known.pop(change.member.key, None) != change.member:
                _show(change, output)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C is how this ends, and no failure; a SIGTERM, by which service managers end it, is the same."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(event: MemberEvent, output: Output) -> None:
    member, now = event.member, datetime.now(UTC)
    fields = {"at": now.isoformat(timespec="milliseconds"), "event": event.kind.value, **member.to_dict()}
    what = [
        event.kind.value,
        member.service,
        member.address,
        member.state.value,
        f"weight {member.weight:g}",
        member.node,
    ]
    output.event((now.astimezone().strftime("%H:%M:%S"), *what, _difference(event)), fields)


def _difference(event: MemberEvent) -> str:
    """What an update has changed."""
    before, after = event.previous, event.member
    if event.kind is not EventKind.UPDATED or before is None:
        return ""
    changes = [
        f"{name} {getattr(before, name)} -> {getattr(after, name)}"
        for name in ("state", "weight", "root_path", "scheme", "node")
        if getattr(before, name) != getattr(after, name)
    ]
    keys = {key for key in {**before.data, **after.data} if before.data.get(key) != after.data.get(key)}
    changes += [f"data {key}: {before.data.get(key)!r} -> {after.data.get(key)!r}" for key in sorted(map(str, keys))]
    return "; ".join(changes)
