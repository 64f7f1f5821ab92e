"""The messages of memberlist: one class each, with what it says in the paper's words and how it stands on the wire.

Every plaintext message is a type byte and a body; the body is a Go struct as a MessagePack map whose keys are in
byte order (`gomsgpack`). Field order here is the wire's. `declared` is the order in the Go source, which counts
when a peer writes the struct as an array.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import attrs

from .gomsgpack import (
    NIL,
    fixstr,
    flag,
    raw,
    signed,
    struct_fields,
    text_of,
    to_bytes,
    to_flag,
    to_int,
    to_text,
    to_u16,
    to_u32,
    unsigned,
    unsigned_bytes,
)
from .message_types import MAX_INT, USER_HEAD, MessageType, State, message_head

__all__ = [
    "MAX_INT",
    "USER_HEAD",
    "Ack",
    "Alive",
    "Dead",
    "IndirectPing",
    "MessageType",
    "Nack",
    "Ping",
    "State",
    "Suspect",
    "Weight",
    "alive_bytes",
    "message_head",
]

_PING_HEAD = message_head(MessageType.PING, 5)
_INDIRECT_PING_HEAD = message_head(MessageType.INDIRECT_PING, 8)
_ACK_HEAD = message_head(MessageType.ACK, 2)
_NACK_HEAD = message_head(MessageType.NACK, 1)
_ALIVE_HEAD = message_head(MessageType.ALIVE, 6)
_WEIGHT_HEAD = message_head(MessageType.WEIGHT, 5)

_FROM = fixstr(b"From")
_INCARNATION = fixstr(b"Incarnation")
_NODE = fixstr(b"Node")
_SEQ_NO = fixstr(b"SeqNo")
_SOURCE_ADDR = fixstr(b"SourceAddr")
_SOURCE_NODE = fixstr(b"SourceNode")
_SOURCE_PORT = fixstr(b"SourcePort")
_PORT = fixstr(b"Port")
_ADDR = fixstr(b"Addr")
_META = fixstr(b"Meta")
_VSN = fixstr(b"Vsn")
_NACK = fixstr(b"Nack")
_TARGET = fixstr(b"Target")
_PAYLOAD = fixstr(b"Payload")
_WEIGHT = fixstr(b"Weight")
_WEIGHT_AT = fixstr(b"WeightAt")


@attrs.define
class Ping:
    """Are you there, `node`? The source fields say where the ack goes; without them, to where the packet came from."""

    declared: ClassVar = (b"SeqNo", b"Node", b"SourceAddr", b"SourcePort", b"SourceNode")

    seq_no: int
    node: str = ""
    source_addr: bytes = b""
    source_port: int = 0
    source_node: str = ""

    @classmethod
    def decode(cls, body: bytes | memoryview) -> Ping:
        return cls.from_fields(struct_fields(body, cls.declared))

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, Any]) -> Ping:
        get = fields.get
        return cls(
            to_u32(get(b"SeqNo")),
            to_text(get(b"Node")),
            to_bytes(get(b"SourceAddr")),
            to_u16(get(b"SourcePort")),
            to_text(get(b"SourceNode")),
        )

    def encode(self) -> bytes:
        return b"".join(
            (
                _PING_HEAD + _NODE,
                raw(text_of(self.node)),
                _SEQ_NO,
                unsigned(self.seq_no),
                _SOURCE_ADDR,
                raw(self.source_addr),
                _SOURCE_NODE,
                raw(text_of(self.source_node)),
                _SOURCE_PORT,
                unsigned(self.source_port),
            )
        )


@attrs.define
class IndirectPing:
    """Ping `node` at `target` for me and relay its ack; with `nack`, say so when none comes."""

    declared: ClassVar = (
        b"SeqNo",
        b"Target",
        b"Port",
        b"Node",
        b"Nack",
        b"SourceAddr",
        b"SourcePort",
        b"SourceNode",
    )

    seq_no: int
    target: bytes
    port: int
    node: str
    nack: bool = False
    source_addr: bytes = b""
    source_port: int = 0
    source_node: str = ""

    @classmethod
    def decode(cls, body: bytes | memoryview) -> IndirectPing:
        get = struct_fields(body, cls.declared).get
        return cls(
            to_u32(get(b"SeqNo")),
            to_bytes(get(b"Target")),
            to_u16(get(b"Port")),
            to_text(get(b"Node")),
            to_flag(get(b"Nack")),
            to_bytes(get(b"SourceAddr")),
            to_u16(get(b"SourcePort")),
            to_text(get(b"SourceNode")),
        )

    def encode(self) -> bytes:
        return b"".join(
            (
                _INDIRECT_PING_HEAD + _NACK,
                flag(self.nack),
                _NODE,
                raw(text_of(self.node)),
                _PORT,
                unsigned(self.port),
                _SEQ_NO,
                unsigned(self.seq_no),
                _SOURCE_ADDR,
                raw(self.source_addr),
                _SOURCE_NODE,
                raw(text_of(self.source_node)),
                _SOURCE_PORT,
                unsigned(self.source_port),
                _TARGET,
                raw(self.target),
            )
        )


@attrs.define
class Ack:
    """I am here. `payload` is None where Go's slice is nil."""

    declared: ClassVar = (b"SeqNo", b"Payload")

    seq_no: int
    payload: bytes | None = None

    @classmethod
    def decode(cls, body: bytes | memoryview) -> Ack:
        return cls.from_fields(struct_fields(body, cls.declared))

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, Any]) -> Ack:
        get = fields.get
        payload = get(b"Payload")
        return cls(to_u32(get(b"SeqNo")), None if payload is None else to_bytes(payload))

    def encode(self) -> bytes:
        payload = NIL if self.payload is None else raw(self.payload)
        return _ACK_HEAD + _PAYLOAD + payload + _SEQ_NO + unsigned(self.seq_no)


