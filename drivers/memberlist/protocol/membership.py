"""What a message does to the node list: the rules of SWIM, with incarnations (section 4.2).

A node's *incarnation* counts its own statements about itself; only the node raises it. Of two statements about a
node the one of the higher incarnation wins; at equal incarnation dead beats suspect and suspect beats alive. So

- alive at i overrides what is known below i;
- suspect at i overrides alive up to i, and a further one about a suspect confirms it;
- dead at i overrides alive and suspect up to i; a node that reports its own death has left;
- a node that hears itself reported refutes: it states that it is alive, above the incarnation of the report.

Where this differs from the Go code, it is on purpose:

- a member that nobody could ever reach or that would poison later joins (no usable address, broken version bytes, a
  name or metadata beyond the limits) is refused;
- incarnations close to 2**32 are refused, and those far above the known one: Go's counter wraps there, and the node
  can never refute again; no forged message brings anybody near, and who is there begins anew; who was driven far by
  one tells those that ask (`corrections`);
- a node that was restarted, and is held dead at a higher incarnation than it now has, is told so directly; it then
  refutes at once instead of staying dead until somebody's push/pull reaches it;
- knowledge about the dead is monotone: a later report raises the incarnation that a return has to beat;
- our refutation replaces the report in the gossip queue;
- a node that was started again goes on above the incarnation of its life before, as soon as it hears of that
  (`push_pull`), and says so to everybody directly (`corrections`); such a refutation is no sign of bad health;
- a suspect is told by its reporter directly, and refutes directly to it, beside the gossip: with a fifth of all packets
  lost, gossip alone now and then takes longer than the four seconds that a small cluster gives a suspect;
- whoever is about to declare a suspect dead tells it so once more, and a node that hears a report which it has
  refuted long ago answers the reporter: gossip passes by one node in a hundred of a small cluster, even if nothing is
  lost. In Go such a node holds the suspect dead until a push/pull; nobody contradicts it.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Mapping
from typing import Any

from .admission import MAX_INCARNATION, MAX_REPORTED_JUMP, admitted_host, check_incarnation
from .context import Context
from .corrections import Corrections
from .errors import ProtocolError
from .events import (
    NodeConflict,
    NodeJoined,
    NodeLeft,
    NodeRefuted,
    NodeSuspected,
    NodeUpdated,
)
from .isolation import Isolation
from .messages import Alive, Dead, State, Suspect
from .node_list import NodeRecord, Roster
from .suspicion import Suspicion, new_suspicion

__all__ = ["MAX_NODES", "Lifecycle", "Membership"]

MAX_NODES = 50_000


class Lifecycle(enum.Enum):
    """How far a node has come: it takes part, it is telling the others that it goes, they know."""

    RUNNING = enum.auto()
    LEAVING = enum.auto()
    LEFT = enum.auto()


class Membership:
    """The node list of one node, and the only code that changes who is in it and in which state.

    Attributes:
        lifecycle: whether we take part ourselves.
        isolation: whether it is us who are cut off.
        on_lost: called with every node that is declared dead.
        on_found: called with the name of every node that is alive again, or left on its own account.
    """

    def __init__(self, context: Context, roster: Roster) -> None:
        self._context = context
        self._roster = roster
        self._corrections = Corrections(context, roster)
        self._incarnation = 0
        self.lifecycle = Lifecycle.RUNNING
        self.isolation = Isolation(roster)
        self.on_lost: Callable[[NodeRecord], None] = lambda node: None
        self.on_found: Callable[[str], None] = lambda name: None
        context.broadcasts.statement_of = self._statement_of

    @property
    def running(self) -> bool:
        """Whether we take part, and say so."""
        return self.lifecycle is Lifecycle.RUNNING

    @property
    def me(self) -> NodeRecord:
        """Our own entry."""
        node = self._roster.get(self._context.config.name)
        if node is None:
            raise RuntimeError("the node has not been started")
        return node

    def _statement_of(self, name: str) -> bytes:
        node = self._roster.get(name)
        return b"" if node is None else node.statement().encode()

    def announce(self) -> None:
        """State that we are alive, with the configured metadata, under a new incarnation."""
        config = self._context.config
        self._raise_incarnation(self._incarnation)
        own = Alive(self._incarnation, config.name, config.addr, config.advertise_port, config.meta or None, config.vsn)
        self.alive(own, own=True)

    def is_stale(self, fields: Mapping[bytes, Any]) -> bool:
        """Whether an alive message, not yet decoded, tells nothing new: the most frequent case by far, so it is checked
        before anything is built.
        """
        try:
            node = self._roster.get(fields[b"Node"].decode("utf-8", "surrogateescape"))
            return (
                node is not None
                and fields[b"Incarnation"] <= node.incarnation
                and fields[b"Addr"] == node.addr
                and fields[b"Port"] == node.port
                and node.state < State.DEAD
                and node.name != self._context.config.name
            )
        except (KeyError, TypeError, AttributeError):
            return False

    # -- alive ---------------------------------------------------------------------------------------------------------

    def alive(self, message: Alive, *, own: bool = False) -> None:
        """Apply an alive message; `own` marks our own statement about ourselves."""
        context = self._context
        is_me = message.node == context.config.name
        if is_me and not self.running and not own:
            return
        node = self._roster.get(message.node)
        host = admitted_host(context, message, node, own=own)
        if host is None:
            if node is not None:
                self._corrections.ask_for_steps(node, message)
            return
        if node is None:
            self._add(message, host)
            return
        moved = False
        if (node.host, node.port) != (host, message.port):
            moved = self._may_move(node)
            if not moved:
                context.counters["name_conflicts"] += 1
                context.events.append(NodeConflict(node.snapshot(), (host, message.port)))
                return
        if is_me and not own:
            self._answer_about_me(node, message)
            return
        if message.incarnation <= node.incarnation and not moved:
            self._corrections.tell_the_restarted(node, message, host)
            return
        self._drop_suspicion(node)
        self._update(node, message, host)
        context.broadcasts.queue_statement(node.name, node.statement_bytes)

    def _add(self, message: Alive, host: str) -> None:
        """Insert an unknown node."""
        context, roster = self._context, self._roster
        if message.incarnation == 0 or context.nodes >= MAX_NODES:
            context.problem("alive_refused", f"{message.node}: incarnation 0, or too many members")
            return
        vsn = context.vsn if message.vsn == context.vsn else message.vsn[:6]  # thousands may share one
        now = context.now
        node = NodeRecord(
            message.node, message.addr, host, message.port, message.meta, vsn, message.incarnation, State.ALIVE, now
        )
        roster.add(node)
        context.nodes = len(roster)
        context.broadcasts.queue_statement(node.name, node.statement_bytes)
        context.counters["statements_applied"] += 1
        self._joined(node)

    def _joined(self, node: NodeRecord) -> None:
        self._context.counters["nodes_joined"] += 1
        self._context.events.append(NodeJoined(node.snapshot()))
        self.isolation.found(node.name)
        self.on_found(node.name)

    def _may_move(self, node: NodeRecord) -> bool:
        """Whether the name may be taken over from another address: at once after a leave, later after a failure."""
        reclaim = self._context.config.dead_node_reclaim_time
        if node.state is State.LEFT:
            return True
        return node.state is State.DEAD and 0 < reclaim < self._context.now - node.state_changed

    def _answer_about_me(self, me: NodeRecord, message: Alive) -> None:
        """Somebody repeats what we said, or what a former process under our name said."""
        if message.incarnation < me.incarnation:
            return
        same = (message.meta or b"") == (me.meta or b"") and message.vsn == me.vsn
        if message.incarnation > me.incarnation or not same:
            self._refute(me, message.incarnation, slow=False)

    def outlive(self, incarnation: int) -> None:
        """Somebody knows of an earlier life of ours: go on above it, or late words of it would hold for us."""
        me = self.me
        if self.running and incarnation >= me.incarnation:
            with contextlib.suppress(ProtocolError):  # the merge reports it
                check_incarnation(incarnation, me, MAX_REPORTED_JUMP)
                self._refute(me, incarnation, slow=False)

    def _update(self, node: NodeRecord, message: Alive, host: str) -> None:
        context = self._context
        before, meta_before = node.state, node.meta
        self._roster.set_statement(node, message, host)
        if before is not State.ALIVE:
            self._roster.set_state(node, State.ALIVE, context.now)
        context.counters["statements_applied"] += 1
        if before >= State.DEAD:
            node.weight = node.round_trip = None
            self._joined(node)
        elif before is State.SUSPECT:
            self.isolation.found(node.name)
            context.events.append(NodeRefuted(node.snapshot()))
        elif (meta_before or b"") != (node.meta or b""):
            context.events.append(NodeUpdated(node.snapshot()))

    # -- suspect -------------------------------------------------------------------------------------------------------

    def suspect(self, message: Suspect) -> None:
        """Apply a suspicion, ours or somebody else's."""
        context = self._context
        node = self._reported(message)
        if node is None:
            return
        if node.suspicion is not None:
            suspicion, timer = node.suspicion
            if suspicion.confirm(message.reporter, context.now):
                timer.cancel()
                self._set_suspicion(node, suspicion)
                context.broadcasts.queue(message.encode(), node.name)
            return
        if node.gone:
            self._roster.set_incarnation(node, message.incarnation)
            return
        if node.state is not State.ALIVE:
            return
        if node.name == context.config.name:
            self._refute(node, message.incarnation, message.reporter)
            return
        context.broadcasts.queue(message.encode(), node.name)
        if message.reporter == context.config.name:
            context.send(node.address, message.encode(), crc=node.reads_crc)
        context.counters["suspicions"] += 1
        self._roster.set_incarnation(node, message.incarnation)
        self._roster.set_state(node, State.SUSPECT, context.now)
        self._set_suspicion(node, new_suspicion(message.reporter, context.config, context.nodes, context.now))
        context.events.append(NodeSuspected(node.snapshot()))
        self.isolation.lost(node.name)

    def _set_suspicion(self, node: NodeRecord, suspicion: Suspicion) -> None:
        timers, now = self._context.timers, self._context.now
        last_call = max(now, suspicion.deadline - self._context.config.probe_timeout)
        node.suspicion = (suspicion, timers.at(last_call, self._last_call, node, suspicion))

    def _drop_suspicion(self, node: NodeRecord) -> None:
        if node.suspicion is not None:
            node.suspicion[1].cancel()
            node.suspicion = None

    def _last_call(self, node: NodeRecord, suspicion: Suspicion) -> None:
        """Tell the suspect once more, directly, before it is declared dead: its refutation may have missed only us."""
        context = self._context
        report = Suspect(node.incarnation, node.name, context.config.name)
        context.send(node.address, report.encode(), crc=node.reads_crc)
        node.suspicion = (suspicion, context.timers.at(suspicion.deadline, self._suspicion_over, node, suspicion))

    def _suspicion_over(self, node: NodeRecord, suspicion: Suspicion) -> None:
        if suspicion.missing > 0:
            self._context.counters["suspicions_unconfirmed"] += 1
        self.dead(Dead(node.incarnation, node.name, self._context.config.name))

    def postpone_suspicions(self, seconds: float) -> None:
        """We stood still for that long: whoever refuted meanwhile could not be heard."""
        for node in self._roster:
            if node.suspicion is not None:
                suspicion, timer = node.suspicion
                timer.cancel()
                suspicion.postpone(seconds)
                self._set_suspicion(node, suspicion)

    # -- dead, left ----------------------------------------------------------------------------------------------------

    def dead(self, message: Dead) -> None:
        """Apply a death or a leave."""
        context = self._context
        node = self._reported(message)
        if node is None:
            return
        self._drop_suspicion(node)
        if node.gone:
            self._roster.set_incarnation(node, message.incarnation)
            return
        is_me = node.name == context.config.name
        if is_me and self.running:
            self._refute(node, message.incarnation, message.reporter, slow=message.reporter != message.node)
            return
        context.broadcasts.queue(message.encode(), node.name, self._leave_told if is_me else None)
        context.counters["nodes_gone"] += 1
        self._roster.set_incarnation(node, message.incarnation)
        state = State.LEFT if message.reporter == message.node else State.DEAD
        if node.state is State.ALIVE:
            self.isolation.lost(node.name)
        self._roster.set_state(node, state, context.now)
        context.events.append(NodeLeft(node.snapshot()))
        if state is State.DEAD:
            self.on_lost(node)
        else:
            self.isolation.answered()
            self.on_found(node.name)

    def leave(self) -> None:
        """State that we leave. `lifecycle` turns to LEFT when that was sent often enough, or nobody is there to hear
        it.

        From here on we say nothing more about ourselves.
        """
        if not self.running:
            return
        self.lifecycle = Lifecycle.LEAVING
        self.dead(self.farewell())
        if not self._roster.present:
            self.lifecycle = Lifecycle.LEFT

    def farewell(self) -> Dead:
        """What we say when we leave."""
        return Dead(self.me.incarnation, self.me.name, self.me.name)

    def _raise_incarnation(self, above: int) -> None:
        """Take the next one. After the last that others accept we begin anew: they will hold us dead, forget us, and
        then take us in again.
        """
        self._incarnation = above + 1
        if self._incarnation >= MAX_INCARNATION:
            self._incarnation = 1
            self._roster.set_incarnation(self.me, 0)

    def return_after_leave(self) -> None:
        """Take part again after `leave`."""
        self.lifecycle = Lifecycle.RUNNING
        self._incarnation = max(self._incarnation, self.me.incarnation)
        self.announce()

    def _leave_told(self) -> None:
        if self.lifecycle is Lifecycle.LEAVING:
            self.lifecycle = Lifecycle.LEFT

    def _reported(self, message: Suspect | Dead) -> NodeRecord | None:
        """The node that a report is about, or None if the report is void: unknown node, refuted, or forged."""
        node = self._roster.get(message.node)
        if node is None:
            return None
        if message.incarnation < node.incarnation:
            if node.name == self._context.config.name:
                self._corrections.repeat_refutation(node, message)
            return None
        try:
            check_incarnation(message.incarnation, node, MAX_REPORTED_JUMP)
        except ProtocolError as error:
            self._context.problem("incarnation_refused", f"{message.node}: {error}")
            return None
        return node

    def _refute(self, me: NodeRecord, reported: int, reporter: str = "", *, slow: bool = True) -> None:
        """State that we are alive, above the incarnation `reported`, and tell the reporter first.

        Args:
            slow: whether that is a sign that we answer too slowly. It is none if the report is about a former process
                under our name; then there may be others that believe it, and everybody is told.
        """
        context = self._context
        self._raise_incarnation(max(self._incarnation, reported))
        self._roster.set_incarnation(me, self._incarnation)
        context.counters["refutations"] += 1
        context.broadcasts.queue_statement(me.name, me.statement_bytes)
        if not slow:
            self._corrections.tell_everybody(me)
            return
        context.awareness.apply(1)
        node = self._roster.get(reporter)
        if node is not None and node is not me:
            context.send(node.address, me.statement().encode(), crc=node.reads_crc)

    def reap(self) -> list[NodeRecord]:
        """Forget those that have been gone for so long that gossip no longer reaches them; shuffle the others.

        Never ourselves, after a leave: our push/pulls would be empty, and not every implementation survives one.
        """
        config = self._context.config
        dropped = self._roster.drop_gone(self._context.now - config.gossip_to_the_dead_time, keep=config.name)
        self._context.nodes = len(self._roster)
        return dropped
