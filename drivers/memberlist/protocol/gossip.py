"""Gossip: every interval, some random nodes are told what is new (SWIM section 4.1; Go's tick).

The recently dead hear it too: one that lives after all learns what is said about it, and refutes.
"""

from __future__ import annotations

from .context import Context
from .messages import State
from .node_list import NodeRecord, Roster

__all__ = ["Gossiper"]


class Gossiper:
    """Spreads what the queue holds."""

    def __init__(self, context: Context, roster: Roster) -> None:
        self._context = context
        self._roster = roster

    def tick(self) -> None:
        """Tell some random nodes; nothing is sent when there is nothing to tell."""
        context = self._context
        if not context.broadcasts and not context.user_broadcasts:
            return
        for node in self._roster.sample(context.config.gossip_nodes, self._listens):
            if not context.send_gossip(node.address, crc=node.reads_crc):
                return

    def _listens(self, node: NodeRecord) -> bool:
        if node.name == self._context.config.name or node.state is State.LEFT:
            return False
        if node.state is State.DEAD:
            return self._context.now - node.state_changed <= self._context.config.gossip_to_the_dead_time
        return True