@attrs.define
class Nack:
    """I work, but the node you asked me to ping did not answer me (Lifeguard)."""

    declared: ClassVar = (b"SeqNo",)

    seq_no: int

    @classmethod
    def decode(cls, body: bytes | memoryview) -> Nack:
        return cls(to_u32(struct_fields(body, cls.declared).get(b"SeqNo")))

    def encode(self) -> bytes:
        return _NACK_HEAD + _SEQ_NO + unsigned(self.seq_no)


@attrs.define
class _Report:
    """What `reporter` says about `node` at `incarnation`."""

    head: ClassVar[bytes]
    declared: ClassVar = (b"Incarnation", b"Node", b"From")

    incarnation: int
    node: str
    reporter: str

    @classmethod
    def decode(cls, body: bytes | memoryview) -> Self:
        get = struct_fields(body, cls.declared).get
        return cls(to_u32(get(b"Incarnation")), to_text(get(b"Node")), to_text(get(b"From")))

    def encode(self) -> bytes:
        return b"".join(
            (
                self.head + _FROM,
                raw(text_of(self.reporter)),
                _INCARNATION,
                unsigned(self.incarnation),
                _NODE,
                raw(text_of(self.node)),
            )
        )


class Suspect(_Report):
    """`reporter` got no answer from `node`."""

    head = message_head(MessageType.SUSPECT, 3)


class Dead(_Report):
    """`node` is dead, says `reporter`; a node that reports itself leaves."""

    head = message_head(MessageType.DEAD, 3)


@attrs.define
class Alive:
    """`node` lives at `addr` and `port` with this metadata, as of `incarnation`.

    `vsn` holds the six version bytes: protocol min, max, current, then the delegate's. `meta` is None where Go's is
    nil.
    """

    declared: ClassVar = (b"Incarnation", b"Node", b"Addr", b"Port", b"Meta", b"Vsn")

    incarnation: int
    node: str
    addr: bytes
    port: int
    meta: bytes | None
    vsn: bytes

    @classmethod
    def decode(cls, body: bytes | memoryview) -> Alive:
        return cls.from_fields(struct_fields(body, cls.declared))

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, Any]) -> Alive:
        get = fields.get
        meta = get(b"Meta")
        return cls(
            to_u32(get(b"Incarnation")),
            to_text(get(b"Node")),
            to_bytes(get(b"Addr")),
            to_u16(get(b"Port")),
            None if meta is None else to_bytes(meta),
            to_bytes(get(b"Vsn")),
        )

    def encode(self) -> bytes:
        return b"".join(
            (
                _ALIVE_HEAD + _ADDR,
                raw(self.addr),
                _INCARNATION,
                unsigned(self.incarnation),
                _META,
                NIL if self.meta is None else raw(self.meta),
                _NODE,
                raw(text_of(self.node)),
                _PORT,
                unsigned(self.port),
                _VSN,
                raw(self.vsn),
            )
        )


_ALIVE_KEYS_BYTES = 2 + sum(map(len, (_ADDR, _INCARNATION, _META, _NODE, _PORT, _VSN)))


def alive_bytes(name: str, addr: bytes, port: int, meta: bytes | None, incarnation: int, vsn: bytes) -> int:
    """How long an encoded `Alive` with these fields is. A queue keeps the lengths of thousands; few are sent."""
    name_size = len(name) if name.isascii() else len(text_of(name))
    meta_size = 0 if meta is None else len(meta)
    # The four strings have a head of one byte, or of three from 32 bytes on; none of them is longer than 64 KB.
    long_ones = (len(addr) >= 32) + (name_size >= 32) + (meta_size >= 32) + (len(vsn) >= 32)
    strings = len(addr) + name_size + meta_size + len(vsn) + 4 + 2 * long_ones
    return _ALIVE_KEYS_BYTES + strings + unsigned_bytes(incarnation) + unsigned_bytes(port)


@attrs.define
class Weight:
    """go-doudou's own message: the dynamic weight of `node`, measured at `weight_at` (Unix milliseconds)."""

    declared: ClassVar = (b"Incarnation", b"Node", b"From", b"Weight", b"WeightAt")

    incarnation: int
    node: str
    sender: str
    weight: int
    weight_at: int

    @classmethod
    def decode(cls, body: bytes | memoryview) -> Weight:
        get = struct_fields(body, cls.declared).get
        return cls(
            to_u32(get(b"Incarnation")),
            to_text(get(b"Node")),
            to_text(get(b"From")),
            to_int(get(b"Weight"), -MAX_INT - 1, MAX_INT),
            to_int(get(b"WeightAt"), -MAX_INT - 1, MAX_INT),
        )

    def encode(self) -> bytes:
        return b"".join(
            (
                _WEIGHT_HEAD + _FROM,
                raw(text_of(self.sender)),
                _INCARNATION,
                unsigned(self.incarnation),
                _NODE,
                raw(text_of(self.node)),
                _WEIGHT,
                signed(self.weight),
                _WEIGHT_AT,
                signed(self.weight_at),
            )
        )
