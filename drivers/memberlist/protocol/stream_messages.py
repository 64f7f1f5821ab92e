"""The messages that only streams carry: a full state, an error, and the header of a user message.

As in `messages`, field order is the wire's; the counts are signed Go integers.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import attrs

from .gomsgpack import (
    NIL,
    as_struct,
    fixmap,
    fixstr,
    flag,
    raw,
    signed,
    text_of,
    to_bytes,
    to_flag,
    to_int,
    to_text,
    to_u16,
    to_u32,
    unsigned,
)
from .message_types import MessageType, message_head
from .messages import MAX_INT

__all__ = [
    "Entry",
    "ErrorReply",
    "PushPullHeader",
    "PushPullNode",
    "encoded_entry",
    "entry_of",
    "stream_user_header",
    "stream_user_length",
]

_PUSH_PULL_HEAD = message_head(MessageType.PUSH_PULL, 3)
_ERROR_HEAD = message_head(MessageType.ERROR, 1)
_USER_HEAD = message_head(MessageType.USER, 1)
_NODE_HEAD = fixmap(7)

_JOIN = fixstr(b"Join")
_NODES = fixstr(b"Nodes")
_USER_STATE_LEN = fixstr(b"UserStateLen")
_NAME = fixstr(b"Name")
_STATE = fixstr(b"State")
_ERROR = fixstr(b"Error")
_USER_MSG_LEN = fixstr(b"UserMsgLen")
_ADDR = fixstr(b"Addr")
_INCARNATION = fixstr(b"Incarnation")
_META = fixstr(b"Meta")
_PORT = fixstr(b"Port")
_VSN = fixstr(b"Vsn")

_ENTRY_HEAD = _NODE_HEAD + _ADDR


@attrs.define
class PushPullHeader:
    """What precedes the node list: how many nodes, how many bytes of user state, and whether this is a join."""

    declared: ClassVar = (b"Nodes", b"UserStateLen", b"Join")

    nodes: int
    user_state_bytes: int
    join: bool

    @classmethod
    def from_value(cls, value: Any) -> PushPullHeader:
        get = as_struct(value, cls.declared).get
        return cls(
            to_int(get(b"Nodes"), -MAX_INT - 1, MAX_INT),
            to_int(get(b"UserStateLen"), -MAX_INT - 1, MAX_INT),
            to_flag(get(b"Join")),
        )

    def encode(self) -> bytes:
        return b"".join(
            (
                _PUSH_PULL_HEAD + _JOIN,
                flag(self.join),
                _NODES,
                signed(self.nodes),
                _USER_STATE_LEN,
                signed(self.user_state_bytes),
            )
        )


Entry = tuple[str, bytes, int, bytes | None, int, int, bytes]
"""One node of the list: name, address, port, metadata, incarnation, state, versions, as `PushPullNode` says. A plain
tuple, because the garbage collector takes no interest in a tuple of numbers and strings: ten thousand at once would
otherwise cost it a noticeable pause.
"""


@attrs.frozen
class PushPullNode:
    """One node of the list, for who looks at it with names. `state` is kept as sent: an unknown one is ignored by the
    merge, as in Go.
    """

    name: str
    addr: bytes
    port: int
    meta: bytes | None
    incarnation: int
    state: int
    vsn: bytes

    def encode(self) -> bytes:
        return encoded_entry(self.name, self.addr, self.port, self.meta, self.incarnation, self.state, self.vsn)


_ENTRY_DECLARED = (b"Name", b"Addr", b"Port", b"Meta", b"Incarnation", b"State", b"Vsn")


def entry_of(value: Any) -> Entry:
    """A decoded entry of the list.

    Raises:
        ProtocolError: a field has a wrong type or is out of range.
    """
    if type(value) is dict and len(value) == len(_ENTRY_DECLARED):
        name, addr, port, meta, incarnation, state, vsn = map(value.get, _ENTRY_DECLARED)
        if (
            type(name) is type(addr) is type(vsn) is bytes
            and type(port) is type(incarnation) is type(state) is int
            and 0 <= port <= 0xFFFF
            and 0 <= incarnation <= 0xFFFFFFFF
            and 0 <= state <= 0xFF
            and (type(meta) is bytes or (meta is None and b"Meta" in value))
        ):
            return (name.decode("utf-8", "surrogateescape"), addr, port, meta, incarnation, state, vsn)
    get = as_struct(value, _ENTRY_DECLARED).get
    meta = get(b"Meta")
    return (
        to_text(get(b"Name")),
        to_bytes(get(b"Addr")),
        to_u16(get(b"Port")),
        None if meta is None else to_bytes(meta),
        to_u32(get(b"Incarnation")),
        to_int(get(b"State"), -MAX_INT - 1, MAX_INT),
        to_bytes(get(b"Vsn")),
    )


def encoded_entry(
    name: str, addr: bytes, port: int, meta: bytes | None, incarnation: int, state: int, vsn: bytes
) -> bytes:
    """One node as the list carries it; the order is that of `Entry`."""
    return b"".join(
        (
            _ENTRY_HEAD,
            raw(addr),
            _INCARNATION,
            unsigned(incarnation),
            _META,
            NIL if meta is None else raw(meta),
            _NAME,
            raw(text_of(name)),
            _rest_of_entry(port, state, vsn),
        )
    )


@functools.lru_cache(maxsize=256)
def _rest_of_entry(port: int, state: int, vsn: bytes) -> bytes:
    """What is the same for most nodes."""
    return b"".join((_PORT, unsigned(port), _STATE, signed(state), _VSN, raw(vsn)))


@attrs.define
class ErrorReply:
    """The responder of a stream could not read it."""

    declared: ClassVar = (b"Error",)

    error: str

    @classmethod
    def from_value(cls, value: Any) -> ErrorReply:
        return cls(to_text(as_struct(value, cls.declared).get(b"Error")))

    def encode(self) -> bytes:
        return _ERROR_HEAD + _ERROR + raw(text_of(self.error))


def stream_user_header(size: int) -> bytes:
    """What precedes a user message of `size` bytes on a stream, type byte included (a packet carries the bare
    bytes).
    """
    return _USER_HEAD + _USER_MSG_LEN + signed(size)


def stream_user_length(value: Any) -> int:
    """The length that a decoded `stream_user_header` announces, as sent: it may be negative or absurd."""
    return to_int(as_struct(value, (b"UserMsgLen",)).get(b"UserMsgLen"), -MAX_INT - 1, MAX_INT)
