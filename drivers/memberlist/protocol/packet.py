"""The layers of a datagram.

    label | encryption | CRC | compression or compound | message

Sending goes from right to left, receiving from left to right. Compounds and compressed parts may contain each
other; the CRC is recognised only as the outermost plaintext layer.

One datagram may describe far more work than its size: 16,000 compounds fit into each other, 24 KB inflate to 30 MB.
So the parts are walked with a stack of our own, and depth, number of parts and inflated bytes are bounded per
packet. Parts that were read before a bound was hit still count, as in Go.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

from .config import Config
from .encryption import Keyring, decrypt, encrypt, encryption_overhead
from .errors import ProtocolError
from .gomsgpack import fixstr, raw, struct_fields, to_bytes, to_int, unsigned
from .label import label_header, split_label
from .lzw import compress, decompress
from .message_types import MessageType, message_head

__all__ = [
    "COMPRESS_FIELDS",
    "MAX_COMPOUND_PARTS",
    "ORDINARY_BYTES",
    "PacketCodec",
    "compound",
    "compressed",
    "inflate",
    "messages",
    "packed_bytes",
]

MAX_COMPOUND_PARTS = 255
MAX_DEPTH = 8
MAX_PARTS = 1024
"""An honest packet has at most 255 parts. Each may ask for an answer, so this bounds the time that one packet takes."""
MAX_INFLATED_PACKET_BYTES = 256 * 1024
"""What all compressed parts of one packet may inflate to. Gossip packets hold 1,400 bytes, the largest datagram 64
KB.
"""

ORDINARY_BYTES = 2048
"""Compounds of gossip are no larger, unless a cluster is set to large datagrams."""

_COMPOUND = MessageType.COMPOUND.value
_COMPRESS = MessageType.COMPRESS.value
COMPRESS_FIELDS = (b"Algo", b"Buf")
_LZW = 0
_COMPRESSED_HEAD = message_head(MessageType.COMPRESS, 2) + fixstr(b"Algo") + unsigned(_LZW) + fixstr(b"Buf")
_CRC_HEAD = bytes((MessageType.HAS_CRC,))
_LABEL_HEAD = bytes((MessageType.HAS_LABEL,))


def compound(parts: Sequence[bytes]) -> list[bytes]:
    """`parts` in as few messages as possible: bare if one, else compounds of at most 255 (Go's piggyback path writes
    the count modulo 256 and corrupts the packet).
    """
    if len(parts) == 1:
        return [parts[0]]
    packets = []
    for start in range(0, len(parts), MAX_COMPOUND_PARTS):
        some = parts[start : start + MAX_COMPOUND_PARTS]
        packets.append(struct.pack(f">BB{len(some)}H", _COMPOUND, len(some), *map(len, some)) + b"".join(some))
    return packets


def compressed(message: bytes) -> bytes:
    """`message` inside a compress message, however large that becomes."""
    return _COMPRESSED_HEAD + raw(compress(message))


def inflate(body: bytes | memoryview, limit: int) -> bytes:
    """What a compress message holds.

    Raises:
        ProtocolError: an algorithm other than LZW, an invalid stream, or more than `limit` bytes.
    """
    return decompress(packed_bytes(struct_fields(body, COMPRESS_FIELDS)), limit)


def packed_bytes(fields: Mapping[bytes, Any]) -> bytes:
    """The compressed bytes in the fields of a compress message.

    Raises:
        ProtocolError: an algorithm other than LZW.
    """
    algorithm = to_int(fields.get(b"Algo"), 0, 255)
    if algorithm != _LZW:
        raise ProtocolError(f"unknown compression algorithm {algorithm}")
    return to_bytes(fields.get(b"Buf"))


def messages(plaintext: bytes, may_work: Callable[[int], bool] = lambda size: True) -> Iterator[tuple[int, bytes]]:
    """The messages of a packet in order, as type and body. `may_work` is asked before so many bytes are inflated, or
    so large a compound is taken apart.

    Raises:
        ProtocolError: a layer is malformed or a bound is exceeded; what came before was yielded.
    """
    kind = plaintext[0] if plaintext else -1
    if kind not in (_COMPOUND, _COMPRESS):
        if kind < 0:
            raise ProtocolError("missing message type byte")
        yield kind, plaintext[1:]
        return
    waiting = [(plaintext, 0)]
    parts_left, inflated_left = MAX_PARTS, MAX_INFLATED_PACKET_BYTES
    fault = ""
    while waiting:
        message, depth = waiting.pop()
        if not message:
            fault = "missing message type byte"
            continue
        kind = message[0]
        if kind not in (_COMPOUND, _COMPRESS):
            yield kind, message[1:]
            continue
        if depth >= MAX_DEPTH:
            raise ProtocolError(f"layers nested deeper than {MAX_DEPTH}")
        if (kind == _COMPRESS or len(message) > ORDINARY_BYTES) and not may_work(len(message)):
            raise ProtocolError("more work than there is time for")
        if kind == _COMPRESS:
            inner = inflate(message[1:], inflated_left)
            inflated_left -= len(inner)
            waiting.append((inner, depth + 1))
            continue
        parts, cut_short = _parts(message)
        fault = cut_short or fault
        parts_left -= len(parts)
        if parts_left < 0:
            raise ProtocolError(f"more than {MAX_PARTS} parts")
        for at, part in enumerate(parts):
            if not part or part[0] in (_COMPOUND, _COMPRESS):
                # The rest waits behind what this part contains, so that the order is kept.
                waiting.extend((later, depth + 1) for later in reversed(parts[at:]))
                break
            yield part[0], part[1:]
    if fault:
        raise ProtocolError(fault)


def _parts(message: bytes) -> tuple[list[bytes], str]:
    """The whole parts of a compound, and what is wrong with the rest ("" if nothing)."""
    if len(message) < 2:
        raise ProtocolError("missing compound length byte")
    count = message[1]
    start = 2 + 2 * count
    if len(message) < start:
        raise ProtocolError("truncated len slice")
    parts: list[bytes] = []
    for size in struct.unpack_from(f">{count}H", message, 2):
        end = start + size
        if end > len(message):
            return parts, f"compound lacks {count - len(parts)} of {count} parts"
        parts.append(message[start:end])
        start = end
    return parts, ""


class PacketCodec:
    """Wraps and unwraps datagrams under one configuration and keyring."""

    def __init__(self, config: Config, keyring: Keyring, random_bytes: Callable[[int], bytes]) -> None:
        self.config = config
        self.keyring = keyring
        self.random_bytes = random_bytes
        self._header = label_header(config.label)

    @property
    def encrypts(self) -> bool:
        """Whether outgoing packets are encrypted."""
        return self.config.verify_outgoing and bool(self.keyring)

    @property
    def encryption_version(self) -> int:
        """0 for nodes of protocol version 1, else 1."""
        return 0 if self.config.protocol_version == 1 else 1

    @property
    def overhead(self) -> int:
        """The most bytes that the label and the encryption add."""
        return len(self._header) + (encryption_overhead(self.encryption_version) if self.encrypts else 0)

    def wrap(self, message: bytes, *, crc: bool = False) -> bytes:
        """The datagram that carries `message`; with `crc`, protected for a peer of protocol version 5."""
        if self.config.compression:
            smaller = compressed(message)
            if len(smaller) < len(message):
                message = smaller
        if crc:
            message = _CRC_HEAD + crc32(message).to_bytes(4, "big") + message
        if self.encrypts:
            message = encrypt(self.keyring, self.encryption_version, message, self.config.label, self.random_bytes)
        return self._header + message

    def unwrap(self, datagram: bytes) -> bytes:
        """The plaintext of a datagram: a message, a compound or a compressed message.

        Raises:
            ProtocolError: wrong label, cannot be decrypted, or the checksum does not match.
        """
        if datagram[:1] == _LABEL_HEAD or self._header:
            datagram = self._without_label(datagram)
        if self.keyring:
            try:
                datagram = decrypt(self.keyring, datagram, self.config.label)
            except ProtocolError:
                if self.config.verify_incoming:
                    raise
        if datagram[:1] == _CRC_HEAD and len(datagram) >= 5:
            message = datagram[5:]
            if crc32(message) != int.from_bytes(datagram[1:5], "big"):
                raise ProtocolError("invalid checksum")
            return message
        return datagram

    def _without_label(self, datagram: bytes) -> bytes:
        label, rest = split_label(datagram)
        self.check_label(label)
        return rest

    def check_label(self, label: bytes) -> None:
        """Whether a packet or stream with this label is for us.

        Raises:
            ProtocolError: it belongs to another cluster, or has a label although somebody else took it off already.
        """
        if self.config.skip_inbound_label_check:
            if label:
                raise ProtocolError("unexpected double label")
        elif label != self.config.label:
            raise ProtocolError(f"label {label[:40]!r} is not ours")
