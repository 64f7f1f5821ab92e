"""What chooses one member of a service: plain functions of the current view, for any thread and any event loop."""

from .round_robin import RoundRobin
from .smooth_weighted import SmoothWeighted
from .weighted_random import WeightedRandom

__all__ = ["RoundRobin", "SmoothWeighted", "WeightedRandom"]
