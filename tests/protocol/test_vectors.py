"""What real Go nodes sent: decoded to the listed fields, and written again byte for byte."""

from __future__ import annotations

import os
import random
from functools import partial
from typing import Any

import attrs
import pytest
from support.captured import Captured, all_captured, load, same

from pydoudou.drivers.memberlist.protocol import Config, Dialect, Keyring, Swim
from pydoudou.drivers.memberlist.protocol import messages as wire
from pydoudou.drivers.memberlist.protocol import stream_messages as stream_wire
from pydoudou.drivers.memberlist.protocol.context import Context
from pydoudou.drivers.memberlist.protocol.errors import ProtocolError
from pydoudou.drivers.memberlist.protocol.message_types import MessageType
from pydoudou.drivers.memberlist.protocol.packet import PacketCodec, compound, compressed, messages
from pydoudou.drivers.memberlist.protocol.stream_layers import framed
from pydoudou.drivers.memberlist.protocol.stream_reader import PushPull, StreamReader

CAPTURED = all_captured()
_OVERFLOW = "hashicorp:compound_count_overflow_bug"

_FIELDS = {
    "SeqNo": "seq_no",
    "Node": "node",
    "Name": "name",
    "SourceAddr": "source_addr",
    "SourcePort": "source_port",
    "SourceNode": "source_node",
    "Target": "target",
    "Port": "port",
    "Nack": "nack",
    "Payload": "payload",
    "Incarnation": "incarnation",
    "From": "reporter",
    "Addr": "addr",
    "Meta": "meta",
    "Vsn": "vsn",
    "State": "state",
    "Weight": "weight",
    "WeightAt": "weight_at",
    "Error": "error",
}
_CLASSES: dict[str, Any] = {
    "ping": wire.Ping,
    "indirectPing": wire.IndirectPing,
    "ackResp": wire.Ack,
    "nackResp": wire.Nack,
    "suspect": wire.Suspect,
    "alive": wire.Alive,
    "dead": wire.Dead,
    "weight": wire.Weight,
}
_TYPES = {
    "ping": 0,
    "indirectPing": 1,
    "ackResp": 2,
    "suspect": 3,
    "alive": 4,
    "dead": 5,
    "user": 8,
    "nackResp": 11,
    "weight": 14,
}


def context_for(captured: Captured) -> Context:
    config = Config(
        "reader",
        "127.0.0.1",
        7946,
        dialect=Dialect(captured.dialect),
        label=captured.label,
        compression=captured.compression,
    )
    keyring = Keyring([captured.key] if captured.key else [])
    return Context(config, keyring, random.Random(1), os.urandom, 0.0)


def read_packet(captured: Captured) -> list[tuple[int, bytes]]:
    return list(messages(context_for(captured).codec.unwrap(captured.data)))


def read_stream(captured: Captured, cut: int = 0) -> Any:
    """The message of a stream that arrives whole, or in pieces of `cut` bytes."""
    reader = StreamReader(context_for(captured).codec, accepted=captured.accepted)
    step = cut or len(captured.data)
    for start in range(0, len(captured.data), step):
        reader.feed(captured.data[start : start + step])
        while reader.paused:
            reader.read_on()
        if reader.heavy is not None:
            reader.resume(reader.heavy())
        while reader.paused:
            reader.read_on()
    return reader.message


def fields_of(expected: dict[str, Any]) -> dict[str, Any]:
    return expected.get("fields") or expected.get("body") or {}


