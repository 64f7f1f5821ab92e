"""What chooses one member of a service: plain functions of the current view, for any thread and any event loop."""

from . import explaining as explaining  # says who makes the explanations
from .balancer import Balancer
from .least_latency import LeastLatency
from .least_pending import LeastPending
from .memory.policy import HealthPolicy
from .round_robin import RoundRobin
from .smooth_weighted import SmoothWeighted
from .table_balancer import TableBalancer
from .weighted_random import WeightedRandom

__all__ = [
    "Balancer",
    "HealthPolicy",
    "LeastLatency",
    "LeastPending",
    "RoundRobin",
    "SmoothWeighted",
    "TableBalancer",
    "WeightedRandom",
]
