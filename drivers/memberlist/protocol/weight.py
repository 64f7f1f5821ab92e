"""go-doudou's dynamic weight: a node measures how much it can take and tells the others (dialect doudou, type 14).

    weight = round(0.6 * (M - score) + 0.4 * M * idle)

with M the awareness multiplier (8), the local health score, and the idle share of the processor. Only nodes without
a static weight announce one.
"""

from __future__ import annotations

import math

from .context import Context
from .membership import Membership
from .messages import Weight

__all__ = ["announce_weight", "dynamic_weight"]


def dynamic_weight(max_multiplier: int, score: int, idle: float) -> int:
    """The weight of a node with this health `score` and this `idle` share of its processor, 0 to 1. Rounds as Go
    does.
    """
    return math.floor(0.6 * (max_multiplier - score) + 0.4 * max_multiplier * idle + 0.5)


def announce_weight(context: Context, membership: Membership) -> None:
    """Measure, and queue the result for gossip."""
    load = context.hooks.load
    if load is None or membership.leaving:
        return
    idle, unix_ms = load()
    me = membership.me
    value = dynamic_weight(context.config.awareness_max_multiplier, context.awareness.score, idle)
    membership.weight(Weight(me.incarnation, me.name, me.name, value, unix_ms), own=True)
