"""What a watcher is told: one event for each change of the merged view, however many backends report it."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs

from ...drivers.members import Member

__all__ = ["EventKind", "MemberEvent", "coalesced"]


class EventKind(enum.StrEnum):
    """What happened to a member."""

    JOINED = "joined"
    UPDATED = "updated"
    LEFT = "left"


@attrs.frozen
class MemberEvent:
    """One change of the view.

    Attributes:
        kind: JOINED, UPDATED (state, weight, metadata or address path changed) or LEFT.
        member: the member after the change; of one that LEFT, its last form in state FAILED or LEFT.
        previous: the member before the change, None when it JOINED.
    """

    kind: EventKind
    member: Member
    previous: Member | None = None


def coalesced(events: Iterable[MemberEvent]) -> list[MemberEvent]:
    """At most one event per member, with the same outcome as `events`, in the order of each member's first event.

    Whoever joined and left again within `events` is not mentioned at all; whoever left and came back was updated.
    """
    folded: dict[tuple[str, str, int], MemberEvent] = {}
    for event in events:
        earlier = folded.get(event.member.key)
        if earlier is None:
            folded[event.member.key] = event
        elif (both := _folded(earlier, event)) is not None:
            folded[event.member.key] = both
        else:
            del folded[event.member.key]
    return list(folded.values())


def _folded(earlier: MemberEvent, later: MemberEvent) -> MemberEvent | None:
    if later.kind is EventKind.LEFT:
        if earlier.previous is None:
            return None
        return MemberEvent(EventKind.LEFT, later.member, earlier.previous)
    kind = EventKind.JOINED if earlier.previous is None else EventKind.UPDATED
    return MemberEvent(kind, later.member, earlier.previous)
