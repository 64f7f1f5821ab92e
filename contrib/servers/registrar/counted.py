"""What the drivers of a registrar count, told by its workers: they are who is scraped.

Where the workers of a server are added up, counters are sums over all of them, those that have ended included. So the
registrar gives each increase of a counter to one worker alone, which the others never know of. Gauges go to all. Only
workers that ask are told, and what is counted meanwhile is not lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ....discovery.registry import Registry
from ....discovery.status import RegistryStatus
from ....drivers.errors import DiscoveryError
from ....drivers.members import Metric, MetricKind
from .frames import Message

__all__ = ["COUNTED_FOR", "Counted", "Given"]

COUNTED_FOR = 60.0
"""Seconds for which a worker is told the numbers after it has asked."""


class Counted:
    """The registrar's side."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._given: dict[str, int] = {}

    def messages(self, status: RegistryStatus, workers: int) -> Iterator[Message]:
        """One for each of so many workers; the first is the one that is given what was counted since."""
        counters, gauges, metrics = dict[str, int](), dict[str, float](), list[list[str]]()
        for backend in status.backends:
            told = backend.driver
            counters |= {f"{backend.mode}.{name}": count for name, count in told.counters.items()}
            gauges |= {f"{backend.mode}.{name}": number for name, number in told.gauges.items()}
            metrics += [
                [f"{backend.mode}.{row.name}", row.kind.value, row.help, row.unit]
                for row in self._metrics(backend.mode)
            ]
        for number in range(workers):
            since = {} if number else {name: count - self._given.get(name, 0) for name, count in counters.items()}
            yield {"kind": "counted", "counters": since, "gauges": gauges, "metrics": metrics}
        if workers:
            self._given = counters

    def _metrics(self, mode: str) -> tuple[Metric, ...]:
        try:
            return tuple(getattr(self._registry.driver(mode), "metrics", ()))
        except (DiscoveryError, KeyError):  # it was stopped meanwhile
            return ()


class Given:
    """The worker's side.

    Attributes:
        counters, gauges: by the driver's mode, a dot and the name of a `Metric`.
        metrics: what they mean.
    """

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.gauges: dict[str, float] = {}
        self.metrics: tuple[Metric, ...] = ()

    def take(self, message: Message) -> None:
        """What the registrar says. Raises KeyError, TypeError or ValueError if it is nothing of this kind."""
        given: dict[str, Any] = message["counters"]
        counters = {name: self.counters.get(name, 0) + int(more) for name, more in given.items()}
        self.metrics = tuple(
            Metric(name, MetricKind(kind), about, unit) for name, kind, about, unit in message["metrics"]
        )
        self.counters = self.counters | counters
        self.gauges = {name: float(number) for name, number in message["gauges"].items()}
