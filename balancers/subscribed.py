"""The subscription of a balancer: the backends report its service for as long as it lives."""

from __future__ import annotations

from collections import deque

from ..discovery import Registry
from ..discovery.subscription import Subscription

__all__ = ["Subscribed"]

_abandoned: deque[Subscription] = deque()
"""Subscriptions of balancers that were collected. A finalizer may run anywhere, in the registry's own lock too, so it
does nothing but append here; balancers that subscribe later close them.
"""

_MOST_ABANDONED = 64
"""Left open: a program that makes a client for every request wants the same service again at once."""


class Subscribed:
    """A subscription of `service`, to one registry at a time."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._held: dict[Registry, Subscription] = {}

    def to(self, registry: Registry) -> Subscription:
        """Have the backends of `registry`, and of no other, report the service."""
        while len(_abandoned) > _MOST_ABANDONED:
            _abandoned.popleft().close()
        held = self._held.get(registry)
        if held is None:
            made = registry.subscribe(self._service)
            held = self._held.setdefault(registry, made)
            if held is not made:  # another thread was faster
                made.close()
            for other in [other for other in tuple(self._held) if other is not registry]:
                if (left := self._held.pop(other, None)) is not None:
                    left.close()
        return held

    def close(self) -> None:
        """Have nobody report it any more."""
        while self._held:
            self._held.popitem()[1].close()

    def __del__(self) -> None:
        _abandoned.extend(self._held.values())
