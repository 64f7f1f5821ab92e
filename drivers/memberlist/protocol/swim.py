"""A gossip node without I/O: bytes, time and randomness in; packets, streams and events out.

    packet_received(data, source, now)       a datagram came in
    accept(source, now) -> StreamExchange    a connection came in
    advance(now)                             time has passed (call at `wake_at`, or any time)
    take() -> Effects                        what to send, what to dial, what happened

Each rule stands in the module that bears its name in the papers: `probe`, `membership`, `suspicion`, `awareness`,
`gossip`, `broadcast`, `push_pull`; this one connects them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from .addresses import Address, shown
from .application import Application
from .cluster_view import ClusterView
from .config import Config
from .context import Context
from .counters import COUNTERS
from .effects import Effects
from .encryption import Keyring
from .errors import ProtocolError
from .events import Node, UserMessage
from .gossip import Gossiper
from .hint import Hints
from .hooks import Hooks
from .membership import Lifecycle, Membership
from .messages import Ack, Alive, Dead, Ping, State
from .node_list import NodeRecord, Roster
from .packet_receiver import PacketReceiver
from .probe import Prober
from .push_pull import Synchronizer
from .reconnect import Healer
from .stream_exchange import StreamExchange
from .stream_limits import MAX_HELD_BYTES, StreamLimits
from .stream_reader import Message, PushPull
from .timers import Periodic
from .weight import Weights
from .work_budget import WorkBudget

if TYPE_CHECKING:
    from random import Random

__all__ = ["Effects", "Swim"]

_LEAVE_GOSSIP_INTERVAL = 0.05
"""A leaving node has no time to wait for the next tick."""


class Swim:
    """One node of a gossip cluster.

    Args:
        keyring: an empty one means no encryption.
        random: decides whom to probe and to gossip with; a seeded one makes a run repeatable.
        random_bytes: nonces; must be fit for cryptography outside of tests.
        now: seconds on any monotonic clock; the same clock is passed to every call.
        max_held_bytes: see `stream_limits`.

    Attributes:
        application: what a program may ask that uses gossip for itself.
        cluster: what the node makes of its cluster as a whole.
    """

    def __init__(
        self,
        config: Config,
        *,
        random: Random,
        random_bytes: Callable[[int], bytes],
        now: float,
        keyring: Keyring | None = None,
        hooks: Hooks | None = None,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._context = Context(config, keyring if keyring is not None else Keyring(()), random, random_bytes, now)
        if hooks is not None:
            self._context.hooks = hooks
        self._roster = Roster(random)
        self._membership = Membership(self._context, self._roster)
        self._prober = Prober(self._context, self._roster, self._membership)
        self._hints = Hints(self._context, self._roster, self._membership, self._prober)
        self._gossiper = Gossiper(self._context, self._roster)
        self._synchronizer = Synchronizer(self._context, self._roster, self._membership)
        self._prober.on_stranger = self._synchronizer.ask_stranger
        self.cluster = ClusterView(self._context, self._roster, self._membership, self._synchronizer)
        self._context.stream_limits = StreamLimits(self.cluster.member_hosts, max_held_bytes)
        self._healer = Healer(self._context, self._roster, self._synchronizer)
        self.application = Application(self._context, self._roster, self._prober)
        self._weights = Weights(self._context, self._roster, self._membership)
        budget = WorkBudget(self.cluster.member_hosts, now)
        self._receiver = PacketReceiver(self._context, self._membership, self._prober, self._weights, budget)
        self._membership.on_lost, self._membership.on_found = self._healer.lost, self._healer.found
        self._gossiping = True
        self._membership.announce()
        self._periodic = [
            Periodic(self._context.timers, lambda: self._context.now, interval, tick)
            for interval, tick in (
                (lambda: self._context.config.probe_interval, self._prober.tick),
                (self._gossip_interval, self._gossip),
                (self._synchronizer.interval, self._synchronizer.tick),
                (self._healer.next_wait, self._heal),
                (self._weights.interval, self._weights.tick),
            )
        ]
        self._context.broadcasts.on_news = self._context.user_broadcasts.on_news = self._news
        self._start_ticking()

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._context.config

    @property
    def keyring(self) -> Keyring:
        """The keys in force; change it to rotate them."""
        return self._context.keyring

    @property
    def counters(self) -> dict[str, int]:
        """How often what happened since the start, for all of `counters.COUNTERS`."""
        counted = self._context.counters
        return {row.name: counted[row.name] for row in COUNTERS}

    @property
    def gauges(self) -> dict[str, int]:
        """How much there is at present, for all of `counters.GAUGES`."""
        limits = self._context.stream_limits
        return {
            "health_score": self.health_score,
            "queued": self.queued,
            "streams_accepted": limits.accepted,
            "streams_open": limits.open,
            "stream_bytes_held": limits.held_bytes,
        }

    @property
    def queued(self) -> int:
        """How many messages gossip still has to spread."""
        return len(self._context.broadcasts) + len(self._context.user_broadcasts)

    @property
    def health_score(self) -> int:
        """Lifeguard's local health: 0 is healthy."""
        return self._context.awareness.score

    @property
    def wake_at(self) -> float | None:
        """When `advance` is to be called at the latest."""
        return self._context.timers.next_at

    @property
    def left(self) -> bool:
        """Whether our leave has been told often enough, or there is nobody to tell."""
        return self._membership.lifecycle is Lifecycle.LEFT

    @property
    def known(self) -> int:
        """How many nodes are in the list, ourselves and the recently dead included."""
        return len(self._roster)

    def nodes(self) -> list[Node]:
        """All known nodes, ourselves, the suspects and the recently dead included."""
        return [node.snapshot() for node in self._roster]

    def members(self) -> list[Node]:
        """Those that are neither dead nor gone."""
        return [node.snapshot() for node in self._roster if not node.gone]

    def record(self, name: str) -> NodeRecord | None:
        """All that is known of a node, for reading only; it goes on changing."""
        return self._roster.get(name)

    @property
    def awaited(self) -> frozenset[int]:
        """The sequence numbers of the pings to which an ack may still come, our own and those for others."""
        return self._prober.awaited

    # -- time and effects ----------------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Let time pass: fire the timers that are due.

        If the process stood still for long (stopped, swapped out, starved), its timers blame others for its own
        absence. Then the probe under way is dropped and every suspect gets the lost time back.
        """
        context = self._context
        due = context.timers.next_at
        context.enter(now)
        if due is None or due > now:
            return
        lost = now - due
        if lost > context.config.probe_timeout:
            context.counters["stood_still"] += 1
            context.awareness.apply(1)
            self._prober.abandon()
            self._membership.postpone_suspicions(lost)
        context.timers.run(now)

    def take(self) -> Effects:
        """What has gathered since the last call."""
        context = self._context
        context.counters["packets_sent"] += len(context.packets)
        effects = Effects(context.packets, context.streams, context.events)
        context.packets, context.streams, context.events = [], [], []
        return effects

    def _start_ticking(self) -> None:
        for periodic in self._periodic:
            periodic.start(self._context.stagger)

    def _heal(self) -> None:
        if self._membership.running:
            self._healer.tick()

    def _gossip_interval(self) -> float:
        """0 while there is nothing to spread: a node at rest need not wake up for that."""
        return self._context.config.gossip_interval if self._gossiping else 0.0

    def _gossip(self) -> None:
        self._gossiper.tick()
        if not self._context.broadcasts:
            self._synchronizer.settle()
            self._gossiping = bool(self._context.user_broadcasts)

    def _news(self) -> None:
        if not self._gossiping:
            self._gossiping = True
            self._start_ticking()

    # -- packets -------------------------------------------------------------------------------------------------------

    def packet_received(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram. Whatever it contains, this does not raise: bad packets are counted and reported as
        events.
        """
        context = self._context
        context.counters["packets_received"] += 1
        context.enter(now, source)
        self._receiver.receive(data, source)

    # -- streams -------------------------------------------------------------------------------------------------------

    def report(self, kind: str, detail: object, source: str = "") -> None:
        """Count and report a problem that whoever owns the sockets has met."""
        self._context.problem(kind, detail, source)

    def accept(self, source: Address, now: float) -> StreamExchange:
        """A peer dialled us. The exchange is over at once if its address is not allowed or no place is free."""
        context = self._context
        context.enter(now, source)
        deadline = now + context.config.tcp_timeout
        exchange = StreamExchange(context, None, shown(source), deadline, self._stream_message)
        if not context.config.allows(source[0]):
            context.problem("address_not_allowed", "a connection")
            exchange.abort("the address is not allowed", now)
        elif no_place := context.stream_limits.admit(exchange, source[0]):
            context.problem("too_many_connections", no_place)
            exchange.abort(f"too many connections: {no_place}", now)
        return exchange

    def _stream_message(self, exchange: StreamExchange, message: Message) -> Iterator[None] | None:
        context = self._context
        if isinstance(message, PushPull):
            return self._synchronizer.answer(exchange, message)
        if isinstance(message, bytes):
            if message:
                context.events.append(UserMessage(message, reliable=True))
        elif isinstance(message, Ping):
            if message.node and message.node != context.config.name:
                raise ProtocolError(f"ping for another node, {message.node[:80]!r}")
            exchange.write(Ack(message.seq_no).encode())
        else:
            raise ProtocolError(f"{type(message).__name__} without a question")
        return None

    def join(self, address: Address, now: float, on_end: Callable[[StreamExchange], None] | None = None) -> None:
        """Exchange states with the node at `address`; `on_end` learns how it went."""
        self._context.enter(now)
        self._context.streams.append(self._synchronizer.with_peer(address, join=True, on_end=on_end))

    def remember_seeds(self, seeds: Iterable[Address]) -> None:
        """Addresses to go back to whenever no live member has them."""
        self._healer.remember_seeds(seeds)

    # -- what the owner wants ------------------------------------------------------------------------------------------

    def reconfigure(self, config: Config, now: float) -> None:
        """Replace the settings at once; new metadata is announced, intervals count from their next tick."""
        context = self._context
        context.enter(now)
        announce = config.meta != context.config.meta
        context.reconfigure(config)
        self._start_ticking()
        if announce and self._membership.running:
            self._membership.announce()
            self._gossiper.tick()

    def hint(self, name: str, now: float) -> None:
        """Somebody's call to the node of that name has failed: probe it soon, unless there is a reason not to."""
        self._context.enter(now)
        self._hints.hint(name)

    def leave(self, now: float) -> None:
        """Tell the others that we go; `left` turns true when they know. We go on answering meanwhile."""
        self._context.enter(now)
        self._membership.leave()
        self._healer.tell_seeds(self._membership.farewell().encode())
        self._gossip_leave()

    def _gossip_leave(self) -> None:
        if self._membership.lifecycle is Lifecycle.LEAVING:
            self._gossiper.tick()
            wait = min(_LEAVE_GOSSIP_INTERVAL, self._context.config.gossip_interval)
            self._context.timers.at(self._context.now + wait, self._gossip_leave)

    def rejoin(self, now: float) -> None:
        """Take part again after a leave (Go's cannot)."""
        self._context.enter(now)
        self._membership.return_after_leave()

    def report_left(self, name: str, incarnation: int, now: float) -> None:
        """Tell everybody that a node has left which cannot say so any more, as of that incarnation. Whoever holds it
        alive or suspect drops it at once; the node itself contradicts, should it be there after all.

        We need not know it: whoever joins is not told of those that are suspect.

        Raises:
            ValueError: it is alive, as far as we know, or this node itself.
        """
        self._context.enter(now)
        node = self._roster.get(name)
        if node is not None and node.state is State.ALIVE:
            raise ValueError(f"{name[:80]!r} is alive")
        report = Dead(incarnation, name, name)
        if node is not None:
            self._membership.dead(report)
        if node is None or node.gone:
            self._context.broadcasts.queue(report.encode(), name)

    # -- seams for tests and simulations -------------------------------------------------------------------------------

    def introduce(self, nodes: Iterable[Node], now: float) -> None:
        """Know live nodes as though for long, and they us: nothing is gossiped, counted or reported of them, nor of our
        own start.

        This is the seam with which tests and simulations form a cluster whose forming is not their subject. The rules
        of membership apply: a node that would be refused is refused.
        """
        context, dialect = self._context, self._context.config.dialect
        context.enter(now)
        for node in nodes:
            addr = dialect.encode_host(node.host)
            self._membership.alive(Alive(node.incarnation, node.name, addr, node.port, node.meta or None, node.vsn))
            self._synchronizer.meet()
        context.broadcasts.prune(0)
        context.counters.clear()
        context.events.clear()

    def gossip(self, room_bytes: int) -> list[bytes]:
        """Messages that the next packet of gossip would carry. Taking them counts as one transmission: it is the seam
        with which tests read the queue.
        """
        return self._context.gossip(room_bytes)
