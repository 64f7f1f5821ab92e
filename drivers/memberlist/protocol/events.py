"""What a node tells its owner. Events are values: they stay true after the state has moved on."""

from __future__ import annotations

import attrs

from .addresses import Address
from .messages import State

__all__ = [
    "Event",
    "MergeEnded",
    "Node",
    "NodeConflict",
    "NodeJoined",
    "NodeLeft",
    "NodeRefuted",
    "NodeSuspected",
    "NodeUpdated",
    "PingCompleted",
    "Problem",
    "RemoteState",
    "UserMessage",
    "WeightChanged",
]


@attrs.frozen
class Node:
    """A member as this node knows it at one moment.

    Attributes:
        host, port: where its gossip is reached; `host` may be a DNS name in the dialect doudou.
        vsn: protocol least, most, spoken, then the same of the application.
        weight: the last dynamic weight, or None if none was announced.
    """

    name: str
    host: str
    port: int
    meta: bytes
    state: State
    incarnation: int
    vsn: bytes
    weight: int | None = None


@attrs.frozen
class _OfNode:
    """What is told of one node. Kinds without fields of their own share its methods: attrs writes them anew for every
    class that it is asked to, which is a good part of what importing this module takes.
    """

    node: Node


class NodeJoined(_OfNode):
    """A node is alive that was unknown, dead or gone. The first event of all is about this node itself."""

    __slots__ = ()


class NodeLeft(_OfNode):
    """A node is gone: `node.state` is LEFT if it said so itself, DEAD if it failed."""

    __slots__ = ()


class NodeUpdated(_OfNode):
    """A live node has other metadata."""

    __slots__ = ()


class NodeSuspected(_OfNode):
    """A node did not answer; it is dead unless it refutes in time."""

    __slots__ = ()


class NodeRefuted(_OfNode):
    """A suspect proved to be alive; its metadata may be new."""

    __slots__ = ()


@attrs.frozen
class NodeConflict:
    """Somebody else claims the name of `node` from another address; the claim was refused."""

    node: Node
    other: Address


class WeightChanged(_OfNode):
    """A node announced another dynamic weight."""

    __slots__ = ()


@attrs.frozen
class UserMessage:
    """An application's message; `reliable` if it came over a stream."""

    payload: bytes
    reliable: bool


@attrs.frozen
class RemoteState:
    """The application's state that a peer sent along with a push/pull."""

    payload: bytes
    join: bool


@attrs.frozen
class MergeEnded:
    """All that a peer's state told has been taken in, or the exchange ended before that. A large one comes in many
    small steps, each with its events; `ClusterView.merging` tells whether there are more to come.
    """


@attrs.frozen
class PingCompleted:
    """A probe was answered directly and in time: round-trip time in seconds, and what the application put into the
    ack.
    """

    name: str
    round_trip: float
    payload: bytes


@attrs.frozen
class Problem:
    """Something arrived that the protocol does not allow, or could not be sent; it was dropped.

    `kind` is the name under which it is counted, see `counters`.
    """

    kind: str
    detail: str
    source: str


Event = (
    NodeJoined
    | NodeLeft
    | NodeUpdated
    | NodeSuspected
    | NodeRefuted
    | NodeConflict
    | WeightChanged
    | UserMessage
    | RemoteState
    | MergeEnded
    | PingCompleted
    | Problem
)
