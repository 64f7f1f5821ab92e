"""go-doudou's dynamic weight: a node measures how much it can take and tells the others (dialect doudou, type 14).

    weight = round(0.6 * (M - score) + 0.4 * M * idle)

with M the awareness multiplier (8), the local health score, and the idle share of the processor. Only nodes without
a static weight announce one. A weight does not touch the incarnation, and is kept while its node is suspected (Go
forgets it there).

go-doudou knows the machine alone, so its idlest node has 8 and its busiest 5. A service that knows how much more it can
take itself announces that share of it, and never nothing: others take 0 for "not at all".

Of two weights the one that was measured later counts, by the clock of the node that measured them. Nobody else can
check that clock; so a date that no later announcement reaches, although they go on, was wrong, or forged. After some
seconds it gives way to them.
"""

from __future__ import annotations

import math

from .context import Context
from .events import WeightChanged
from .membership import Membership
from .messages import State, Weight
from .node_list import Roster

__all__ = ["MAX_WEIGHT", "Weights", "dynamic_weight"]

MAX_WEIGHT = 8
"""A weight is at most the awareness multiplier, which is 8 everywhere: go-doudou cannot be told another one. A forged
weight must not draw all calls to a node.
"""
_DATE_HOLDS_FOR = 3.0
_MAX_OUTDATED = 1024


def dynamic_weight(max_multiplier: int, score: int, idle: float, headroom: float = 1.0) -> int:
    """The weight of a node with this health `score` and this `idle` share of its processor, 0 to 1, and for `headroom`
    the free share of what its service can take. Rounds as Go does.
    """
    machine = 0.6 * (max_multiplier - score) + 0.4 * max_multiplier * idle
    return max(math.floor(machine * headroom + 0.5), min(1, math.floor(machine + 0.5)))


class Weights:
    """Announces our own dynamic weight, and notes and passes on those of others."""

    def __init__(self, context: Context, roster: Roster, membership: Membership) -> None:
        self._context = context
        self._roster = roster
        self._membership = membership
        self._outdated: dict[str, int] = {}
        """When the latest weight was measured that counted as older than the known one, by node."""

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
        headroom = 1.0 if context.hooks.headroom is None else context.hooks.headroom()
        me = membership.me
        value = dynamic_weight(context.config.awareness_max_multiplier, context.awareness.score, idle, headroom)
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
        if before is not None and message.weight_at <= before[1] and not self._overtakes(message, before):
            return
        self._outdated.pop(message.node, None)
        node.weight = (message.weight, message.weight_at, context.now)
        context.counters["weights_applied"] += 1
        context.broadcasts.queue(message.encode(), ("weight", node.name))
        if before is None or before[0] != message.weight:
            context.events.append(WeightChanged(node.snapshot()))

    def _overtakes(self, message: Weight, known: tuple[int, int, float]) -> bool:
        """Whether announcements go on below the known date, which has stood for long."""
        _, known_at, since = known
        latest = self._outdated.get(message.node)
        if message.weight_at == known_at or (latest is not None and message.weight_at <= latest):
            return False
        if latest is not None and self._context.now - since >= _DATE_HOLDS_FOR:
            return True
        if len(self._outdated) >= _MAX_OUTDATED:
            self._outdated.clear()
        self._outdated[message.node] = message.weight_at
        return False
