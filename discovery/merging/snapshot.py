"""What balancers read: the members of one service at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

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
        since: when each member came into its state, by host and port, in seconds by the clock of the registry. For
            people to read: it goes on with the view, and may be ahead of the members here.
    """

    service: str
    members: tuple[Member, ...] = ()
    candidates: tuple[Member, ...] = ()
    stale: bool = False
    since: Mapping[tuple[str, int], float] = MappingProxyType({})

    def __reduce__(self) -> tuple[type[Snapshot], tuple[Any, ...]]:
        # A mapping proxy cannot be pickled.
        return (Snapshot, (self.service, self.members, self.candidates, self.stale, dict(self.since)))
