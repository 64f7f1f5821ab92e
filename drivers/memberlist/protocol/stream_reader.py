"""One TCP connection, one exchange: the dialler sends one message, the other side answers with at most one and closes.

    label | encryption | compression | message

Only the dialler writes the label header. `StreamReader` takes the bytes of one side as they arrive, however they
are cut, and reads each byte once: a push/pull of ten thousand nodes is decoded node by node while it comes in.
Every length is checked before anything is allocated for it.

A few bytes may stand for much work: 65,536 node records of one byte each, or a compressed message a thousand times
its size. So what is decoded at a time is bounded as well (`PIECE_BYTES`), and an event loop gets its turn in between.
"""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import attrs
import msgpack

from .context import Context
from .encryption import decrypt
from .errors import ProtocolError
from .gomsgpack import as_struct, to_bytes, to_int
from .label import split_label
from .lzw import decompress
from .messages import Ack, MessageType, Ping
from .stream_messages import Entry, ErrorReply, PushPullHeader, entry_of, stream_user_length

__all__ = ["Message", "PushPull", "StreamReader"]

MAX_ENCRYPTED_BYTES = 20 * 1024 * 1024
MAX_INFLATED_STREAM_BYTES = 40 * 1024 * 1024
MAX_USER_BYTES = 20 * 1024 * 1024
MAX_NODES = 65_536
"""In one push/pull; Go allows a million and allocates them up front."""
MAX_STREAM_BYTES = 64 * 1024 * 1024
MAX_FIELD_BYTES = 65_536
"""No field of a node record is longer than this; Go reads fields of any length into memory."""
MAX_ELEMENTS = 1024
"""In one array or map of a record."""
MAX_RECORD_BYTES = 256 * 1024
"""A message or node record without its user state. Empty arrays take sixty times their size in memory, and nothing
can be checked before the record is complete.
"""
MAX_WRAPPER_CONTAINERS = 16
"""Arrays and maps in a compress message, and elements in each. An honest one is a map of two; its size is bounded by
that of its bytes alone.
"""
PIECE_BYTES = 8 * 1024
"""Decoded in one go. The densest input, records of one byte, takes 1 to 4 µs per byte."""
HEAVY_BYTES = 4 * 1024
"""Compressed input beyond this size takes longer than an event loop should be held up."""


@attrs.frozen
class PushPull:
    """A full state as it was received.

    Attributes:
        nodes: without those whose entry is, to the byte, the one that we would write.
    """

    join: bool
    nodes: list[Entry]
    user_state: bytes


Message = Ping | Ack | ErrorReply | PushPull | bytes
"""What a stream can carry; bytes are a user message."""


class _Phase(enum.Enum):
    LABEL = enum.auto()
    FRAME = enum.auto()
    SEALED = enum.auto()
    MESSAGE = enum.auto()
    INFLATING = enum.auto()


