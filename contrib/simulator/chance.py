"""Chance that is the same on every version of Python: only `random()` of a seeded generator is promised to be."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

__all__ = ["chance", "exponential", "log_normal"]


def chance(seed: int, purpose: str) -> Random:
    """The generator of one purpose. Each has its own, so that runs with the same seed have the same arrivals and the
    same work to do, whatever balancers and faults draw in between.
    """
    return Random(f"{purpose} {seed}")


def exponential(random: Callable[[], float], mean: float) -> float:
    """Seconds between two calls that know nothing of each other."""
    return -math.log(1.0 - random()) * mean


def log_normal(random: Callable[[], float], mean: float, sigma: float) -> float:
    """How long a piece of work takes (Box and Muller 1958 for the normal variate)."""
    normal = math.sqrt(-2.0 * math.log(1.0 - random())) * math.cos(2.0 * math.pi * random())
    return mean * math.exp(sigma * normal - sigma * sigma / 2.0)
