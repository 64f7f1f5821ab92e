"""What chooses one member of a service: plain functions of the current view, for any thread and any event loop."""

from .balancer import Balancer
from .round_robin import RoundRobin
from .smooth_weighted import SmoothWeighted
from .table_balancer import TableBalancer
from .weighted_random import WeightedRandom

__all__ = ["Balancer", "RoundRobin", "SmoothWeighted", "TableBalancer", "WeightedRandom"]
