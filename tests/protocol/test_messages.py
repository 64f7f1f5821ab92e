"""Every message comes back as it was encoded, whatever its fields hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydoudou.drivers.memberlist.protocol import messages as wire
from pydoudou.drivers.memberlist.protocol import stream_messages as stream_wire
from pydoudou.drivers.memberlist.protocol.errors import ProtocolError
from pydoudou.drivers.memberlist.protocol.gomsgpack import signed, struct_fields, unsigned

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
raw = st.binary(max_size=400)
text = raw.map(lambda data: data.decode("utf-8", "surrogateescape"))
nilable = st.none() | raw

PACKETS = (
    st.builds(wire.Ping, u32, text, raw, u16, text)
    | st.builds(wire.IndirectPing, u32, raw, u16, text, st.booleans(), raw, u16, text)
    | st.builds(wire.Ack, u32, nilable)
    | st.builds(wire.Nack, u32)
    | st.builds(wire.Suspect, u32, text, text)
    | st.builds(wire.Dead, u32, text, text)
    | st.builds(wire.Alive, u32, text, raw, u16, nilable, raw)
    | st.builds(wire.Weight, u32, text, text, i64, i64)
)
RECORDS = st.builds(stream_wire.PushPullNode, text, raw, u16, nilable, u32, i64, raw)


@pytest.mark.upstream("TestEncodeDecode")
@given(PACKETS)
def test_a_message_comes_back_as_it_was_encoded(message: Any) -> None:
    assert type(message).decode(message.encode()[1:]) == message


@given(u32, text, raw, u16, nilable, raw)
def test_the_length_of_a_statement_is_known_before_it_is_encoded(
    incarnation: int, name: str, addr: bytes, port: int, meta: bytes | None, vsn: bytes
) -> None:
    size = wire.alive_bytes(name, addr, port, meta, incarnation, vsn)
    assert size == len(wire.Alive(incarnation, name, addr, port, meta, vsn).encode())


@given(RECORDS)
def test_a_record_comes_back_as_it_was_encoded(record: stream_wire.PushPullNode) -> None:
    assert stream_wire.PushPullNode(*stream_wire.entry_of(struct_fields(record.encode(), ()))) == record


@given(i64, i64, st.booleans())
def test_a_header_comes_back_as_it_was_encoded(nodes: int, size: int, join: bool) -> None:
    header = stream_wire.PushPullHeader(nodes, size, join)
    assert stream_wire.PushPullHeader.from_value(struct_fields(header.encode()[1:], header.declared)) == header


@pytest.mark.parametrize(
    ("value", "as_unsigned", "as_signed"),
    [
        (0, "00", "00"),
        (127, "7f", "7f"),
        (128, "cc80", "d10080"),
        (200, "ccc8", "d100c8"),
        (255, "ccff", "d100ff"),
        (256, "cd0100", "d10100"),
        (65_535, "cdffff", "d20000ffff"),
        (65_536, "ce00010000", "d200010000"),
        (2**32 - 1, "ceffffffff", "d300000000ffffffff"),
    ],
)
def test_numbers_take_the_form_of_their_go_type(value: int, as_unsigned: str, as_signed: str) -> None:
    assert (unsigned(value).hex(), signed(value).hex()) == (as_unsigned, as_signed)


@given(st.binary(max_size=200))
def test_what_is_no_message_is_an_error_and_nothing_worse(body: bytes) -> None:
    for each in (wire.Ping, wire.IndirectPing, wire.Ack, wire.Nack, wire.Suspect, wire.Dead, wire.Alive, wire.Weight):
        try:
            message = each.decode(body)
        except ProtocolError:
            continue
        assert isinstance(message, each)