class StreamReader:
    """Reads one message from one side of a stream.

    Attributes:
        message: the message, once it is complete.
        heavy: work that takes long and touches nothing else: run it anywhere (a thread), then call `resume` with its
        result.
        paused: whether there is more to decode of what has been fed: call `read_on`.
        answer_errors: whether a `ProtocolError` raised now is one that Go tells the dialler about.
    """

    def __init__(self, context: Context, *, accepted: bool) -> None:
        self._context = context
        self._phase = _Phase.LABEL if accepted else _Phase.FRAME
        self._buffer = bytearray()
        self._sealed_bytes = 0
        self._received_bytes = 0
        self._parse: Generator[None, None, None] | None = None
        self._unpacker: Any = None
        self._unread: collections.deque[memoryview] = collections.deque()
        self._fed_bytes = 0
        self._keeps = False
        self._kept = bytearray()
        self._kept_from = self._ended_at = 0
        self._longest_value = MAX_RECORD_BYTES
        self._containers = 0
        self.message: Message | None = None
        self.heavy: Callable[[], bytes] | None = None
        self.answer_errors = False

    def feed(self, data: bytes) -> None:
        """Take more bytes; those after the end of the message are ignored.

        Raises:
            ProtocolError: what came cannot be a message for us.
        """
        if self.message is not None or not data or self._phase is _Phase.INFLATING:
            return
        self._received_bytes += len(data)
        if self._received_bytes > MAX_STREAM_BYTES:
            raise ProtocolError(f"stream of more than {MAX_STREAM_BYTES} bytes")
        if self._phase is _Phase.MESSAGE:
            self._read_message(data)
            return
        self._buffer += data
        if self._phase is _Phase.LABEL and not self._read_label():
            return
        if self._phase is _Phase.FRAME and not self._read_frame():
            return
        if self._phase is _Phase.SEALED:
            self._read_sealed()

    @property
    def paused(self) -> bool:
        return bool(self._unread) and self.message is None

    def read_on(self) -> None:
        """Decode the next piece.

        Raises:
            ProtocolError: what came cannot be a message for us.
        """
        if self._parse is None:
            return
        try:
            if self._unread:
                piece = self._unread.popleft()
                self._fed_bytes += len(piece)
                self._unpacker.feed(piece)
                if self._keeps:
                    del self._kept[: self._ended_at - self._kept_from]
                    self._kept_from = self._ended_at
                    self._kept += piece
            next(self._parse, None)
        except ProtocolError:
            raise
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError, MemoryError) as error:
            raise ProtocolError(f"not MessagePack: {error or type(error).__name__}") from None

    def resume(self, inflated: bytes) -> None:
        """Go on with the result of `heavy`."""
        self.heavy = None
        self._start_message(inflated, inflated=True)

    # -- layers --------------------------------------------------------------------------------------------------------

    def _read_label(self) -> bool:
        buffer, config = self._buffer, self._context.config
        if buffer[0] == MessageType.HAS_LABEL and (len(buffer) < 2 or len(buffer) < 2 + buffer[1]):
            return False
        label, rest = split_label(bytes(buffer))
        if config.skip_inbound_label_check:
            if label:
                raise ProtocolError("unexpected double label")
        elif label != config.label:
            raise ProtocolError(f"label {label[:40]!r} is not ours")
        self._buffer = bytearray(rest)
        self._phase = _Phase.FRAME
        return True

    def _read_frame(self) -> bool:
        context, buffer = self._context, self._buffer
        if not buffer:
            return False
        self.answer_errors = True
        if buffer[0] != MessageType.ENCRYPT:
            if context.keyring and context.config.verify_incoming:
                raise ProtocolError("encryption is configured but remote state is not encrypted")
            plain = bytes(buffer)
            buffer.clear()
            self._start_message(plain, inflated=False)
            return False
        if not context.keyring:
            raise ProtocolError("remote state is encrypted and encryption is not configured")
        if len(buffer) < 5:
            return False
        self._sealed_bytes = int.from_bytes(buffer[1:5], "big")
        if self._sealed_bytes > MAX_ENCRYPTED_BYTES:
            raise ProtocolError(f"remote node state is larger than limit ({self._sealed_bytes})")
        self._phase = _Phase.SEALED
        return True

    def _read_sealed(self) -> None:
        end = 5 + self._sealed_bytes
        if len(self._buffer) < end:
            return
        header, payload = bytes(self._buffer[:5]), bytes(self._buffer[5:end])
        self._buffer.clear()
        plain = decrypt(self._context.keyring, payload, header + self._context.config.label)
        self._start_message(plain, inflated=False)

    def _start_message(self, data: bytes, *, inflated: bool) -> None:
        self._phase = _Phase.MESSAGE
        if not data:
            raise ProtocolError("nothing inside the compression")
        if data[0] == MessageType.COMPRESS and not inflated:
            count = self._count_container
            self._unpacker = _unpacker(MAX_ENCRYPTED_BYTES, MAX_WRAPPER_CONTAINERS, list_hook=count, object_hook=count)
            self._longest_value = MAX_ENCRYPTED_BYTES
            self._parse = self._parse_compressed()
        else:
            self.answer_errors = False
            self._unpacker = _unpacker(MAX_FIELD_BYTES, MAX_ELEMENTS)
            self._longest_value = MAX_RECORD_BYTES
            self._parse = self._parse_body(data[0])
            self._keeps = data[0] == MessageType.PUSH_PULL
        self._fed_bytes = 0
        self._read_message(memoryview(data)[1:])

    def _read_message(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._unread.extend(view[start : start + PIECE_BYTES] for start in range(0, len(view), PIECE_BYTES))
        self.read_on()

    def _count_container(self, container: Any) -> Any:
        self._containers += 1
        if self._containers > MAX_WRAPPER_CONTAINERS:
            raise ProtocolError("a compress message of many parts")
        return container

    # -- messages: generators that pause while bytes are missing -------------------------------------------------------

    def _value(self) -> Generator[None, None, Any]:
        start = self._unpacker.tell()
        while True:
            try:
                return self._unpacker.unpack()
            except msgpack.OutOfData:
                if self._fed_bytes - start > self._longest_value:
                    raise ProtocolError(f"a record of more than {self._longest_value} bytes") from None
                yield

    def _encoded_value(self) -> Generator[None, None, bytes]:
        """The bytes of the next value; it is complete, but its fields have not been looked at."""
        start = self._ended_at = self._unpacker.tell()
        while True:
            try:
                self._unpacker.skip()
                break
            except msgpack.OutOfData:
                if self._fed_bytes - start > self._longest_value:
                    raise ProtocolError(f"a record of more than {self._longest_value} bytes") from None
                yield
        self._ended_at = self._unpacker.tell()
        return bytes(self._kept[start - self._kept_from : self._ended_at - self._kept_from])

    def _bytes(self, size: int) -> Generator[None, None, bytes]:
        parts = []
        while size:
            part = self._unpacker.read_bytes(size)
            if not part:
                yield
                continue
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _parse_compressed(self) -> Generator[None, None, None]:
        fields = as_struct((yield from self._value()), (b"Algo", b"Buf"))
        if to_int(fields.get(b"Algo"), 0, 255) != 0:
            raise ProtocolError(f"unknown compression algorithm {fields.get(b'Algo')}")
        packed = to_bytes(fields.get(b"Buf"))
        self._phase = _Phase.INFLATING
        self._parse = None
        self._unread.clear()
        self.heavy = partial(decompress, packed, MAX_INFLATED_STREAM_BYTES)
        if len(packed) <= HEAVY_BYTES:
            self.resume(self.heavy())

    def _parse_body(self, kind: int) -> Generator[None, None, None]:
        if kind == MessageType.PUSH_PULL:
            self.message = yield from self._parse_push_pull()
        elif kind == MessageType.USER:
            size = stream_user_length((yield from self._value()))
            if not 0 <= size <= MAX_USER_BYTES:
                raise ProtocolError(f"user message length ({size}) exceeds limit")
            self.message = yield from self._bytes(size)
        elif kind == MessageType.PING:
            self.message = Ping.from_fields(as_struct((yield from self._value()), Ping.declared))
        elif kind == MessageType.ACK:
            self.message = Ack.from_fields(as_struct((yield from self._value()), Ack.declared))
        elif kind == MessageType.ERROR:
            self.message = ErrorReply.from_value((yield from self._value()))
        else:
            raise ProtocolError(f"message type {kind} on a stream")

    def _parse_push_pull(self) -> Generator[None, None, PushPull]:
        header = PushPullHeader.from_value((yield from self._value()))
        if not 0 <= header.nodes <= MAX_NODES:
            raise ProtocolError(f"number of nodes in header ({header.nodes}) exceeds limit")
        if not 0 <= header.user_state_bytes <= MAX_USER_BYTES:
            raise ProtocolError(f"user state length ({header.user_state_bytes}) exceeds limit")
        known = self._context.known_entries
        nodes = []
        for _ in range(header.nodes):
            entry = yield from self._encoded_value()
            if entry not in known:
                nodes.append(entry_of(_unpacked_entry(entry)))
        self._keeps = False
        return PushPull(header.join, nodes, (yield from self._bytes(header.user_state_bytes)))


def _limits(longest_field: int, most_elements: int) -> dict[str, Any]:
    return {
        "raw": True,
        "strict_map_key": False,
        "max_str_len": longest_field,
        "max_bin_len": longest_field,
        "max_ext_len": longest_field,
        "max_array_len": most_elements,
        "max_map_len": most_elements,
    }


def _unpacker(longest_field: int, most_elements: int, **hooks: Callable[[Any], Any]) -> Any:
    return msgpack.Unpacker(max_buffer_size=MAX_STREAM_BYTES, **_limits(longest_field, most_elements), **hooks)


_unpacked_entry = partial(msgpack.unpackb, **_limits(MAX_FIELD_BYTES, MAX_ELEMENTS))
