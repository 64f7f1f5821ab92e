"""The node list: who is known, in which order they are probed, and how some of them are drawn at random.

The probe order is the list's order. A new node is put at a random place in it, so that a joining node is not probed
by everybody at once; after each full round the list is shuffled and the long dead are dropped (SWIM section 4.3,
"round-robin probe target selection").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs

from .addresses import Address
from .events import Node
from .messages import Alive, State, alive_bytes
from .stream_messages import encoded_entry
from .suspicion import Suspicion
from .timers import Timer

if TYPE_CHECKING:
    from random import Random

__all__ = ["NodeRecord", "Roster"]

_TCP_PINGS_SINCE, _NACKS_SINCE, _CRC_SINCE = 3, 4, 5
"""Versions of the protocol, and what a node that speaks them can do."""
_SMOOTHING = 1 / 8


@attrs.define(eq=False, repr=False)
class NodeRecord:
    """What is known of one node. The fields that others hear of are changed by its `Roster` only.

    Attributes:
        addr: the address as it was received; it is passed on unchanged, because peers compare its bytes.
        host: the same, fit for a socket.
        state_changed: when `state` last changed.
        suspicion: the suspicion that the node is under, and the timer that ends it.
        weight: the last dynamic weight, when it was measured (Unix milliseconds), and since when we have it. It
            outlives a suspicion.
        corrected_at: when we last told this node directly that it is held to be dead, or that we are not.
        hinted_at: when a hint has last had it probed out of turn, or will have.
        round_trip: seconds that its direct acks take, smoothed; None before the first.
        entry: the node as push/pull carries it, from when that was first asked for until something of it changes.
    """

    name: str
    addr: bytes
    host: str
    port: int
    meta: bytes | None
    vsn: bytes
    incarnation: int
    state: State
    state_changed: float
    suspicion: tuple[Suspicion, Timer] | None = None
    weight: tuple[int, int, float] | None = None
    corrected_at: float = float("-inf")
    hinted_at: float = float("-inf")
    round_trip: float | None = None
    entry: bytes | None = None

    @property
    def address(self) -> Address:
        """Where its gossip is reached."""
        return (self.host, self.port)

    @property
    def gone(self) -> bool:
        """Dead or left."""
        return self.state >= State.DEAD

    @property
    def answers_tcp_pings(self) -> bool:
        """Whether the node can be pinged over TCP."""
        return self.vsn[1] >= _TCP_PINGS_SINCE

    @property
    def sends_nacks(self) -> bool:
        """Whether the node, asked to ping another one in vain, says so."""
        return self.vsn[1] >= _NACKS_SINCE

    @property
    def reads_crc(self) -> bool:
        """Whether the node understands a datagram with a checksum."""
        return self.vsn[1] >= _CRC_SINCE

    def measured(self, round_trip: float) -> None:
        """Take in how long a direct ack took, as TCP smooths its round trips (RFC 6298)."""
        before = self.round_trip
        self.round_trip = round_trip if before is None else before + _SMOOTHING * (round_trip - before)

    def snapshot(self) -> Node:
        """The node as it is now."""
        weight = self.weight[0] if self.weight else None
        meta = self.meta or b""
        return Node(self.name, self.host, self.port, meta, self.state, self.incarnation, self.vsn, weight)

    @property
    def statement_bytes(self) -> int:
        """How long the encoded `statement` is."""
        return alive_bytes(self.name, self.addr, self.port, self.meta, self.incarnation, self.vsn)

    def statement(self) -> Alive:
        """The node as it speaks of itself."""
        return Alive(self.incarnation, self.name, self.addr, self.port, self.meta, self.vsn)


class Roster:
    """All known nodes, ourselves, the suspects and the recently dead included.

    How many there are in each state, and how many of the present ones at an address, is counted as it changes: who
    asks does so at every tick, and must not walk over the whole cluster.

    Attributes:
        entries: those of the nodes' entries by which a push/pull tells us nothing new. A suspect's is not among them:
            that somebody else holds it for a suspect too is a confirmation.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._order: list[NodeRecord] = []
        self._by_name: dict[str, NodeRecord] = {}
        self._counts = [0] * len(State)
        # By the address as text: of a tuple for every node the garbage collector would take notice.
        self._present_at: dict[str, int] = {}
        self.entries: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[NodeRecord]:
        return iter(self._order)

    def __getitem__(self, index: int) -> NodeRecord:
        return self._order[index]

    def get(self, name: str) -> NodeRecord | None:
        """The node of that name."""
        return self._by_name.get(name)

    def count(self, state: State) -> int:
        """How many nodes are in this state."""
        return self._counts[state]

    @property
    def present(self) -> int:
        """How many nodes are neither dead nor gone, ourselves included."""
        return self._counts[State.ALIVE] + self._counts[State.SUSPECT]

    def is_present_at(self, address: Address) -> bool:
        """Whether a node that is neither dead nor gone has this address."""
        host, port = address
        return f"{host}:{port}" in self._present_at

    def set_state(self, node: NodeRecord, state: State, now: float) -> None:
        """Note another state of a node of this list."""
        self._forget_entry(node)
        if node.gone is not (state >= State.DEAD):
            self._count_at(node.host, node.port, 1 if node.gone else -1)
        self._counts[node.state] -= 1
        self._counts[state] += 1
        node.state, node.state_changed = state, now

    def set_incarnation(self, node: NodeRecord, incarnation: int) -> None:
        """Note another incarnation of a node of this list."""
        if incarnation != node.incarnation:
            self._forget_entry(node)
            node.incarnation = incarnation

    def set_statement(self, node: NodeRecord, statement: Alive, host: str) -> None:
        """Note what a node of this list says of itself; `host` is its address fit for a socket."""
        self._forget_entry(node)
        if (host, statement.port) != node.address:
            if not node.gone:
                self._count_at(node.host, node.port, -1)
                self._count_at(host, statement.port, 1)
            node.host, node.port = host, statement.port
        node.incarnation, node.addr, node.meta = statement.incarnation, statement.addr, statement.meta
        node.vsn = statement.vsn[:6]

    def entry(self, node: NodeRecord) -> bytes:
        """A node of this list as push/pull carries it."""
        entry = node.entry
        if entry is None:
            entry = node.entry = encoded_entry(
                node.name, node.addr, node.port, node.meta, node.incarnation, node.state, node.vsn
            )
            if node.state is not State.SUSPECT:
                self.entries.add(entry)
        return entry

    def _forget_entry(self, node: NodeRecord) -> None:
        if node.entry is not None:
            self.entries.discard(node.entry)
            node.entry = None

    def _count_at(self, host: str, port: int, change: int) -> None:
        place = f"{host}:{port}"
        count = self._present_at.get(place, 0) + change
        if count:
            self._present_at[place] = count
        else:
            del self._present_at[place]

    def add(self, node: NodeRecord) -> None:
        """Put a new node at a random place."""
        order = self._order
        order.append(node)
        at = int(self._random.random() * len(order))
        order[at], order[-1] = order[-1], order[at]
        self._by_name[node.name] = node
        self._counts[node.state] += 1
        if node.state < State.DEAD:
            self._count_at(node.host, node.port, 1)

    def drop_gone(self, before: float, keep: str = "") -> list[NodeRecord]:
        """Forget the nodes that have been dead or left since `before`, except for the one named `keep`; shuffle the
        others, and return the dropped.
        """
        dropped = [node for node in self._order if node.gone and node.state_changed < before and node.name != keep]
        if dropped:
            names = {node.name for node in dropped}
            self._order = [node for node in self._order if node.name not in names]
            for node in dropped:
                self._forget_entry(node)
                self._counts[node.state] -= 1
                del self._by_name[node.name]
        self._random.shuffle(self._order)
        return dropped

    def sample(self, count: int, accept: Callable[[NodeRecord], bool]) -> list[NodeRecord]:
        """Up to `count` different nodes that `accept` takes, drawn at random.

        A small list is searched through; a large one is drawn from, which misses a node now and then but does not
        grow with the cluster.
        """
        order, random = self._order, self._random
        size = len(order)
        chosen: list[NodeRecord] = []
        if size <= 3 * count:
            for node in random.sample(order, size):
                if len(chosen) == count:
                    break
                if accept(node):
                    chosen.append(node)
            return chosen
        seen: set[int] = set()
        for _ in range(3 * size):
            at = int(random.random() * size)
            if at in seen:
                continue
            seen.add(at)
            if accept(order[at]):
                chosen.append(order[at])
                if len(chosen) == count:
                    break
        return chosen
