"""Suspicion (SWIM section 4.2, and Lifeguard's "LHA-Suspicion").

A suspect has until a timeout to refute. The timeout starts long and shrinks with every *other* node that confirms
the suspicion: a single reporter may be the one at fault, several are probably right. With k confirmations expected,

    timeout(C) = max(min, max - (max - min) * log(C + 1) / log(k + 1))

In a cluster too small for k confirmations the shortest timeout counts at once.
"""

from __future__ import annotations

import math

from .config import Config

__all__ = ["Suspicion", "new_suspicion", "remaining_suspicion", "suspicion_timeout"]


def suspicion_timeout(suspicion_mult: int, nodes: int, probe_interval: float) -> float:
    """The shortest time, in seconds, that a suspect gets in a cluster of `nodes`; it grows with the logarithm."""
    scale = max(1.0, math.log10(max(1, nodes)))
    return suspicion_mult * math.floor(scale * 1000) / 1000 * probe_interval


def remaining_suspicion(confirmations: int, expected: int, elapsed: float, least: float, most: float) -> float:
    """Seconds left after `confirmations` of `expected`; negative when the time is already over."""
    fraction = math.log(confirmations + 1) / math.log(expected + 1)
    timeout = math.floor(1000 * (most - fraction * (most - least))) / 1000
    return max(timeout, least) - elapsed


class Suspicion:
    """The suspicion that one node is under: who reports it, and when the time is over.

    `deadline` is on the clock that `now` was read from.
    """

    __slots__ = ("_expected", "_least", "_most", "_reporters", "_started", "confirmations", "deadline")

    def __init__(self, reporter: str, expected: int, least: float, most: float, now: float) -> None:
        self._reporters = {reporter}
        self._expected = expected
        self._least = least
        self._most = most
        self._started = now
        self.confirmations = 0
        self.deadline = now + (least if expected < 1 else most)

    @property
    def missing(self) -> int:
        """How many of the expected confirmations have not come."""
        return self._expected - self.confirmations

    def confirm(self, reporter: str, now: float) -> bool:
        """Count one more reporter; True if that is new information, worth gossiping on."""
        if self.confirmations >= self._expected or reporter in self._reporters:
            return False
        self._reporters.add(reporter)
        self.confirmations += 1
        left = remaining_suspicion(self.confirmations, self._expected, now - self._started, self._least, self._most)
        self.deadline = now + max(0.0, left)
        return True

    def postpone(self, seconds: float) -> None:
        """Give the suspect the time back during which this node itself stood still."""
        self._started += seconds
        self.deadline += seconds


def new_suspicion(reporter: str, config: Config, nodes: int, now: float) -> Suspicion:
    """The suspicion that begins with the word of `reporter`, in a cluster of `nodes`."""
    expected = config.suspicion_mult - 2
    if nodes - 2 < expected:
        expected = 0  # too few nodes to confirm anything
    least = suspicion_timeout(config.suspicion_mult, nodes, config.probe_interval)
    return Suspicion(reporter, expected, least, config.suspicion_max_timeout_mult * least, now)
