"""A hint from outside of the protocol that a node may be gone: somebody's call to it has failed.

The round robin comes to every node once in a round, and a round grows with the cluster; whoever calls a node knows
sooner. So a hint has the node probed at once, out of turn, by the ordinary probe with helpers and TCP. It is a question
and never an answer: only a probe that fails makes a suspect, and everybody hears of that by the ordinary protocol.

A service that goes down fails the calls of thousands, and each of them has a hint to give:

- a node is probed out of turn once per probe interval at most;
- each caller waits for a random part of a quarter of the interval, so that they do not ask in one instant; who hears
  of the suspicion meanwhile need not ask any more;
- whoever doubts its own health asks nothing: the fault may be its own (Lifeguard);
- few probes out of turn are under way at once: who loses everybody in one moment is the one that is cut off, and must
  not go and suspect them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .messages import State

if TYPE_CHECKING:
    from .context import Context
    from .membership import Membership
    from .node_list import NodeRecord, Roster
    from .probe import Prober

__all__ = ["AT_ONCE", "Hints"]

AT_ONCE = 16
"""Probes out of turn that are waited for or under way. More members than that seldom stand on one machine."""

_SPREAD = 0.25
"""Over which part of a probe interval callers spread."""


class Hints:
    """Takes the hints that one node gets."""

    def __init__(self, context: Context, roster: Roster, membership: Membership, prober: Prober) -> None:
        self._context = context
        self._roster = roster
        self._membership = membership
        self._prober = prober
        self._waiting = 0

    def hint(self, name: str) -> None:
        """The node of that name may be gone."""
        context, node = self._context, self._roster.get(name)
        if node is None or not self._is_open(node) or context.now < node.hinted_at + context.config.probe_interval:
            return
        if self._waiting + self._prober.out_of_turn >= AT_ONCE:
            return
        node.hinted_at = context.now + context.stagger(_SPREAD * context.config.probe_interval)
        self._waiting += 1
        context.timers.at(node.hinted_at, self._probe, node)

    def _probe(self, node: NodeRecord) -> None:
        self._waiting -= 1
        if self._is_open(node) and self._prober.probe_out_of_turn(node):
            self._context.counters["probes_hinted"] += 1

    def _is_open(self, node: NodeRecord) -> bool:
        """Whether there is anything to find out, and we are fit to."""
        return (
            node.state is State.ALIVE
            and node.name != self._context.config.name
            and self._membership.running
            and not self._context.awareness.score
        )
