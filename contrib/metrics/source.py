"""One registry whose metrics are told: what is counted for it, and what can be read of it."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import ref

from ...discovery import default_registry
from ...discovery.registry import Registry
from .calls import CallCounts
from .reading import Reading, readings
from .served import ServedCounts

__all__ = ["Source"]


class Source:
    """A registry, its balancers and the calls of this process.

    Args:
        registry: None for the default one, whichever runs. It is not held.
        most_services: with rows of their own.

    Attributes:
        served: the requests that this process answers.
    """

    def __init__(self, registry: Registry | None, most_services: int) -> None:
        self._registry = None if registry is None else ref(registry)
        self._most_services = most_services
        self._calls = CallCounts(most_services)
        self.served = ServedCounts()

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
        if self._registry is None:
            default_registry.observe(self._calls)
        elif (registry := self._registry()) is not None:
            registry.add_observer(self._calls)

    def end(self) -> None:
        """Count no more."""
        if self._registry is None:
            default_registry.observe_no_more(self._calls)
        elif (registry := self._registry()) is not None:
            registry.remove_observer(self._calls)

    def read(self) -> Iterator[Reading]:
        """All values of this moment."""
        yield from readings(self.registry, self._calls.read(), self._most_services)
        yield from self.served.read()
