"""Which services the workers ask for: one subscription of each, for as long as one worker asks."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from anyio import to_thread

from ....discovery.registry import Registry
from ....discovery.subscription import Subscription
from ....drivers.members import Member

__all__ = ["Asked"]

_ANSWERED_WITHIN = 10.0


@attrs.define(eq=False)
class _Service:
    close: Callable[[], None]
    subscription: Subscription | None
    askers: set[int] = attrs.Factory(set)


class Asked:
    """Of one registry that runs.

    Args:
        registry: who is asked.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._services: dict[str | None, _Service] = {}

    async def ask(self, service: str | None, worker: int) -> tuple[Member, ...]:
        """The worker asks for a service, None for all of them; returns its members, as they are known when the backends
        have answered, or ten seconds are over.
        """
        asked = self._services.get(service)
        if asked is None:
            asked = self._services[service] = self._begin(service)
        asked.askers.add(worker)
        if asked.subscription is None:
            return await to_thread.run_sync(self._registry.members)  # gives those that have to be asked a moment
        await asked.subscription.wait_async(_ANSWERED_WITHIN)
        return asked.subscription.snapshot().members

    def _begin(self, service: str | None) -> _Service:
        if service is None:
            watch = self._registry.watch()  # holds what it watches
            return _Service(watch.close, None)
        subscription = self._registry.subscribe(service)
        return _Service(subscription.close, subscription)

    def ask_no_more(self, service: str | None, worker: int) -> None:
        """The worker does not ask for it any more."""
        asked = self._services.get(service)
        if asked is None:
            return
        asked.askers.discard(worker)
        if not asked.askers:
            del self._services[service]
            asked.close()

    def forget(self, worker: int) -> None:
        """The worker is gone."""
        for service in list(self._services):
            self.ask_no_more(service, worker)

    def close(self) -> None:
        """Nobody asks any more."""
        for asked in self._services.values():
            asked.close()
        self._services.clear()
