"""What the server lists, service by service, and what follows for the view.

A list is complete: whoever was listed and is not any more is gone. With one exception. A server that was restarted
knows nobody at first, and its clients come back one after the other, some after half a minute. So whoever was known
before a connection is kept for `KEPT_FOR` seconds of the next one, or until it was listed once; only then does its
absence mean anything. The empty list right after a reconnect is the same case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from ..members import Member, MemberState
from .instances import Listed, member
from .service_names import ServiceName

__all__ = ["KEPT_FOR", "Listings"]

KEPT_FOR = 10.0


@attrs.define(eq=False)
class _Listing:
    """One service in Nacos.

    Attributes:
        names: the names that callers have for it.
        known: who is reported, by the server's name for it.
        confirmed: who of them was listed on this connection.
        answered: whether the server has listed the service on this connection.
    """

    names: dict[str, None] = attrs.Factory(dict)
    known: dict[str, Listed] = attrs.Factory(dict)
    confirmed: set[str] = attrs.Factory(set)
    answered: bool = False


class Listings:
    """All services that somebody asked for. Every changing method returns what to report."""

    def __init__(self) -> None:
        self._listings: dict[ServiceName, _Listing] = {}
        self._kept_until = 0.0

    def __len__(self) -> int:
        """How many instances are known."""
        return sum(len(listing.known) for listing in self._listings.values())

    @property
    def services(self) -> tuple[ServiceName, ...]:
        """Where to look."""
        return tuple(self._listings)

    def ask(self, service: ServiceName, name: str) -> list[Member]:
        """Callers want to know about `service`, under `name`."""
        listing = self._listings.setdefault(service, _Listing())
        if name in listing.names:
            return []
        listing.names[name] = None
        return [member(listed, service, name) for listed in listing.known.values()]

    def connected(self, now: float) -> None:
        """A connection begins: nothing of what is known has been confirmed on it."""
        self._kept_until = now + KEPT_FOR
        for listing in self._listings.values():
            listing.confirmed.clear()
            listing.answered = False

    def listed(self, service: ServiceName, instances: Iterable[Listed], now: float) -> list[Member]:
        """The server lists these, and nobody else."""
        listing = self._listings.get(service)
        if listing is None:
            return []
        listing.answered = True
        present = {listed.key: listed for listed in instances if listed.enabled}
        changed = [listed for key, listed in present.items() if listing.known.get(key) != listed]
        listing.known |= present
        gone = [
            key for key in listing.known if key not in present and (key in listing.confirmed or now >= self._kept_until)
        ]
        listing.confirmed = set(present)
        reports = [*self._lost(service, listing, gone)]
        reports += [member(each, service, name) for each in changed for name in listing.names]
        return reports

    def expire(self, now: float) -> list[Member]:
        """Report those whose time to come back is over."""
        if now < self._kept_until:
            return []
        return [
            lost
            for service, listing in self._listings.items()
            if listing.answered
            for lost in self._lost(service, listing, [key for key in listing.known if key not in listing.confirmed])
        ]

    def _lost(self, service: ServiceName, listing: _Listing, keys: Iterable[str]) -> Iterator[Member]:
        """Nacos does not tell a service that left from one that died."""
        for key in keys:
            gone = listing.known.pop(key)
            for name in listing.names:
                yield attrs.evolve(member(gone, service, name), state=MemberState.FAILED)
