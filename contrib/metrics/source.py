"""One registry whose metrics are told: what is counted for it, and what can be read of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from weakref import WeakSet, ref

from ...discovery import default_registry
from ...discovery.observer import Observer
from ...discovery.registry import Registry
from ...discovery.status import BackendStatus
from .calls import CallCounts
from .reading import Reading, readings
from .served import ServedCounts

__all__ = ["Source"]


class _Beginning(Observer):
    """Hears that a registry runs."""

    def __init__(self, begins: Callable[[], None]) -> None:
        self._begins = begins

    def driver_changed(self, status: BackendStatus) -> None:
        if status.running:
            self._begins()


class Source:
    """A registry, its balancers and the calls of this process.

    Args:
        registry: None for the default one, whichever runs. It is not held.
        most_services: with rows of their own.
        begins: is called when a driver of the registry begins to serve, in a process that was forked too; quick.
        more: observers of an exporter's own.

    Attributes:
        served: the requests that this process answers.
    """

    def __init__(
        self, registry: Registry | None, most_services: int, begins: Callable[[], None], *more: Observer
    ) -> None:
        self._registry = None if registry is None else ref(registry)
        self._most_services = most_services
        self._calls = CallCounts(most_services)
        self._observers = (self._calls, _Beginning(begins), *more)
        self.served = ServedCounts()
        _sources.add(self)

    @property
    def registry(self) -> Registry | None:
        """Whose metrics these are; None if there is none at present."""
        return default_registry.current() if self._registry is None else self._registry()

    @property
    def over(self) -> bool:
        """Whether there is nothing more to tell: the registry is gone, or stopped."""
        if self._registry is None:
            return False
        registry = self._registry()
        return registry is None or registry.stopped

    def is_of(self, other: Source) -> bool:
        """Whether both are of one registry."""
        if self._registry is None and other._registry is None:
            return True
        registry = self.registry
        return registry is not None and other.registry is registry

    def start(self) -> None:
        """Count calls from now on."""
        registry = None if self._registry is None else self._registry()
        for observer in self._observers:
            if self._registry is None:
                default_registry.observe(observer)
            elif registry is not None:
                registry.add_observer(observer)

    def end(self) -> None:
        """Count no more."""
        registry = None if self._registry is None else self._registry()
        for observer in self._observers:
            if self._registry is None:
                default_registry.observe_no_more(observer)
            elif registry is not None:
                registry.remove_observer(observer)

    def read(self) -> Iterator[Reading]:
        """All values of this moment."""
        yield from readings(self.registry, self._calls.read(), self._most_services)
        yield from self.served.read()

    def forked(self) -> None:
        """In a forked child: what was counted is its parent's to tell."""
        self._calls.forget()
        self.served.forget()


_sources: WeakSet[Source] = WeakSet()


def _after_fork() -> None:
    for source in tuple(_sources):
        source.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
