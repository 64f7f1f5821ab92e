"""The cluster label, on packets and on streams."""

from __future__ import annotations

import pytest
from support.cluster import PEER, Lone, codec

from pydoudou.drivers.memberlist.protocol.errors import ProtocolError
from pydoudou.drivers.memberlist.protocol.label import label_header, split_label
from pydoudou.drivers.memberlist.protocol.messages import Ack, Ping
from pydoudou.drivers.memberlist.protocol.stream_layers import framed

PING = Ping(5).encode()


@pytest.mark.upstream("TestAddLabelHeaderToPacket")
@pytest.mark.parametrize("label", [b"", b"foo", b"x" * 255])
def test_a_packet_carries_its_label_in_front(label: bytes) -> None:
    lone = Lone(label=label)
    lone.hear(label_header(label) + PING)
    ((_, packet),) = lone.packets()
    header = b"\xf4" + bytes((len(label),)) + label if label else b""
    assert packet == header + Ack(5).encode()


@pytest.mark.upstream("TestAddLabelHeaderToPacket")
def test_a_label_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="256 bytes"):
        Lone(label=b"x" * 256)


@pytest.mark.upstream("TestRemoveLabelHeaderFromPacket")
@pytest.mark.parametrize(
    ("packet", "label", "rest"),
    [
        (b"", b"", b""),
        (b"\x00", b"", b"\x00"),
        (PING, b"", PING),
        (b"\xf4\x01a", b"a", b""),
        (b"\xf4\x03fooBLAH", b"foo", b"BLAH"),
        (b"\xf4\xff" + b"z" * 255 + b"rest", b"z" * 255, b"rest"),
    ],
)
def test_a_label_is_taken_off_and_the_rest_stays(packet: bytes, label: bytes, rest: bytes) -> None:
    assert split_label(packet) == (label, rest)


@pytest.mark.upstream("TestRemoveLabelHeaderFromPacket")
@pytest.mark.parametrize("packet", [b"\xf4", b"\xf4\x00", b"\xf4\x00rest", b"\xf4\x02a", b"\xf4\xff" + b"z" * 254])
def test_a_label_that_is_empty_or_cut_short_is_refused(packet: bytes) -> None:
    with pytest.raises(ProtocolError, match="label header"):
        split_label(packet)


@pytest.mark.upstream("TestAddLabelHeaderToStream")
@pytest.mark.parametrize("label", [b"", b"foo", b"x" * 255])
def test_only_the_side_that_dials_writes_its_label_on_a_stream(label: bytes) -> None:
    ours = codec(Lone(label=label).config)
    assert framed(ours, PING, dialled=True) == label_header(label) + PING
    assert framed(ours, PING, dialled=False) == PING


@pytest.mark.upstream("TestRemoveLabelHeaderFromStream")
@pytest.mark.parametrize("cut", [0, 1, 2, 3])
@pytest.mark.parametrize("label", [b"", b"f", b"foo", b"x" * 255])
def test_a_label_is_taken_off_a_stream_however_it_is_cut(label: bytes, cut: int) -> None:
    answer, exchange = Lone(label=label).accept(label_header(label) + PING, cut=cut)
    assert (answer, exchange.failure) == (Ack(5).encode(), "")


@pytest.mark.upstream("TestRemoveLabelHeaderFromStream")
@pytest.mark.parametrize(
    ("label", "data"),
    [(b"", b"\xf4\x00"), (b"", b"\xf4\x03foo" + PING), (b"foo", PING), (b"foo", b"\xf4\x03bar" + PING)],
    ids=["empty", "unexpected", "missing", "another"],
)
def test_a_stream_with_another_label_is_closed_without_a_word(label: bytes, data: bytes) -> None:
    answer, exchange = Lone(label=label).accept(data)
    assert answer == b""
    assert "label" in exchange.failure


@pytest.mark.upstream("TestRemoveLabelHeaderFromStream")
@pytest.mark.parametrize("data", [b"\xf4", b"\xf4\x03", b"\xf4\x03fo"])
def test_a_stream_that_ends_within_the_label_is_closed(data: bytes) -> None:
    lone = Lone(label=b"foo")
    answer, exchange = lone.accept(data)
    exchange.received(b"", lone.now)
    assert (answer, exchange.done) == (b"", True)


@pytest.mark.upstream("TestLabelOverhead")
def test_a_label_takes_two_bytes_more_than_its_length_of_each_packet() -> None:
    assert [codec(Lone(label=b"x" * size).config).overhead for size in (0, 1, 7, 255)] == [0, 3, 9, 257]


@pytest.mark.parametrize(("ours", "theirs"), [(b"", b"foo"), (b"foo", b""), (b"foo", b"bar")])
def test_a_packet_of_another_cluster_is_dropped(ours: bytes, theirs: bytes) -> None:
    lone = Lone(label=ours)
    lone.hear(label_header(theirs) + PING, source=PEER)
    assert lone.problems() == ["bad_packet"]
    assert lone.packets() == []


def test_where_something_in_front_takes_labels_off_a_second_one_is_refused() -> None:
    lone = Lone(label=b"foo", skip_inbound_label_check=True)
    lone.hear(PING)
    assert len(lone.packets()) == 1
    lone.hear(label_header(b"foo") + PING)
    assert lone.problems() == ["bad_packet"]
