"""What a message does to the node list: the rules of SWIM, with incarnations (section 4.2).

A node's *incarnation* counts its own statements about itself; only the node raises it. Of two statements about a
node the one of the higher incarnation wins; at equal incarnation dead beats suspect and suspect beats alive. So

- alive at i overrides what is known below i;
- suspect at i overrides alive up to i, and a further one about a suspect confirms it;
- dead at i overrides alive and suspect up to i; a dead that names itself as accuser has left;
- a node that hears itself accused refutes: it states that it is alive, above the accusation.

Where this differs from the Go code, it is on purpose:

- a member that nobody could ever reach or that would poison later joins (no usable address, broken version bytes, a
  name or metadata beyond the limits) is refused;
- incarnations close to 2**32 are refused, and those far above the known one: Go's counter wraps there, and the node
  can never refute again; a single forged message must not bring anybody near;
- a node that was restarted, and is held dead at a higher incarnation than it now has, is told so directly; it then
  refutes at once instead of staying dead until somebody's push/pull reaches it;
- knowledge about the dead is monotone: a later accusation raises the incarnation that a return has to beat;
- our refutation replaces the accusation in the gossip queue;
- a suspect is told by its accuser directly, and refutes directly to it, beside the gossip: with a fifth of all packets
  lost, gossip alone now and then takes longer than the four seconds that a small cluster gives a suspect;
- whoever is about to declare a suspect dead tells it so once more, and a node that hears an accusation which it has
  refuted long ago answers the accuser: gossip passes by one node in a hundred of a small cluster, even if nothing is
  lost. In Go such a node holds the accused dead until a push/pull; nobody contradicts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ProtocolError
from .admission import check_fields, check_incarnation, check_metadata
from .context import Context
from .events import (
    NodeConflict,
    NodeJoined,
    NodeLeft,
    NodeRefuted,
    NodeSuspected,
    NodeUpdated,
    WeightChanged,
)
from .messages import Alive, Dead, State, Suspect, Weight
from .node_list import CRC_SINCE, NodeState, Roster
from .suspicion import Suspicion, suspicion_timeout

__all__ = ["MAX_NODES", "MAX_WEIGHT", "Membership"]

MAX_NODES = 50_000
MAX_WEIGHT = 1_000
"""A weight is at most the awareness multiplier, 8 by default. One forged weight must not draw all calls to a node."""
_CORRECT_AGAIN_AFTER = 1.0


class Membership:
    """The node list of one node, and the only code that changes it."""

    def __init__(self, context: Context, roster: Roster) -> None:
        self._context = context
        self._roster = roster
        self._incarnation = 0
        self.leaving = False
        self.left_announced = False

    @property
    def me(self) -> NodeState:
        """Our own entry."""
        node = self._roster.get(self._context.config.name)
        if node is None:
            raise RuntimeError("the node has not been started")
        return node

    def announce(self) -> None:
        """State that we are alive, with the configured metadata, under a new incarnation."""
        config = self._context.config
        self._incarnation += 1
        own = Alive(self._incarnation, config.name, config.addr, config.advertise_port, config.meta or None, config.vsn)
        self.alive(own, own=True)

    def is_stale(self, fields: Mapping[bytes, Any]) -> bool:
        """Whether an alive message, not yet decoded, tells nothing new: the most frequent case by far, so it is checked
        before anything is built.
        """
        try:
            node = self._roster.by_raw_name[fields[b"Node"]]
            return (
                fields[b"Incarnation"] <= node.incarnation
                and fields[b"Addr"] == node.addr
                and fields[b"Port"] == node.port
                and node.state < State.DEAD
                and node.name != self._context.config.name
            )
        except (KeyError, TypeError):
            return False

    # -- alive ---------------------------------------------------------------------------------------------------------

    def alive(self, message: Alive, *, own: bool = False) -> None:
        """Apply an alive message; `own` marks our own statement about ourselves."""
        context = self._context
        is_me = message.node == context.config.name
        if is_me and self.leaving and not own:
            return
        node = self._roster.get(message.node)
        host = self._acceptable_host(message, node, own=own)
        if host is None:
            return
        moved = False
        if node is None:
            if message.incarnation == 0 or len(self._roster) >= MAX_NODES:
                context.problem("alive refused", f"{message.node}: incarnation 0, or too many members")
                return
            node = self._add(message, host)
        elif (node.host, node.port) != (host, message.port):
            moved = self._may_move(node)
            if not moved:
                context.counters["name conflict"] += 1
                context.events.append(NodeConflict(node.snapshot(), (host, message.port)))
                return
        if is_me and not own:
            self._answer_about_me(node, message)
            return
        if message.incarnation <= node.incarnation and not moved:
            self._tell_the_restarted(node, message, host)
            return
        self._close_case(node)
        context.broadcasts.queue(message.encode(), message.node)
        self._update(node, message, host)

    def _acceptable_host(self, message: Alive, known: NodeState | None, *, own: bool) -> str | None:
        """The host of a member we would admit, else None. What a known node repeats was checked before."""
        context, config = self._context, self._context.config
        try:
            check_incarnation(message.incarnation, known)
            check_metadata(message.meta)
            if known is None or message.port != known.port or message.vsn != known.vsn:
                check_fields(message, config.vsn)
            if known is not None and message.addr == known.addr:
                host = known.host
            else:
                host = config.dialect.decode_host(message.addr)
        except ProtocolError as error:
            context.problem("alive refused", f"{message.node[:80]}: {error}")
            return None
        if own:
            return host
        if not config.allows(host):
            context.problem("address not allowed", f"{message.node} at {host}")
            return None
        admit = context.hooks.admit
        if admit is not None and not admit(message.node, host, message.port, message.meta or b""):
            context.counters["not admitted"] += 1
            return None
        return host

    def _add(self, message: Alive, host: str) -> NodeState:
        """Insert an unknown node as dead, so that what follows is an ordinary return."""
        node = NodeState(
            message.node,
            message.addr,
            host,
            message.port,
            message.meta,
            message.vsn[:6],
            0,
            State.DEAD,
            self._context.now,
        )
        self._roster.add(node)
        self._context.nodes = len(self._roster)
        return node

    def _may_move(self, node: NodeState) -> bool:
        """Whether the name may be taken over from another address: at once after a leave, later after a failure."""
        reclaim = self._context.config.dead_node_reclaim_time
        if node.state is State.LEFT:
            return True
        return node.state is State.DEAD and 0 < reclaim < self._context.now - node.state_changed

    def _answer_about_me(self, me: NodeState, message: Alive) -> None:
        """Somebody repeats what we said, or what a former process under our name said."""
        if message.incarnation < me.incarnation:
            return
        same = (message.meta or b"") == (me.meta or b"") and message.vsn == me.vsn
        if message.incarnation > me.incarnation or not same:
            self._refute(me, message.incarnation)

    def _tell_the_restarted(self, node: NodeState, message: Alive, host: str) -> None:
        context = self._context
        if not node.gone or node.corrected_at + _CORRECT_AGAIN_AFTER > context.now:
            return
        if context.now - node.state_changed < context.config.gossip_interval * 4:
            return  # old gossip about a node that has only just gone
        node.corrected_at = context.now
        accusation = Suspect(node.incarnation, node.name, context.config.name)
        context.send((host, message.port), accusation.encode())

    def _update(self, node: NodeState, message: Alive, host: str) -> None:
        context = self._context
        before, meta_before = node.state, node.meta
        node.incarnation = message.incarnation
        node.meta = message.meta
        node.addr, node.host, node.port = message.addr, host, message.port
        node.vsn = message.vsn[:6]
        if before is not State.ALIVE:
            node.state = State.ALIVE
            node.state_changed = context.now
        context.counters["alive"] += 1
        if before >= State.DEAD:
            node.weight = None
            context.counters["joined"] += 1
            context.events.append(NodeJoined(node.snapshot()))
        elif before is State.SUSPECT:
            context.events.append(NodeRefuted(node.snapshot()))
        elif (meta_before or b"") != (node.meta or b""):
            context.events.append(NodeUpdated(node.snapshot()))

    # -- suspect -------------------------------------------------------------------------------------------------------

    def suspect(self, message: Suspect) -> None:
        """Apply a suspicion, ours or somebody else's."""
        context = self._context
        node = self._accused(message)
        if node is None:
            return
        if node.case is not None:
            suspicion, timer = node.case
            if suspicion.confirm(message.accuser, context.now):
                timer.cancel()
                self._open_case(node, suspicion)
                context.broadcasts.queue(message.encode(), node.name)
            return
        if node.gone:
            node.incarnation = message.incarnation
            return
        if node.state is not State.ALIVE:
            return
        if node.name == context.config.name:
            self._refute(node, message.incarnation, message.accuser)
            return
        context.broadcasts.queue(message.encode(), node.name)
        if message.accuser == context.config.name:
            context.send(node.address, message.encode(), crc=node.protocol_max >= CRC_SINCE)
        context.counters["suspect"] += 1
        node.incarnation = message.incarnation
        node.state = State.SUSPECT
        node.state_changed = context.now
        self._open_case(node, self._new_suspicion(message.accuser))
        context.events.append(NodeSuspected(node.snapshot()))

    def _new_suspicion(self, accuser: str) -> Suspicion:
        context, config = self._context, self._context.config
        expected = config.suspicion_mult - 2
        if context.nodes - 2 < expected:
            expected = 0  # too few nodes to confirm anything
        least = suspicion_timeout(config.suspicion_mult, context.nodes, config.probe_interval)
        return Suspicion(accuser, expected, least, config.suspicion_max_timeout_mult * least, context.now)

    def _open_case(self, node: NodeState, suspicion: Suspicion) -> None:
        timers, now = self._context.timers, self._context.now
        last_call = max(now, suspicion.deadline - self._context.config.probe_timeout)
        node.case = (suspicion, timers.at(last_call, self._last_call, node, suspicion))

    def _close_case(self, node: NodeState) -> None:
        if node.case is not None:
            node.case[1].cancel()
            node.case = None

    def _last_call(self, node: NodeState, suspicion: Suspicion) -> None:
        """Its refutation may have missed only us."""
        context = self._context
        accusation = Suspect(node.incarnation, node.name, context.config.name)
        context.send(node.address, accusation.encode(), crc=node.protocol_max >= CRC_SINCE)
        node.case = (suspicion, context.timers.at(suspicion.deadline, self._suspicion_over, node, suspicion))

    def _suspicion_over(self, node: NodeState, suspicion: Suspicion) -> None:
        if suspicion.missing > 0:
            self._context.counters["suspicion ended unconfirmed"] += 1
        self.dead(Dead(node.incarnation, node.name, self._context.config.name))

    def postpone_suspicions(self, seconds: float) -> None:
        """We stood still for that long: whoever refuted meanwhile could not be heard."""
        for node in self._roster:
            if node.case is not None:
                suspicion, timer = node.case
                timer.cancel()
                suspicion.postpone(seconds)
                self._open_case(node, suspicion)

    # -- dead, left ----------------------------------------------------------------------------------------------------

    def dead(self, message: Dead) -> None:
        """Apply a death or a leave."""
        context = self._context
        node = self._accused(message)
        if node is None:
            return
        self._close_case(node)
        if node.gone:
            node.incarnation = message.incarnation
            return
        is_me = node.name == context.config.name
        if is_me and not self.leaving:
            self._refute(node, message.incarnation, message.accuser)
            return
        context.broadcasts.queue(message.encode(), node.name, self._left_announced if is_me else None)
        context.counters["dead"] += 1
        node.incarnation = message.incarnation
        node.state = State.LEFT if message.accuser == message.node else State.DEAD
        node.state_changed = context.now
        context.events.append(NodeLeft(node.snapshot()))

    def leave(self) -> None:
        """State that we leave. `left_announced` turns true when that was sent often enough, or nobody is there to
        hear it.

        From here on we say nothing more about ourselves.
        """
        if self.leaving:
            return
        self.leaving = True
        me = self.me
        self.dead(Dead(me.incarnation, me.name, me.name))
        if not any(not node.gone for node in self._roster):
            self.left_announced = True

    def return_after_leave(self) -> None:
        """Take part again after `leave`."""
        self.leaving = self.left_announced = False
        self._incarnation = max(self._incarnation, self.me.incarnation)
        self.announce()

    def _left_announced(self) -> None:
        self.left_announced = True

    def _accused(self, message: Suspect | Dead) -> NodeState | None:
        """The node that an accusation is about, or None if the accusation is void."""
        node = self._roster.get(message.node)
        if node is None:
            return None
        if message.incarnation < node.incarnation:
            if node.name == self._context.config.name:
                self._repeat_refutation(node, message.accuser)
            return None
        try:
            check_incarnation(message.incarnation, node)
        except ProtocolError as error:
            self._context.problem("incarnation refused", f"{message.node}: {error}")
            return None
        return node

    def _refute(self, me: NodeState, accused: int, accuser: str = "") -> None:
        """State that we are alive, above the accusation, and tell the accuser first. Having to is a sign that we answer
        too slowly.
        """
        context = self._context
        self._incarnation = max(self._incarnation, accused) + 1
        me.incarnation = self._incarnation
        context.awareness.apply(1)
        context.counters["refuted"] += 1
        context.broadcasts.queue(me.statement().encode(), me.name)
        node = self._roster.get(accuser)
        if node is not None and node is not me:
            context.send(node.address, me.statement().encode(), crc=node.protocol_max >= CRC_SINCE)

    def _repeat_refutation(self, me: NodeState, accuser: str) -> None:
        """Somebody still accuses us of what we have refuted."""
        context, node = self._context, self._roster.get(accuser)
        if node is None or node is me or me.gone or node.corrected_at + _CORRECT_AGAIN_AFTER > context.now:
            return
        node.corrected_at = context.now
        context.counters["refutation repeated"] += 1
        context.send(node.address, me.statement().encode(), crc=node.protocol_max >= CRC_SINCE)

    def reap(self) -> list[NodeState]:
        """Forget those that have been gone for so long that gossip no longer reaches them; shuffle the others.

        Never ourselves, after a leave: our push/pulls would be empty, and not every implementation survives one.
        """
        config = self._context.config
        dropped = self._roster.drop_gone(self._context.now - config.gossip_to_the_dead_time, keep=config.name)
        self._context.nodes = len(self._roster)
        return dropped

    # -- weight --------------------------------------------------------------------------------------------------------

    def weight(self, message: Weight, *, own: bool = False) -> None:
        """Apply a dynamic weight, and pass it on if it is news; `own` marks our own statement about ourselves.

        It does not touch the incarnation, and is kept while the node is suspected (Go forgets it there).
        """
        context = self._context
        node = self._roster.get(message.node)
        if node is None or node.state is not State.ALIVE or message.incarnation < node.incarnation:
            return
        if node.name == context.config.name and not own:
            return
        if not 0 <= message.weight <= MAX_WEIGHT:
            context.problem("weight refused", f"{node.name}: {message.weight}")
            return
        before = node.weight
        if before is not None and message.weight_at <= before[1]:
            return
        node.weight = (message.weight, message.weight_at)
        context.counters["weight"] += 1
        context.broadcasts.queue(message.encode(), ("weight", node.name))
        if before is None or before[0] != message.weight:
            context.events.append(WeightChanged(node.snapshot()))
