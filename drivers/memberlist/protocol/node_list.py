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
from .gomsgpack import text_of
from .messages import Alive, State
from .stream_messages import PushPullNode
from .suspicion import Suspicion
from .timers import Timer

if TYPE_CHECKING:
    from random import Random

__all__ = ["NodeRecord", "Roster"]

_TCP_PINGS_SINCE, _NACKS_SINCE, _CRC_SINCE = 3, 4, 5
"""Versions of the protocol, and what a node that speaks them can do."""


@attrs.define(eq=False)
class NodeRecord:
    """What is known of one node.

    Attributes:
        addr: the address as it was received; it is passed on unchanged, because peers compare its bytes.
        host: the same, fit for a socket.
        state_changed: when `state` last changed.
        suspicion: the suspicion that the node is under, and the timer that ends it.
        weight: the last dynamic weight and when it was measured (Unix milliseconds). It outlives a suspicion.
        corrected_at: when we last told this node directly that it is held to be dead, or that we are not.
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
    weight: tuple[int, int] | None = None
    corrected_at: float = float("-inf")

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

    def snapshot(self) -> Node:
        """The node as it is now."""
        weight = self.weight[0] if self.weight else None
        meta = self.meta or b""
        return Node(self.name, self.host, self.port, meta, self.state, self.incarnation, self.vsn, weight)

    def statement(self) -> Alive:
        """The node as it speaks of itself."""
        return Alive(self.incarnation, self.name, self.addr, self.port, self.meta, self.vsn)

    def record(self) -> PushPullNode:
        """The node as push/pull carries it."""
        return PushPullNode(self.name, self.addr, self.port, self.meta, self.incarnation, self.state, self.vsn)


class Roster:
    """All known nodes, ourselves, the suspects and the recently dead included.

    Attributes:
        by_raw_name: the nodes by their name as it stands on the wire.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._order: list[NodeRecord] = []
        self._by_name: dict[str, NodeRecord] = {}
        self.by_raw_name: dict[bytes, NodeRecord] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[NodeRecord]:
        return iter(self._order)

    def __getitem__(self, index: int) -> NodeRecord:
        return self._order[index]

    def get(self, name: str) -> NodeRecord | None:
        """The node of that name."""
        return self._by_name.get(name)

    def add(self, node: NodeRecord) -> None:
        """Put a new node at a random place."""
        order = self._order
        order.append(node)
        at = int(self._random.random() * len(order))
        order[at], order[-1] = order[-1], order[at]
        self._by_name[node.name] = node
        self.by_raw_name[text_of(node.name)] = node

    def drop_gone(self, before: float, keep: str = "") -> list[NodeRecord]:
        """Forget the nodes that have been dead or left since `before`, except for the one named `keep`; shuffle the
        others, and return the dropped.
        """
        dropped = [node for node in self._order if node.gone and node.state_changed < before and node.name != keep]
        if dropped:
            names = {node.name for node in dropped}
            self._order = [node for node in self._order if node.name not in names]
            for node in dropped:
                del self._by_name[node.name]
                del self.by_raw_name[text_of(node.name)]
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
