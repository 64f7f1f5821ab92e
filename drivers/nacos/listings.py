"""One service in Nacos: which names callers have for it, who offers it, and how asking for it goes.

Who was known before a connection is kept for `KEPT_FOR` seconds of the next one, or until listed once (`kit.listing`
says why): a server that was restarted knows nobody at first, and its clients come back one after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import attrs

from ..kit.backoff import Backoff
from ..kit.listing import Listing
from ..kit.validation import Unusable
from ..members import Member
from .instances import ServiceList, decode_members

__all__ = ["KEPT_FOR", "REFUSED_AGAIN_AFTER", "ServiceListing"]

KEPT_FOR = 10.0
REFUSED_AGAIN_AFTER = 30.0

_FAILED_AGAIN = Backoff(first=1.0, most=30.0)


@attrs.define
class _Name:
    """One name that callers have for a service.

    Attributes:
        asked: whether somebody subscribed this name.
        found: whether it was found when somebody asked for all services.
    """

    asked: bool = False
    found: bool = False
    listing: Listing = attrs.Factory(Listing)


@attrs.define(eq=False)
class ServiceListing:
    """Everything the driver knows of one service, and the only place where it stands. What changes returns reports.

    Attributes:
        subscribed: whether the server tells of it on the present connection.
        answered: whether it has listed the service on the present connection.
        again_at: not before this time the server is asked again, after it refused or failed.
        refused: whether the server does not want to tell.
        counted: what the subscriber has counted of it: members, subscriptions, refusals.
        changed_at: the server's time of the last list; 0 before the first one of the present connection.
        outdated: whether a list was older than that. It came late, or the server's clock was put back: ask.
        asking: held while the server is asked, so that whoever asks meanwhile waits for the same answer.
    """

    names: dict[str, _Name] = attrs.Factory(dict)
    subscribed: bool = False
    answered: bool = False
    again_at: float = 0.0
    refused: bool = False
    asking: anyio.Lock = attrs.Factory(anyio.Lock)
    counted: tuple[int, int, int] = (0, 0, 0)
    changed_at: int = 0
    outdated: bool = False
    _failures: int = 0

    @property
    def members(self) -> int:
        """How many members are known, by all names."""
        return sum(len(name.listing) for name in self.names.values())

    # -- who wants it --------------------------------------------------------------------------------------------------

    def want(self, name: str, *, found: bool) -> list[Member]:
        """Callers want the service under `name`, because they asked for it or, with `found`, for everything."""
        known = self.names.get(name)
        reports: list[Member] = []
        if known is None:
            # Another name's members are this one's too.
            others = [each.listing.members for each in self.names.values()]
            known = self.names[name] = _Name()
            if others:
                reports = known.listing.listed(attrs.evolve(member, service=name) for member in others[0])
        known.found |= found
        known.asked |= not found
        return reports

    def unwant(self, name: str, *, found: bool) -> list[Member]:
        """The opposite: its members leave, unless the name is wanted for the other reason too."""
        known = self.names.get(name)
        if known is None:
            return []
        if found:
            known.found = False
        else:
            known.asked = False
        if known.asked or known.found:
            return []
        del self.names[name]
        return known.listing.withdraw()

    # -- what the server says ------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """A connection begins: nothing of what is known has been confirmed on it, and nothing refused."""
        self.disconnected()
        self.answered = self.refused = self.outdated = False
        self.again_at = 0.0
        self._failures = self.changed_at = 0
        for name in self.names.values():
            name.listing.reconnected()

    def disconnected(self) -> None:
        """There is no connection: what is known stays."""
        self.subscribed = False

    def listed(
        self, listed: ServiceList, unusable: Callable[[Unusable], None], *, waits: bool, latest: bool = False
    ) -> list[Member]:
        """The server lists these, and nobody else; an older list than the last one means nothing.

        Args:
            waits: whether the server may not know everybody yet.
            latest: whether it is known to be the latest, whatever time it has.
        """
        if listed.changed_at < self.changed_at and not latest:
            self.outdated = True
            return []
        self.changed_at, self.outdated = listed.changed_at, False
        self.answered = True
        reports: list[Member] = []
        for name, known in self.names.items():
            reports += known.listing.listed(decode_members(listed, name, unusable), waits=waits)
        return reports

    def expire(self) -> list[Member]:
        """Those whose time to come back is over; nobody as long as the server has not listed the service."""
        if not self.answered:
            return []
        return [lost for name in self.names.values() for lost in name.listing.expire()]

    def told(self) -> None:
        """The server has subscribed it."""
        self.subscribed, self.refused, self._failures = True, False, 0

    def in_trouble(self, now: float, *, refused: bool) -> None:
        """The server refused, or failed: it is asked again after a while."""
        self._failures += 1
        self.refused = refused
        self.again_at = now + (REFUSED_AGAIN_AFTER if refused else _FAILED_AGAIN.delay(self._failures))
