"""The messages of memberlist: one class each, with what it says in the paper's words and how it stands on the wire.

Every plaintext message is a type byte and a body; the body is a Go struct as a MessagePack map whose keys are in
byte order (`gomsgpack`). Field order here is the wire's. `declared` is the order in the Go source, which counts
when a peer writes the struct as an array.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import attrs

from .gomsgpack import (
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
)

__all__ = [
    "MAX_INT",
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
]

MAX_INT = 2**63 - 1


class MessageType(enum.IntEnum):
    """The first byte of every plaintext message."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6
    COMPOUND = 7
    USER = 8
    COMPRESS = 9
    ENCRYPT = 10
    NACK = 11
    HAS_CRC = 12
    ERROR = 13
    WEIGHT = 14
    HAS_LABEL = 244


class State(enum.IntEnum):
    """The state of a node as push/pull carries it."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


def head(kind: MessageType, fields: int) -> bytes:
    """What a message begins with: its type, and the head of a MessagePack map (a *fixmap*) of so many fields."""
    return bytes((kind, 0x80 + fields))


_FROM = b"\xa4From"
_INCARNATION = b"\xabIncarnation"
_NODE = b"\xa4Node"
_SEQ_NO = b"\xa5SeqNo"
_SOURCE_ADDR = b"\xaaSourceAddr"
_SOURCE_NODE = b"\xaaSourceNode"
_SOURCE_PORT = b"\xaaSourcePort"
_PORT = b"\xa4Port"
_ADDR = b"\xa4Addr"
_META = b"\xa4Meta"
_VSN = b"\xa3Vsn"


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
                b"\x00\x85" + _NODE,
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
                b"\x01\x88\xa4Nack",
                b"\xc3" if self.nack else b"\xc2",
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
                b"\xa6Target",
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
        payload = b"\xc0" if self.payload is None else raw(self.payload)
        return b"\x02\x82\xa7Payload" + payload + _SEQ_NO + unsigned(self.seq_no)


@attrs.define
class Nack:
    """I work, but the node you asked me to ping did not answer me (Lifeguard)."""

    declared: ClassVar = (b"SeqNo",)

    seq_no: int

    @classmethod
    def decode(cls, body: bytes | memoryview) -> Nack:
        return cls(to_u32(struct_fields(body, cls.declared).get(b"SeqNo")))

    def encode(self) -> bytes:
        return b"\x0b\x81" + _SEQ_NO + unsigned(self.seq_no)


@attrs.define
class _Report:
    """What `reporter` says about `node` at `incarnation`."""

    kind: ClassVar[MessageType]
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
                head(self.kind, 3) + _FROM,
                raw(text_of(self.reporter)),
                _INCARNATION,
                unsigned(self.incarnation),
                _NODE,
                raw(text_of(self.node)),
            )
        )


class Suspect(_Report):
    """`reporter` got no answer from `node`."""

    kind = MessageType.SUSPECT


class Dead(_Report):
    """`node` is dead, says `reporter`; a node that reports itself leaves."""

    kind = MessageType.DEAD


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
                b"\x04\x86" + _ADDR,
                raw(self.addr),
                _INCARNATION,
                unsigned(self.incarnation),
                _META,
                b"\xc0" if self.meta is None else raw(self.meta),
                _NODE,
                raw(text_of(self.node)),
                _PORT,
                unsigned(self.port),
                _VSN,
                raw(self.vsn),
            )
        )


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
                b"\x0e\x85" + _FROM,
                raw(text_of(self.sender)),
                _INCARNATION,
                unsigned(self.incarnation),
                _NODE,
                raw(text_of(self.node)),
                b"\xa6Weight",
                signed(self.weight),
                b"\xa8WeightAt",
                signed(self.weight_at),
            )
        )