def assert_fields(message: Any, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if name.startswith("_"):
            continue
        attribute = "sender" if name == "From" and isinstance(message, wire.Weight) else _FIELDS[name]
        assert same(value, getattr(message, attribute)), (name, value, message)


PACKETS = [c for c in CAPTURED if not c.stream and c.name != _OVERFLOW]
STREAMS = [c for c in CAPTURED if c.stream]


@pytest.mark.parametrize("captured", PACKETS, ids=lambda c: c.name)
def test_a_captured_packet_decodes_to_the_listed_fields_and_encodes_to_the_same_bytes(captured: Captured) -> None:
    found = read_packet(captured)
    assert [kind for kind, _ in found] == [_TYPES[name] for name, _ in captured.messages]
    for (kind, body), (name, expected) in zip(found, captured.messages, strict=True):
        if name == "user":
            payload = expected["payload"]
            if captured.name.startswith("doudou:"):
                assert same(payload, body)
            else:
                assert body == bytes.fromhex(payload)
            continue
        message = _CLASSES[name].decode(body)
        assert_fields(message, fields_of(expected))
        assert message.encode() == bytes((kind,)) + body


@pytest.mark.parametrize("captured", PACKETS, ids=lambda c: c.name)
def test_the_layers_of_a_captured_packet_are_written_as_go_writes_them(captured: Captured) -> None:
    """Label, encryption (with the captured nonce), checksum, compression and compound, byte for byte."""
    assert packet_again(captured) == captured.data


def packet_again(captured: Captured) -> bytes:
    """The same messages in the same layers, written by us."""
    context = context_for(captured)
    parts = [bytes((kind,)) + body for kind, body in messages(context.codec.unwrap(captured.data))]
    rebuilt = compound(parts)[0] if "compound" in captured.kinds else parts[0]
    if "compress" in captured.kinds:
        rebuilt = compressed(rebuilt)
    plain = attrs.evolve(context.config, compression=False)
    codec = PacketCodec(plain, context.keyring, os.urandom)
    if captured.key:
        sealed = captured.data[2 + len(captured.label) :] if captured.label else captured.data
        codec = PacketCodec(spoken_by(sealed, plain), context.keyring, lambda size: nonce_of(sealed, size))
    return codec.wrap(rebuilt, crc="hasCrc" in captured.kinds)


def spoken_by(sealed: bytes, config: Config) -> Config:
    """The configuration that encrypts as `sealed` is encrypted."""
    return attrs.evolve(config, protocol_version=1 if sealed[0] == 0 else 2)


def nonce_of(sealed: bytes, size: int) -> bytes:
    return sealed[1 : 1 + size]


@pytest.mark.parametrize("cut", [0, 1, 7], ids=["whole", "byte by byte", "in sevens"])
@pytest.mark.parametrize("captured", STREAMS, ids=lambda c: c.name)
def test_a_captured_stream_decodes_to_the_listed_fields_however_it_is_cut(captured: Captured, cut: int) -> None:
    message = read_stream(captured, cut)
    ((name, expected),) = captured.messages
    if name == "user":
        header = expected["header"]
        assert len(message) == header["UserMsgLen"]
        if "payload" in expected:
            payload = expected["payload"]
            assert same(payload if captured.name.startswith("doudou:") else {"hex": payload}, message)
    elif name == "pushPull":
        assert isinstance(message, PushPull)
        assert (message.join, len(message.nodes)) == (expected["header"]["Join"], expected["header"]["Nodes"])
        assert len(message.user_state) == expected["header"]["UserStateLen"]
        for entry, listed in zip(message.nodes, expected["nodes"], strict=True):
            assert_fields(stream_wire.PushPullNode(*entry), listed)
    else:
        assert_fields(message, fields_of(expected))


@pytest.mark.parametrize("captured", STREAMS, ids=lambda c: c.name)
def test_a_captured_stream_encodes_to_the_same_bytes(captured: Captured) -> None:
    assert stream_again(captured) == captured.data


def stream_again(captured: Captured) -> bytes:
    """The same message in the same layers, written by us."""
    message = read_stream(captured)
    if isinstance(message, PushPull):
        header = stream_wire.PushPullHeader(len(message.nodes), len(message.user_state), message.join)
        encoded = b"".join(
            [header.encode(), *(stream_wire.encoded_entry(*entry) for entry in message.nodes), message.user_state]
        )
    elif isinstance(message, bytes):
        encoded = stream_wire.stream_user_header(len(message)) + message
    else:
        encoded = message.encode()
    context, draw = context_for(captured), os.urandom
    config = attrs.evolve(context.config, compression="compress" in captured.kinds)
    if captured.key:
        sealed = captured.data[5 + (2 + len(captured.label) if captured.accepted and captured.label else 0) :]
        config = spoken_by(sealed, config)
        draw = partial(nonce_of, sealed)
    return framed(PacketCodec(config, context.keyring, draw), encoded, dialled=captured.accepted)


def test_a_compound_whose_count_has_wrapped_around_is_dropped_without_harm() -> None:
    """Go's piggyback path writes 301 parts with the count 45: what is decoded is noise."""
    captured = next(c for c in CAPTURED if c.name == _OVERFLOW)
    found = read_packet(captured)
    assert len(found) == 45
    for kind, body in found:
        assert kind == MessageType.PING
        with pytest.raises(ProtocolError):
            wire.Ping.decode(body)


def test_every_kind_is_among_the_captured_ones_and_written_byte_for_byte(record_property: Any) -> None:
    """Not one is written in another way than Go's; only the datagram that Go itself wrote wrongly is left out."""
    kinds: set[str] = set()
    differently: set[str] = set()
    for captured in (*PACKETS, *STREAMS):
        kinds.update(captured.kinds)
        if (stream_again if captured.stream else packet_again)(captured) != captured.data:
            differently.update(captured.kinds)
    record_property("kinds", (len(CAPTURED), sorted(kinds), sorted(differently)))
    assert not differently
    assert kinds == {
        "ping", "indirectPing", "ackResp", "nackResp", "suspect", "alive", "dead", "weight", "user", "pushPull", "err",
        "compound", "compress", "hasCrc", "hasLabel", "encrypt", "encrypted_packet", "sealed",
    }  # fmt: skip


def test_our_copies_of_the_captured_packets_are_all_there() -> None:
    assert {name: len(load(name)) for name in ("hashicorp", "doudou-fork", "doudou", "hostile", "leniency")} == {
        "hashicorp": 106,
        "doudou-fork": 38,
        "doudou": 200,
        "hostile": 72,
        "leniency": 47,
    }
    assert len(CAPTURED) == 106 + 38 + 200 == len(PACKETS) + len(STREAMS) + 1


@pytest.mark.parametrize("vector", load("leniency"), ids=lambda v: v["name"])
def test_we_accept_the_pings_that_go_accepts(vector: dict[str, Any]) -> None:
    """The recorded node was called node-a; it acked, or it did not."""
    config = Config.lan("node-a", "127.77.0.1", 21001, dialect=Dialect.HASHICORP)
    node = Swim(config, random=random.Random(1), random_bytes=os.urandom, now=0.0)
    node.take()
    node.packet_received(bytes.fromhex(vector["sent_hex"]), ("127.79.0.9", 40000), 0.0)
    acks = [
        wire.Ack.decode(body)
        for _, packet in node.take().packets
        for kind, body in messages(context_for(CAPTURED[0]).codec.unwrap(packet))
        if kind == MessageType.ACK
    ]
    assert bool(acks) == vector["accepted_by_go"]
    if acks and vector.get("ack_seq") is not None:
        assert acks[0].seq_no == vector["ack_seq"]
