"""go-doudou's dynamic weight: a node measures how much it can take and tells the others (dialect doudou, type 14).

    weight = round(0.6 * (M - score) + 0.4 * M * idle)

with M the awareness multiplier (8), the local health score, and the idle share of the processor. Only nodes without
a static weight announce one. A weight does not touch the incarnation, and is kept while its node is suspected (Go
forgets it there).
"""

from __future__ import annotations

import math

from .context import Context
from .events import WeightChanged
from .membership import Membership
from .messages import State, Weight
from .node_list import Roster

__all__ = ["MAX_WEIGHT", "Weights", "dynamic_weight"]

MAX_WEIGHT = 1_000
"""A weight is at most the awareness multiplier, 8 by default. One forged weight must not draw all calls to a node."""


def dynamic_weight(max_multiplier: int, score: int, idle: float) -> int:
    """The weight of a node with this health `score` and this `idle` share of its processor, 0 to 1. Rounds as Go
    does.
    """
    return math.floor(0.6 * (max_multiplier - score) + 0.4 * max_multiplier * idle + 0.5)


class Weights:
    """Announces our own dynamic weight, and notes and passes on those of others."""

    def __init__(self, context: Context, roster: Roster, membership: Membership) -> None:
        self._context = context
        self._roster = roster
        self._membership = membership

    def interval(self) -> float:
        """Seconds between two announcements; 0 is never."""
        config = self._context.config
        return config.weight_interval if config.dialect.has_weight else 0.0

    def tick(self) -> None:
        """Measure our own weight, and queue it for gossip."""
        context, membership = self._context, self._membership
        load = context.hooks.load
        if load is None or not membership.running:
            return
        idle, unix_ms = load()
        me = membership.me
        value = dynamic_weight(context.config.awareness_max_multiplier, context.awareness.score, idle)
        self.heard(Weight(me.incarnation, me.name, me.name, value, unix_ms), own=True)

    def heard(self, message: Weight, *, own: bool = False) -> None:
        """Apply a dynamic weight, and pass it on if it is news; `own` marks our own statement about ourselves."""
        context = self._context
        node = self._roster.get(message.node)
        if node is None or node.state is not State.ALIVE or message.incarnation < node.incarnation:
            return
        if node.name == context.config.name and not own:
            return
        if not 0 <= message.weight <= MAX_WEIGHT:
            context.problem("weight_refused", f"{node.name}: {message.weight}")
            return
        before = node.weight
        if before is not None and message.weight_at <= before[1]:
            return
        node.weight = (message.weight, message.weight_at)
        context.counters["weights_applied"] += 1
        context.broadcasts.queue(message.encode(), ("weight", node.name))
        if before is None or before[0] != message.weight:
            context.events.append(WeightChanged(node.snapshot()))
