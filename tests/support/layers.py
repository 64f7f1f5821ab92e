"""An application in layers of ours and of others, and what ours have counted of the requests that went through them."""

from __future__ import annotations

import itertools
from typing import Any

from pydoudou.contrib.metrics.protection import protection_readings
from pydoudou.contrib.metrics.served import ServedCounts

__all__ = ["Layers"]

_numbers = itertools.count()


class Layers:
    """The layers around `app`, the first of them outermost. Each is made by a method of its name, which a subclass has.

    Attributes:
        app: all of it.
        counts: of the layers that count, which their method adds.
        bulkheads: how many there are; all have the label `name`.
    """

    def __init__(self, app: Any, order: tuple[str, ...]) -> None:
        self.counts: list[ServedCounts] = []
        self.bulkheads = order.count("bulkhead")
        self.name = f"layers-{next(_numbers)}"
        self.app = app
        for kind in reversed(order):
            self.app = getattr(self, kind)(self.app)

    def answered(self) -> list[dict[str, float]]:
        """How many requests each of those that count has seen, by status."""
        return [
            {labels[2]: value for family, labels, value in counts.read() if len(labels) == 3 and value}
            for counts in self.counts
        ]

    def held(self) -> tuple[float, float]:
        """How many places are held in all bulkheads, and how many were taken."""
        values = {"pydoudou_bulkhead_in_flight": 0.0, "pydoudou_bulkhead_entered_total": 0.0}
        for family, (name, *_), value in protection_readings():
            if name == self.name and family.name in values:
                values[family.name] += value  # type: ignore[operator]
        return tuple(values.values())  # type: ignore[return-value]
