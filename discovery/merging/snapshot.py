"""What balancers read: the members of one service at one moment."""

from __future__ import annotations

import attrs

from ...drivers.members import Member

__all__ = ["Snapshot"]


@attrs.frozen(eq=False)
class Snapshot:
    """The members of one service at one moment. Compare by identity: the same object means that nothing changed.

    Attributes:
        members: everybody, suspects included, ordered by host and port.
        candidates: whom a balancer may pick: the members that are alive, or the suspects if none is.
        stale: whether some member is known only from drivers that are not authoritative at present.
    """

    service: str
    members: tuple[Member, ...] = ()
    candidates: tuple[Member, ...] = ()
    stale: bool = False
