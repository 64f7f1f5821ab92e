"""The services that one client calls, by the host in the URL; bounded, because hosts may come from strangers."""

from __future__ import annotations

from typing import Generic, TypeVar

from .service import CalledService

__all__ = ["Services"]

T = TypeVar("T")

MOST_SERVICES = 1024


class Services(Generic[T]):
    """At most `MOST_SERVICES` services. Names that nobody knows are forgotten first.

    `get` may be called from any thread at any time; of the other methods one at a time.
    """

    def __init__(self) -> None:
        self._by_host: dict[str, CalledService[T]] = {}

    def get(self, host: str) -> CalledService[T] | None:
        """The service of a lower-case host, None unless it has been called."""
        return self._by_host.get(host)

    def add(self, service: CalledService[T]) -> list[str]:
        """Take in a service; returns the hosts of those that had to be forgotten for it."""
        kept = self._by_host
        if len(kept) >= MOST_SERVICES:
            kept = {host: one for host, one in kept.items() if one.known}
            while len(kept) >= MOST_SERVICES:
                del kept[next(iter(kept))]
        forgotten = [host for host in self._by_host if host not in kept]
        self._by_host = {**kept, service.host: service}
        return forgotten

    def all(self) -> list[CalledService[T]]:
        """All of them."""
        return list(self._by_host.values())
