"""The layers of a datagram: compound, compression, checksum, encryption; and what is reported of a bad one."""

from __future__ import annotations

import contextlib
import errno
import mmap
import random
import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cluster import PEER, Lone, alive
from support.lzw_run import run_of

from pydoudou.drivers.memberlist.protocol import Keyring
from pydoudou.drivers.memberlist.protocol.broadcast import BroadcastQueue
from pydoudou.drivers.memberlist.protocol.encryption import decrypt, encrypt
from pydoudou.drivers.memberlist.protocol.errors import ProtocolError
from pydoudou.drivers.memberlist.protocol.events import Problem, UserMessage
from pydoudou.drivers.memberlist.protocol.lzw import compress, decompress
from pydoudou.drivers.memberlist.protocol.messages import Ack, Alive, Ping
from pydoudou.drivers.memberlist.protocol.packet import compound, compressed, inflate, messages
from pydoudou.drivers.memberlist.protocol.stream_layers import MAX_INFLATED_STREAM_BYTES

KEY = bytes(range(16))
PINGS = [Ping(number, "x").encode() for number in (1, 2, 3)]


def parts_of(packet: bytes) -> list[bytes]:
    return [bytes((kind,)) + body for kind, body in messages(packet)]


# -- compound ----------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMakeCompoundMessage")
def test_a_compound_is_as_long_as_its_parts_and_their_lengths() -> None:
    (packet,) = compound(PINGS)
    assert len(packet) == 2 + 3 * 2 + sum(map(len, PINGS))


@pytest.mark.upstream("TestDecodeCompoundMessage")
def test_three_parts_come_out_of_a_compound_of_three() -> None:
    assert parts_of(compound(PINGS)[0]) == PINGS


def test_a_single_message_needs_no_compound() -> None:
    assert compound(PINGS[:1]) == PINGS[:1]


def test_more_than_255_parts_become_several_compounds() -> None:
    """Upstream's piggyback path writes 301 as 45, and nobody can read the packet."""
    user = [b"\x08%d" % number for number in range(301)]
    packets = compound(user)
    assert [packet[1] for packet in packets] == [255, 46]
    assert [part for packet in packets for part in parts_of(packet)] == user


@pytest.mark.upstream("TestDecodeCompoundMessage_NumberOfPartsOverflow")
@pytest.mark.parametrize("packet", [b"\x07", b"\x07\x80", b"\x07\x02\x00\x01\x00"])
def test_a_compound_whose_lengths_are_cut_short_is_refused(packet: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"truncated len slice|missing compound length"):
        parts_of(packet)


@pytest.mark.upstream("TestDecodeCompoundMessage_Trunc")
def test_of_a_compound_that_is_cut_short_the_whole_parts_still_count() -> None:
    lone = Lone()
    lone.hear(compound([b"\x08one", b"\x08two", b"\x08three"])[0][:-3])
    assert [event.payload for event in lone.events() if isinstance(event, UserMessage)] == [b"one", b"two"]
    lone.hear(compound([b"\x08one", b"\x08two", b"\x08three"])[0][:-3])
    assert lone.problems() == ["bad_packet"]


def test_a_part_without_content_does_not_keep_the_others_from_counting() -> None:
    lone = Lone()
    lone.hear(compound([b"\x08one", b"", b"\x08two"])[0])
    events = lone.events()
    assert [event.payload for event in events if isinstance(event, UserMessage)] == [b"one", b"two"]
    assert [event.kind for event in events if isinstance(event, Problem)] == ["bad_packet"]


def test_one_bad_message_does_not_keep_the_others_from_counting() -> None:
    lone = Lone()
    lone.hear(compound([b"\x00\xc1", b"\x06\x80", b"\x63", Ping(5, "me").encode()])[0])
    assert lone.sent() == [(PEER, Ack(5))]
    assert lone.problems() == ["bad_message"] * 3


def test_bytes_after_the_last_part_are_ignored() -> None:
    assert parts_of(compound(PINGS)[0] + b"more") == PINGS


# -- compression -------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestCompressDecompressPayload")
def test_a_compressed_message_comes_back() -> None:
    packet = compressed(b"\x08" + b"pydoudou " * 40)
    assert packet[0] == 9
    assert len(packet) < 200
    assert parts_of(packet) == [b"\x08" + b"pydoudou " * 40]


@given(st.binary(max_size=600), st.integers(1, 40))
def test_whatever_is_compressed_comes_back(data: bytes, repetitions: int) -> None:
    assert decompress(compress(data * repetitions), len(data) * repetitions) == data * repetitions


