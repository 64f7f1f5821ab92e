"""What the nodes of the cluster offer: their metadata, decoded once, together with their state and weight.

A node's metadata rarely change, its state and its dynamic weight do: `Offers` keeps what a blob says for as long as the
node shows the same one, and reports the members again with what is new. Pure, except that what is unusable is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs

from ..kit.validation import Unusable, checked_weight
from ..members import Member, MemberState
from .metadata import NodeMetadata, decode_members
from .protocol import Node, State

__all__ = ["MAX_MEMBERS", "Offers"]

MAX_MEMBERS = 40_000
"""Of a node only the first service is taken while there are more: a node's services cost more than the bytes by which a
stranger makes them up. The number of nodes has a bound of its own.
"""

_STATES = {
    State.ALIVE: MemberState.ALIVE,
    State.SUSPECT: MemberState.SUSPECT,
    State.DEAD: MemberState.FAILED,
    State.LEFT: MemberState.LEFT,
}


@attrs.frozen(repr=False)
class _Offer:
    """What one node offers: its metadata as they came, what they say, and the members as they were reported last."""

    meta: bytes
    host: str
    port: int
    metadata: NodeMetadata
    members: tuple[Member, ...]


class Offers:
    """The members of all nodes.

    Args:
        unusable: told what of a node's metadata was left out, and why.
        most: see `MAX_MEMBERS`.

    Attributes:
        decoded: how many blobs were decoded.
        unreadable: how many of them were neither empty nor understood.
    """

    def __init__(self, unusable: Callable[[Node, Unusable | None], None], most: int = MAX_MEMBERS) -> None:
        self._unusable = unusable
        self._most = most
        self._members = 0
        self._by_node: dict[str, _Offer] = {}
        self._at: dict[tuple[str, int], str] = {}
        self.decoded = 0
        self.unreadable = 0

    def __len__(self) -> int:
        return len(self._by_node)

    def __iter__(self) -> Iterator[Member]:
        """All members, as they were reported last."""
        return (member for offer in self._by_node.values() for member in offer.members)

    def node_at(self, host: str, port: int) -> str | None:
        """The name of the node that offers something at this address; may be asked by any thread. Of several that do,
        workers of one server for example, the one heard of last.
        """
        return self._at.get((host, port))

    def observe(self, node: Node) -> list[Member]:
        """Take in what is known of a node: its members as they are now, and those that it no longer offers."""
        before = self._by_node.get(node.name)
        state = _STATES[node.state]
        if not state.present:
            if before is None:
                return []
            del self._by_node[node.name]
            self._members -= len(before.members)
            self._forget(node.name, before.members)
            return [attrs.evolve(member, state=state) for member in before.members]
        if before is not None and (before.meta, before.host, before.port) == (node.meta, node.host, node.port):
            metadata, gone = before.metadata, []
        else:
            was = before.members if before is not None else ()
            metadata = self._decode(node, len(was))
            keys = {member.key for member in metadata.members}
            lost = [member for member in was if member.key not in keys]
            self._forget(node.name, lost)
            gone = [attrs.evolve(member, state=MemberState.LEFT) for member in lost]
            self._at.update(((member.host, member.port), node.name) for member in metadata.members)
        members = _present(metadata, node, state)
        self._members += len(members) - (len(before.members) if before is not None else 0)
        self._by_node[node.name] = _Offer(node.meta, node.host, node.port, metadata, members)
        return [*gone, *members]

    def _forget(self, node: str, members: Iterable[Member]) -> None:
        for member in members:
            if self._at.get((member.host, member.port)) == node:
                del self._at[member.host, member.port]

    def _decode(self, node: Node, offered: int) -> NodeMetadata:
        """What the metadata of a node say that has offered so many services up to now."""
        metadata = decode_members(node.meta, host=node.host, node=node.name, port=node.port)
        self.decoded += 1
        if not metadata.readable:
            self.unreadable += 1
            self._unusable(node, None)
        for unusable in metadata.unusable:
            self._unusable(node, unusable)
        if self._members >= self._most and len(metadata.members) > (keeps := max(1, offered)):
            self._unusable(node, Unusable("service", f"more than one service of a node beside {self._members} members"))
            metadata = attrs.evolve(metadata, members=metadata.members[:keeps])
        return metadata


def _present(metadata: NodeMetadata, node: Node, state: MemberState) -> tuple[Member, ...]:
    """The members that a blob names, with the node's state and its dynamic weight."""
    if metadata.weight <= 0 and node.weight is not None:
        weight = checked_weight(node.weight, dynamic=True)
        return tuple(
            attrs.evolve(member, state=state, weight=weight, dynamic_weight=True) for member in metadata.members
        )
    if state is MemberState.ALIVE:
        return metadata.members
    return tuple(attrs.evolve(member, state=state) for member in metadata.members)
