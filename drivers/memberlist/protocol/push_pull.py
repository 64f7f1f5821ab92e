"""Anti-entropy: two nodes exchange everything they know (Go's push/pull; SWIM has no such thing).

It is how a node joins, and how what gossip missed is found. Gossip does miss something when many nodes join at
once: every message is sent a limited number of times to random nodes, and now and then somebody is never drawn. In
Go such a node waits for the next periodic exchange, 30 to 120 s later. Here a node whose list has grown by an
eighth exchanges states once more as soon as gossip is quiet, and a node that is probed by a stranger asks the
stranger. The side that was dialled answers with its own state before it merges the other's. A merge takes nobody's
word for a death: what a peer holds dead is suspected here, so that the node in question can refute.

A node that is started again counts its incarnations from 1, as in its life before. If others have not heard yet that
it left, they hold it for alive, as it says itself; the leave that reaches them after all is of the same incarnation,
and they believe it (hashicorp/memberlist issue 311 tells of the like). So a node looks at what the *first* peer with
which it exchanges states says of it. Neither that peer has taken anything in of it yet nor anybody else: what it says
is of an earlier life, even if it is word for word what the node says now. Later ones may only repeat that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from .addresses import Address, shown
from .context import Context
from .errors import ProtocolError
from .events import MergeEnded, RemoteState
from .membership import Membership
from .messages import Alive, Dead, Ping, State, Suspect
from .node_list import Roster
from .scaling import push_pull_scale
from .stream_exchange import StreamExchange
from .stream_messages import Entry, ErrorReply, PushPullHeader, PushPullNode
from .stream_reader import Message, PushPull

__all__ = ["Synchronizer"]

_SETTLE_SHARE = 8
_SLICE = 50
_ENCODED_SLICE = 250
"""Entries merged, or encoded, in one step: half a millisecond."""


class Synchronizer:
    """Exchanges full states.

    Attributes:
        merging: how many states of peers are being taken in.
        name_taken_by: who has our name in the list of the node that we asked last.
    """

    def __init__(self, context: Context, roster: Roster, membership: Membership) -> None:
        self._context = context
        self._roster = roster
        self._membership = membership
        self.merging = 0
        self.name_taken_by: Address | None = None
        self._settled_joins = 0
        self._asked_stranger_at = float("-inf")
        self._met_anybody = False

    def interval(self) -> float:
        """Seconds until the next exchange, at the cluster's present size."""
        return push_pull_scale(self._context.config.push_pull_interval, self._context.nodes)

    def tick(self) -> None:
        """Exchange states with a random live node."""
        own = self._context.config.name
        for node in self._roster.sample(1, lambda node: node.state is State.ALIVE and node.name != own):
            self._context.streams.append(self.with_peer(node.address, join=False))

    def settle(self) -> None:
        """Gossip is quiet: if much of the cluster is new to us, look for what we missed."""
        context = self._context
        new = context.counters["nodes_joined"] - self._settled_joins
        if new * _SETTLE_SHARE >= context.nodes and self._membership.running:
            self._settled_joins = context.counters["nodes_joined"]
            self.tick()

    def ask_stranger(self, ping: Ping, source: Address) -> None:
        """A node that is not in our list knows us: learn what else we missed.

        It is dialled where its ping came from, and only if that is what the ping names: else anybody could have us
        dial third hosts, and tell them who is in the cluster.
        """
        context, config = self._context, self._context.config
        if not self._membership.running or self._asked_stranger_at + config.probe_interval > context.now:
            return
        try:
            host = config.dialect.decode_host(ping.source_addr)
        except ProtocolError:
            return
        named = (host, ping.source_port)
        if context.is_from(source, named, unknown_name=True) and config.allows(source[0]):
            self._asked_stranger_at = context.now
            context.streams.append(self.with_peer(source, join=False))

    def with_peer(
        self, address: Address, *, join: bool, on_end: Callable[[StreamExchange], None] | None = None
    ) -> StreamExchange:
        """An exchange with the node at `address`, ready to be dialled."""
        context = self._context

        def replied(exchange: StreamExchange, message: Message) -> Iterator[None]:
            if isinstance(message, ErrorReply):
                raise ProtocolError(f"remote error: {message.error}")
            if not isinstance(message, PushPull):
                raise ProtocolError(f"expected a state, got {type(message).__name__}")
            self._look_for_own_name(message.nodes)
            self._look_for_earlier_life(message.nodes)
            return self._merge(message, join=join)

        deadline = context.now + context.config.tcp_timeout
        exchange = StreamExchange(context, address, shown(address), deadline, replied, on_end)
        exchange.begin(self._write_state(exchange, join=join))
        context.counters["push_pulls"] += 1
        return exchange

    def answer(self, exchange: StreamExchange, message: PushPull) -> Iterator[None]:
        """Reply to a peer that dialled us, then merge what it sent."""
        self._look_for_earlier_life(message.nodes)
        yield from self._write_state(exchange, join=message.join)
        yield from self._merge(message, join=message.join)

    def _write_state(self, exchange: StreamExchange, *, join: bool) -> Iterator[None]:
        """Everything we know, as it is at the beginning."""
        hook = self._context.hooks.local_state
        user_state = hook(join) if hook is not None else b""
        nodes = list(self._roster)
        parts = [PushPullHeader(len(nodes), len(user_state), join).encode()]
        for start in range(0, len(nodes), _ENCODED_SLICE):
            if start:
                yield
            parts += [self._roster.entry(node) for node in nodes[start : start + _ENCODED_SLICE]]
        exchange.write(b"".join((*parts, user_state)))

    def _merge(self, remote: PushPull, *, join: bool) -> Iterator[None]:
        context = self._context
        merge = context.hooks.merge
        if join and merge is not None and not merge([PushPullNode(*entry) for entry in remote.nodes]):
            raise ProtocolError("the application refused the merge")
        self._membership.isolation.answered()
        self.merging += 1
        try:
            entries = remote.nodes
            entries.reverse()
            while entries:
                for _ in range(min(_SLICE, len(entries))):
                    self._merge_entry(entries.pop())
                yield
            if remote.user_state:
                context.events.append(RemoteState(remote.user_state, join))
        finally:
            self.merging -= 1
            context.events.append(MergeEnded())

    def meet(self) -> None:
        """Somebody hears of us: from here on what others say of us may be what they have from us."""
        self._met_anybody = True
        if self._context.hooks.merge is None:
            self._context.known_entries = self._roster.entries

    def _look_for_earlier_life(self, entries: list[Entry]) -> None:
        """Whether the first peer knows of us, before it can have heard of us."""
        if self._met_anybody:
            return
        self.meet()
        me = self._membership.me
        for _, addr, port, _, incarnation, state, _ in [entry for entry in entries if entry[0] == me.name]:
            # Who is alive elsewhere may be another process: a conflict, which no incarnation settles.
            if state != State.ALIVE or (addr, port) == (me.addr, me.port):
                self._membership.outlive(incarnation)

    def _look_for_own_name(self, entries: list[Entry]) -> None:
        """Whether the node that we asked knows another one under our name. It refuses ours then, and all that hear of
        us through it do not.
        """
        me, own, dialect = self._membership.me, self._context.config.name, self._context.config.dialect
        self.name_taken_by = None
        # All entries are looked at in one go: of those of others only the name.
        for _, addr, port, _, _, state, _ in [entry for entry in entries if entry[0] == own]:
            if state in (State.ALIVE, State.SUSPECT) and (addr, port) != (me.addr, me.port):
                with contextlib.suppress(ProtocolError):
                    self.name_taken_by = (dialect.decode_host(addr), port)

    def _merge_entry(self, entry: Entry) -> None:
        membership = self._membership
        name, addr, port, meta, incarnation, state, vsn = entry
        if state == State.ALIVE:
            membership.alive(Alive(incarnation, name, addr, port, meta, vsn))
        elif state == State.LEFT:
            membership.dead(Dead(incarnation, name, name))
        elif state in (State.SUSPECT, State.DEAD):
            membership.suspect(Suspect(incarnation, name, self._context.config.name))
