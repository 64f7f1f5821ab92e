"""Local health (Lifeguard, "Local Health Multiplier"): how far this node trusts its own findings.

The score runs from 0, healthy, to `max_multiplier` - 1. Missed acks, missing nacks and having to refute raise it,
an answered probe lowers it. A node with a bad score probes less often: the fault may be its own.
"""

from __future__ import annotations

__all__ = ["Awareness"]


class Awareness:
    """The score of one node."""

    __slots__ = ("_most", "score")

    def __init__(self, max_multiplier: int) -> None:
        self._most = max_multiplier - 1
        self.score = 0

    def apply(self, delta: int) -> None:
        """Add `delta`, within the bounds."""
        self.score = max(0, min(self._most, self.score + delta))

    def scale(self, duration: float) -> float:
        """`duration` stretched by the score."""
        return duration * (self.score + 1)
