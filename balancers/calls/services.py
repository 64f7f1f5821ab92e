"""The services that one client calls, by the host in the URL; bounded, because hosts may come from strangers."""

from __future__ import annotations

from typing import Generic, TypeVar

from .service import CalledService

__all__ = ["Services"]

T = TypeVar("T")

MOST_SERVICES = 1024


class Services(Generic[T]):
    """At most `MOST_SERVICES` services. Names that nobody knows are forgotten first.

    Attributes:
        by_host: the services by lower-case host; never changed, but replaced, so that any thread may look into it.
    """

    def __init__(self) -> None:
        self.by_host: dict[str, CalledService[T]] = {}

    def add(self, service: CalledService[T]) -> list[str]:
        """Take in a service, one at a time; returns the hosts of those that had to be forgotten for it."""
        kept = self.by_host
        if len(kept) >= MOST_SERVICES:
            kept = {host: one for host, one in kept.items() if one.known}
            while len(kept) >= MOST_SERVICES:
                del kept[next(iter(kept))]
        forgotten = [host for host in self.by_host if host not in kept]
        self.by_host = {**kept, service.host: service}
        return forgotten
