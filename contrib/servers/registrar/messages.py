"""What a registrar and its workers say to each other, and the values in it as plain data.

A worker says, besides its hello:

- ``ask`` for a service, None for all of them, or that nobody asks for it any more; the answer is ``answered``
- ``probe`` a member that a call has failed at
- ``register`` what it serves, and later with other metadata; ``reconfigure`` the node; ``leave``; each has a number,
  and is answered by it
- ``count``: that it wants to know what the drivers count, for a minute
- ``load``: how much more it can take
- ``ping``, for a ``pong``

A registrar says, besides its hello or that it ``refused``:

- ``members`` that are new or have changed or gone, all of them first
- ``state``: how it and its backends are doing
- ``configuration``: what the server that keeps it has told, if one does; before the members, to one that has just come
- ``successor``: how to start one that takes its place when it is killed
- ``round_trips``: how long members take to answer the gossip
- ``counted``: what its drivers count, for metrics
- ``load``: that it wants to know that
- ``guard``: that this worker is the one that sees that it does its work
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from ....drivers import errors
from ....drivers.errors import DiscoveryError, MetadataTooLarge
from ....drivers.members import Member, MemberState
from .frames import VERSION, Message

__all__ = [
    "RegistrarState",
    "ToldConfiguration",
    "error_of",
    "hello",
    "member_of",
    "members",
    "plain_error",
    "registrar_hello",
]

_MEMBER_FIELDS = tuple(attrs.fields_dict(Member))


@attrs.frozen
class RegistrarState:
    """How a registrar is doing.

    Attributes:
        ready: whether all backends are ready.
        authoritative: whether one of them is, so that what the registrar tells counts.
        reason: why it does not.
        message: one line for a person on each backend.
        nodes: how many nodes or instances the backends see.
        address: of the gossip node.
        doubt: why it should not judge others at present; "" if it may.
    """

    ready: bool = False
    authoritative: bool = False
    reason: str = ""
    message: str = ""
    nodes: int = 0
    address: str = ""
    doubt: str = ""

    def to_message(self) -> Message:
        """As it is sent."""
        return {"kind": "state", **attrs.asdict(self)}

    @classmethod
    def of_message(cls, message: Message) -> RegistrarState:
        """As it was sent; what a RegistrarState does not know is left out."""
        return cls(**{name: message[name] for name in attrs.fields_dict(cls)})


@attrs.frozen
class ToldConfiguration:
    """The configuration that a server keeps, as a registrar was told it.

    Attributes:
        texts: by name, None for one that is not there; None as long as nothing was told. They may hold secrets.
        connected: whether the server can be asked at present.
        message: one line for a person.
    """

    texts: Mapping[str, str | None] | None = attrs.field(default=None, repr=False)
    connected: bool = False
    message: str = ""

    def to_message(self) -> Message:
        """As it is sent."""
        texts = None if self.texts is None else dict(self.texts)
        return {"kind": "configuration", "texts": texts, "connected": self.connected, "message": self.message}

    @classmethod
    def of_message(cls, message: Message) -> ToldConfiguration:
        """As it was sent."""
        return cls(**{name: message[name] for name in attrs.fields_dict(cls)})


def hello(fingerprint: str, serves: bool) -> Message:
    """The worker's first message.

    Args:
        fingerprint: of the settings: who has others does not belong together.
        serves: whether the worker answers calls, and is not a client alone.
    """
    return {"kind": "hello", "version": VERSION, "fingerprint": fingerprint, "serves": serves}


def registrar_hello(refused: str = "", *, again: bool = False) -> Message:
    """The registrar's first message: welcome, or why not; and its process, for the kernel knows that of the worker that
    made the socket.

    Args:
        again: whether another registrar will be there in a moment.
    """
    return {"kind": "hello", "version": VERSION, "refused": refused, "again": again, "pid": os.getpid()}


def members(some: Iterable[Member], *, whole: bool = False) -> Message:
    """Members as they are now, those that are gone in state FAILED or LEFT.

    Args:
        whole: whether these are all.
    """
    return {"kind": "members", "whole": whole, "members": [_plain(member) for member in some]}


def member_of(plain: Mapping[str, Any]) -> Member:
    """A member as it was before it was sent."""
    at = plain["registered_at"]
    values = {
        "state": MemberState(plain["state"]),
        "sources": tuple(plain["sources"]),
        "registered_at": None if at is None else datetime.fromisoformat(at),
    }
    return Member(**{**plain, **values})


def _plain(member: Member) -> dict[str, Any]:
    fields = {name: getattr(member, name) for name in _MEMBER_FIELDS}
    at = member.registered_at
    return {**fields, "registered_at": None if at is None else at.isoformat()}


def plain_error(error: Exception) -> dict[str, Any]:
    """An error as it is sent: its type by name, its text, and what else belongs to it."""
    plain: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, MetadataTooLarge):
        plain |= {"size": error.size, "limit": error.limit}
    return plain


def error_of(plain: Mapping[str, Any]) -> DiscoveryError:
    """The error as it was before it was sent; a type that is not of this library's becomes the root of its errors."""
    if plain["type"] == MetadataTooLarge.__name__:
        return MetadataTooLarge(plain["message"], size=plain["size"], limit=plain["limit"])
    kind = getattr(errors, plain["type"], None)
    if inspect.isclass(kind) and issubclass(kind, DiscoveryError):
        return kind(plain["message"])
    return DiscoveryError(f"{plain['type']}: {plain['message']}")
