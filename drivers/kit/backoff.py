"""How long to wait before the next attempt: longer after every failure, and drawn at random, so that the processes of a
fleet do not come back in step.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

__all__ = ["Backoff"]

_MOST_DOUBLINGS = 64


@attrs.frozen(repr=False)
class Backoff:
    """A sequence of delays: `first` seconds, then `factor` times as long each time, never more than `most`.

    Each delay is drawn between half of that and all of it.

    Attributes:
        draw: a number from 0 to 1; tests pass their own.
    """

    first: float
    most: float
    factor: float = 2.0
    draw: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, the first one being 1."""
        steps = min(max(0, failures - 1), _MOST_DOUBLINGS)
        return (0.5 + self.draw() / 2) * min(self.most, self.first * self.factor**steps)