def test_what_follows_a_long_run_comes_back_too() -> None:
    """A dictionary of many bytes is kept elsewhere, and used again after it was cleared."""
    chance = random.Random(7)
    data = bytes(300_000) + chance.randbytes(20_000) + bytes(200_000) + chance.randbytes(100)
    assert decompress(compress(data), len(data)) == data


def test_a_dictionary_for_which_there_is_no_memory_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(MemoryError):
        decompress(run_of(b"", 1_000_000), 1_000_000)


@given(st.binary(max_size=200))
def test_what_is_no_compressed_stream_is_an_error_and_nothing_worse(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert len(decompress(data, 100)) <= 100


@pytest.mark.upstream("TestDecompressPayload_Limit")
def test_more_than_40_mib_are_not_decompressed_and_a_byte_more_than_20_mib_are() -> None:
    assert MAX_INFLATED_STREAM_BYTES == 40 * 1024 * 1024
    assert [run_of(b"", size) for size in (1, 2, 5, 100_000)] == [compress(bytes(size)) for size in (1, 2, 5, 100_000)]
    fits, does_not = run_of(b"", 20 * 1024 * 1024 + 1), run_of(b"", MAX_INFLATED_STREAM_BYTES + 1)
    assert len(decompress(fits, MAX_INFLATED_STREAM_BYTES)) == 20 * 1024 * 1024 + 1
    with pytest.raises(ProtocolError, match="more than 41943040 bytes"):
        decompress(does_not, MAX_INFLATED_STREAM_BYTES)


@pytest.mark.parametrize("body", [b"\x82\xa4Algo\x01\xa3Buf\xa3abc", b"\x81\xa4Algo\xa1x", b"\xc1"])
def test_another_algorithm_or_no_compress_message_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        inflate(body, 100)


def test_packets_are_compressed_only_when_that_makes_them_smaller() -> None:
    lone = Lone(compression=True)
    for message in (b"x" * 200, b"x"):
        lone.swim.application.send(PEER, message, lone.now, reliable=False)
    (_, long), (_, short) = lone.packets()
    assert (long[0], short) == (9, b"\x08x")


def test_nothing_is_compressed_unless_asked_for() -> None:
    lone = Lone()
    lone.swim.application.send(PEER, b"x" * 200, lone.now, reliable=False)
    assert lone.packets() == [(PEER, b"\x08" + b"x" * 200)]


# -- checksum ----------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestRawSendUdp_CRC")
@pytest.mark.parametrize(("most", "protected"), [(4, False), (5, True)])
def test_packets_get_a_checksum_if_the_receiver_is_known_to_read_it(most: int, protected: bool) -> None:
    lone = Lone()
    lone.hear(alive("a", vsn=bytes((1, most, 2, 0, 0, 0))))
    lone.packets()
    lone.swim.application.send("a", b"hello", lone.now, reliable=False)
    lone.swim.application.send(PEER, b"hello", lone.now, reliable=False)
    (_, to_a), (_, to_an_address) = lone.packets()
    plain = b"\x08hello"
    assert to_a == (b"\x0c" + struct.pack(">I", crc32(plain)) + plain if protected else plain)
    assert to_an_address == plain


@pytest.mark.upstream("TestIngestPacket_CRC")
def test_a_packet_with_a_wrong_checksum_is_reported_and_dropped() -> None:
    lone = Lone()
    ping = Ping(5, "me").encode()
    packet = b"\x0c" + struct.pack(">I", crc32(ping)) + ping
    lone.hear(packet[:-1] + b"\xff")
    assert lone.packets() == []
    assert lone.problems() == ["bad_packet"]
    lone.hear(packet)
    assert lone.sent() == [(PEER, Ack(5))]


def test_a_checksum_is_read_only_where_go_writes_it() -> None:
    lone = Lone()
    ping = Ping(5, "me").encode()
    inner = b"\x0c" + struct.pack(">I", crc32(ping)) + ping
    lone.hear(compound([inner, inner])[0], b"\x0c" + struct.pack(">I", crc32(inner)) + inner)
    assert lone.packets() == []
    assert lone.problems() == ["bad_message"] * 3


def test_the_checksum_counts_against_the_size_of_a_packet() -> None:
    """Upstream forgets it, and its packets of gossip have up to 1,405 bytes."""
    lone = Lone(udp_buffer_bytes=200)
    lone.hear(alive("a"))
    lone.packets()
    for number in range(20):
        lone.swim.application.broadcast(b"%19d" % number, lone.now)
    lone.run(1.0)
    sizes = [len(datagram) for _, datagram in lone.packets() if datagram[0] == 12]
    assert sizes
    assert 190 < max(sizes) <= 200


def test_a_message_longer_than_any_packet_is_told_all_the_same() -> None:
    lone = Lone(udp_buffer_bytes=200, label=b"x" * 100)
    header = b"\xf4\x64" + b"x" * 100
    lone.hear(header + alive("a", meta=b"y" * 300).encode())
    lone.hear(header + alive("b").encode())
    lone.forget_gossip()
    lone.hear(header + alive("c", meta=b"y" * 300).encode())
    lone.run_until(lambda: lone.swim.queued == 0, within=5.0)
    told = [message for _, message in lone.sent(Alive) if message.node == "c"]
    assert told == [alive("c", meta=b"y" * 300)] * 4


def test_the_first_in_the_queue_is_taken_however_long() -> None:
    queue = BroadcastQueue()
    queue.queue(b"x" * 5000)
    queue.queue(b"short")
    assert queue.take_first(1) == [b"x" * 5000]
    assert queue.take_first(1) == [b"short"]
    assert queue.take_first(1) == []


# -- encryption --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("stream", [False, True], ids=["packet", "stream"])
def test_a_decrypted_plaintext_of_nothing_is_dropped(version: int, stream: bool) -> None:
    keyring = Keyring([KEY])
    lone = Lone(keyring=keyring)
    size = 29 + (16 if version == 0 else 0)
    header = b"\x0a" + size.to_bytes(4, "big")
    payload = encrypt(keyring, version, b"", header if stream else b"", random.Random(1).randbytes)
    assert len(payload) == size
    if stream:
        answer, exchange = lone.accept(header + payload)
        assert exchange.failure == "nothing inside the encryption"
        assert b"nothing inside" in decrypt(keyring, answer[5:], answer[:5])
    else:
        lone.hear(payload)
    (problem,) = lone.happened(Problem)
    assert problem.detail == "nothing inside the encryption"


@pytest.mark.parametrize("padding", [b"\x00" * 16, b"\x11" * 16, b"\x07" + b"\x10" * 15, b"\x01" * 15 + b"\x03"])
@pytest.mark.parametrize("stream", [False, True], ids=["packet", "stream"])
def test_a_padding_of_version_0_that_contradicts_itself_is_dropped(padding: bytes, stream: bool) -> None:
    """Go subtracts whatever the last byte says."""
    keyring, nonce = Keyring([KEY]), bytes(12)
    header = b"\x0a" + (45).to_bytes(4, "big")
    payload = b"\x00" + nonce + keyring.primary.encrypt(nonce, padding, header if stream else b"")
    lone = Lone(keyring=keyring)
    if stream:
        lone.accept(header + payload)
    else:
        lone.hear(payload)
    (problem,) = lone.happened(Problem)
    assert problem.detail == "invalid padding"


# -- what is reported --------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestIngestPacket_ExportedFunc_EmptyMessage")
def test_an_empty_packet_is_reported_and_dropped() -> None:
    lone = Lone()
    lone.hear(b"")
    assert lone.problems() == ["bad_packet"]


@pytest.mark.upstream("TestHandleCommand")
@pytest.mark.parametrize(
    "packet", [b"\x07\x01\x00\x00", compressed(b""), b"\x0c\x00\x00\x00\x00"], ids=["compound", "compress", "checksum"]
)
def test_a_message_without_a_type_is_reported_and_dropped(packet: bytes) -> None:
    lone = Lone()
    lone.hear(packet)
    (problem,) = lone.happened(Problem)
    assert (problem.kind, problem.detail) == ("bad_packet", "missing message type byte")


@pytest.mark.upstream("TestLogging_Address")
def test_what_is_reported_of_a_packet_names_its_source() -> None:
    lone = Lone()
    lone.hear(b"\xff", b"\x07", source=("fd00::1", 7946))
    assert [problem.source for problem in lone.happened(Problem)] == ["[fd00::1]:7946"] * 2
    lone.hear(b"\x63", source=("10.0.0.9", 4000))
    assert [problem.source for problem in lone.happened(Problem)] == ["10.0.0.9:4000"]


@pytest.mark.upstream("TestLogging_Conn")
def test_what_is_reported_of_a_connection_names_the_peer() -> None:
    lone = Lone()
    lone.accept(b"\x63")
    assert [problem.source for problem in lone.happened(Problem)] == ["{}:{}".format(*PEER)]
