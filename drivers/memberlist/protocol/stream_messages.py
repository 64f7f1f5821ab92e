"""The messages that only streams carry: a full state, an error, and the header of a user message.

As in `messages`, field order is the wire's; the counts are signed Go integers.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from .gomsgpack import as_struct, raw, signed, text_of, to_bytes, to_flag, to_int, to_text, to_u16, to_u32, unsigned
from .messages import MAX_INT

__all__ = ["ErrorReply", "PushPullHeader", "PushPullNode", "stream_user_header", "stream_user_length"]

_ADDR = b"\xa4Addr"
_INCARNATION = b"\xabIncarnation"
_META = b"\xa4Meta"
_PORT = b"\xa4Port"
_VSN = b"\xa3Vsn"


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
                b"\x06\x83\xa4Join",
                b"\xc3" if self.join else b"\xc2",
                b"\xa5Nodes",
                signed(self.nodes),
                b"\xacUserStateLen",
                signed(self.user_state_bytes),
            )
        )


@attrs.define
class PushPullNode:
    """One node of the list. `state` is kept as sent: an unknown one is ignored by the merge, as in Go."""

    declared: ClassVar = (b"Name", b"Addr", b"Port", b"Meta", b"Incarnation", b"State", b"Vsn")

    name: str
    addr: bytes
    port: int
    meta: bytes | None
    incarnation: int
    state: int
    vsn: bytes

    @classmethod
    def from_value(cls, value: Any) -> PushPullNode:
        get = as_struct(value, cls.declared).get
        meta = get(b"Meta")
        return cls(
            to_text(get(b"Name")),
            to_bytes(get(b"Addr")),
            to_u16(get(b"Port")),
            None if meta is None else to_bytes(meta),
            to_u32(get(b"Incarnation")),
            to_int(get(b"State"), -MAX_INT - 1, MAX_INT),
            to_bytes(get(b"Vsn")),
        )

    def encode(self) -> bytes:
        return b"".join(
            (
                b"\x87" + _ADDR,
                raw(self.addr),
                _INCARNATION,
                unsigned(self.incarnation),
                _META,
                b"\xc0" if self.meta is None else raw(self.meta),
                b"\xa4Name",
                raw(text_of(self.name)),
                _PORT,
                unsigned(self.port),
                b"\xa5State",
                signed(self.state),
                _VSN,
                raw(self.vsn),
            )
        )


@attrs.define
class ErrorReply:
    """The responder of a stream could not read it."""

    declared: ClassVar = (b"Error",)

    error: str

    @classmethod
    def from_value(cls, value: Any) -> ErrorReply:
        return cls(to_text(as_struct(value, cls.declared).get(b"Error")))

    def encode(self) -> bytes:
        return b"\x0d\x81\xa5Error" + raw(text_of(self.error))


def stream_user_header(size: int) -> bytes:
    """What precedes a user message of `size` bytes on a stream, type byte included (a packet carries the bare
    bytes).
    """
    return b"\x08\x81\xaaUserMsgLen" + signed(size)


def stream_user_length(value: Any) -> int:
    """The length that a decoded `stream_user_header` announces, as sent: it may be negative or absurd."""
    return to_int(as_struct(value, (b"UserMsgLen",)).get(b"UserMsgLen"), -MAX_INT - 1, MAX_INT)
