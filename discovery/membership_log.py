"""What an operator reads at level INFO: who came, who is suspected, who went, and what was registered.

One line for each member, unless many change at once: a node that joins a large cluster, or is cut off from it, says so
in one line.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Iterable

from ..drivers.kit.log_fields import fields
from ..drivers.kit.validation import escaped
from ..drivers.members import Instance, Member, MemberState
from .merging.events import EventKind, MemberEvent

__all__ = ["log_events", "log_registered"]

logger = logging.getLogger(__name__)

_MANY = 20


def log_registered(instance: Instance | None, mode: str) -> None:
    """The driver of `mode` has started."""
    if instance is not None:
        at = f"{instance.host}:{instance.port}"
        extra = fields(service=instance.service, member=at, backend=mode)
        logger.info("registering %s at %s in %s", instance.service, at, mode, extra=extra)
    else:
        logger.info("looking in %s; nothing is registered", mode, extra=fields(backend=mode))


def log_events(events: Iterable[MemberEvent]) -> None:
    """The view has changed."""
    if not logger.isEnabledFor(logging.INFO):
        return
    told = [(what, event.member) for event in events if (what := _what(event))]
    if len(told) <= _MANY:
        for what, member in told:
            logger.info("member %s: %s", what, _named(member), extra=_fields(what, member))
        return
    for what, count in collections.Counter(what for what, _ in told).items():
        members = [member for happened, member in told if happened == what]
        services = sorted({member.service for member in members})
        first = ", ".join(map(escaped, services[:3])) + (", …" if len(services) > 3 else "")
        logger.info("%d members %s, of %d services: %s", count, what, len(services), first, extra=fields(event=what))


def _what(event: MemberEvent) -> str:
    """What happened, in a word; "" if it is nothing that an operator wants to read."""
    if event.kind is EventKind.JOINED:
        return "joined" if event.member.state is MemberState.ALIVE else "joined as a suspect"
    if event.kind is EventKind.LEFT:
        return "left" if event.member.state is MemberState.LEFT else "failed"
    before = event.previous.state if event.previous is not None else event.member.state
    if before is event.member.state:
        return ""
    return "suspected" if event.member.state is MemberState.SUSPECT else "alive again"


def _fields(what: str, member: Member) -> dict[str, str]:
    sources = "+".join(member.sources)
    return fields(service=member.service, member=member.address, node=member.node, source=sources, event=what)


def _named(member: Member) -> str:
    sources = "+".join(member.sources)
    node = f", node {escaped(member.node)}" if member.node else ""
    return f"{escaped(member.service)} at {escaped(member.address)} ({escaped(sources)}{node})"
