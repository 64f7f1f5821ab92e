"""What one node is told directly, beside the gossip: that it is held dead, that we are not, or what it missed of us.

Each node hears such a word once a second at most, however often there is reason for one.

Who returns after an earlier life says so to everybody, a gossip interval later: by then it knows who there is. Gossip
alone passes somebody by in two of a hundred returns to a cluster of six, and whoever then still holds the node for left
neither probes it nor gossips to it: it is not listed there until somebody's push/pull.

A statement far above what is known of a node is not believed (`admission`): it may be forged. Nor can it be told from
one that is true, when somebody has driven the node there with a forged statement that we did not hear. Then nothing
that the node says reaches us any more, neither what it offers nor that it lives. So we ask the node, in the words of a
report that it has refuted long ago; and whoever repeats a refutation goes up to where it is from what the reporter
knows, in steps that the reporter believes.
"""

from __future__ import annotations

import attrs

from .admission import MAX_INCARNATION, MAX_INCARNATION_JUMP
from .context import Context
from .messages import Alive, Dead, Suspect
from .node_list import NodeRecord, Roster

__all__ = ["Corrections"]

_AGAIN_AFTER = 1.0
_MOST_STEPS = 4
"""At once: who is further behind asks again from where these have brought it."""
_TOLD_AT_ONCE = 32
"""Of everybody, per gossip interval."""


class Corrections:
    """Says such words, and keeps to the limit."""

    def __init__(self, context: Context, roster: Roster) -> None:
        self._context = context
        self._roster = roster
        self._telling = False
        self._untold: list[NodeRecord] | None = None

    def tell_the_restarted(self, node: NodeRecord, message: Alive, host: str) -> None:
        """A node that we hold dead says that it lives, and not loud enough."""
        context = self._context
        if not node.gone or context.now - node.state_changed < context.config.gossip_interval * 4:
            return  # old gossip about a node that has only just gone
        if self._may_tell(node):
            report = Suspect(node.incarnation, node.name, context.config.name)
            context.send((host, message.port), report.encode())

    def ask_for_steps(self, node: NodeRecord, message: Alive) -> None:
        """Somebody says that a node is where we do not believe it to be."""
        context = self._context
        far = node.incarnation + MAX_INCARNATION_JUMP < message.incarnation < MAX_INCARNATION
        if far and node.name != context.config.name and self._may_tell(node):
            report = Suspect(max(0, node.incarnation - 1), node.name, context.config.name)
            context.send(node.address, report.encode(), crc=node.reads_crc)

    def repeat_refutation(self, me: NodeRecord, report: Suspect | Dead) -> None:
        """Somebody still reports what we have refuted."""
        context, node = self._context, self._roster.get(report.reporter)
        if node is None or node is me or me.gone or not self._may_tell(node):
            return
        context.counters["refutations_repeated"] += 1
        statement = me.statement()
        steps = range(report.incarnation + MAX_INCARNATION_JUMP, me.incarnation, MAX_INCARNATION_JUMP)
        for incarnation in [*steps, me.incarnation][:_MOST_STEPS]:
            context.send(node.address, attrs.evolve(statement, incarnation=incarnation).encode(), crc=node.reads_crc)

    def tell_everybody(self, me: NodeRecord) -> None:
        """We are here, above what was said of an earlier life. A round that is under way begins anew, and no sooner:
        such reports may be forged by the thousand.
        """
        self._untold = None
        if not self._telling:
            self._tell_later(me)

    def _tell_later(self, me: NodeRecord) -> None:
        context = self._context
        self._telling = True
        context.timers.at(context.now + context.config.gossip_interval, self._tell_some, me)

    def _tell_some(self, me: NodeRecord) -> None:
        self._telling = False
        if me.gone:
            return
        untold = self._untold
        if untold is None:
            untold = [node for node in self._roster if node is not me and not node.gone]
        now, self._untold = untold[:_TOLD_AT_ONCE], untold[_TOLD_AT_ONCE:]
        statement = me.statement().encode()
        for node in now:
            self._context.send(node.address, statement, crc=node.reads_crc)
        if self._untold:
            self._tell_later(me)

    def _may_tell(self, node: NodeRecord) -> bool:
        if node.corrected_at + _AGAIN_AFTER > self._context.now:
            return False
        node.corrected_at = self._context.now
        return True
