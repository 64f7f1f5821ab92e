"""One TCP connection, one exchange: the dialler sends one message, the other side answers with at most one and closes.

`StreamReader` takes the bytes of one side as they arrive, however they are cut, and reads each byte once: a push/pull
of ten thousand nodes is decoded node by node while it comes in.

A few bytes may stand for much work and much memory: 65,536 node records of one byte each. So what is decoded at a time
is bounded (`PIECE_BYTES`), and an event loop gets its turn in between; and what a reader holds is counted as what it
takes in memory, decoded and inflated, not as what it took on the wire (`held_bytes`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator
from functools import partial
from typing import Any

import attrs
import msgpack

from .errors import ProtocolError
from .gomsgpack import as_struct
from .message_types import MessageType
from .messages import Ack, Ping
from .packet import PacketCodec
from .stream_layers import DECODER_BYTES, Inflated, StreamLayers, unpacker, unpacking
from .stream_messages import Entry, ErrorReply, PushPullHeader, entry_of, stream_user_length

__all__ = ["Message", "PushPull", "StreamReader"]

MAX_USER_BYTES = 20 * 1024 * 1024
MAX_NODES = 65_536
"""In one push/pull; Go allows a million and allocates them up front."""
MAX_FIELD_BYTES = 65_536
"""No field of a node record is longer than this; Go reads fields of any length into memory."""
MAX_ELEMENTS = 1024
"""In one array or map of a record."""
MAX_RECORD_BYTES = 256 * 1024
"""A message or node record without its user state. Nothing can be checked before the record is complete."""
_EMPTY_ARRAY_BYTES = 80
_ARRAY_HEAD_BYTES = 3
_MAX_NESTING = 1024
"""Of MessagePack's decoder. An unfinished record is counted as the worst that it may be: empty arrays, each of which
takes one byte on the wire, and heads of nested arrays, for whose elements there is memory before they come.
"""
_ENTRY_BYTES = 400
_NAME_FACTOR = 3
"""What a decoded entry takes: objects and references, its bytes, and three more for each character of the name, which
may take four.
"""


@attrs.frozen(eq=False, repr=False)
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


class StreamReader:
    """Reads one message from one side of a stream.

    Args:
        keep_user_data: whether anybody wants user messages and user states; else they are dropped while they come in.
        known: the entries of a push/pull that are no news, encoded.

    Attributes:
        message: the message, once it is complete.
        answer_errors: whether a `ProtocolError` raised now is one that Go tells the dialler about.
    """

    def __init__(
        self, codec: PacketCodec, *, accepted: bool, keep_user_data: bool = True, known: Container[bytes] = ()
    ) -> None:
        self._layers = StreamLayers(codec, accepted=accepted)
        self._known = known
        self._keep_user_data = keep_user_data
        self._parse: Generator[None, None, None] | None = None
        self._unpacker: Any = None
        self._piece: bytes | memoryview = b""
        self._fed_bytes = 0
        self._kept: bytearray | None = None
        self._kept_from = self._ended_at = 0
        self._unfinished_bytes = 0
        self._decoded_bytes = 0
        self.message: Message | None = None
        self.answer_errors = False

    @property
    def heavy(self) -> Callable[[], Inflated] | None:
        """See `StreamLayers.heavy`."""
        return self._layers.heavy if self.message is None else None

    @property
    def paused(self) -> bool:
        """Whether there is more to decode of what has been fed: call `read_on`."""
        return self._layers.waiting and self.message is None

    @property
    def held_bytes(self) -> int:
        """What all that came so far takes in memory, at the most."""
        decoder = DECODER_BYTES if self._unpacker is not None else 0
        return self._layers.held_bytes + decoder + self._unfinished_bytes + self._decoded_bytes

    def feed(self, data: bytes) -> None:
        """Take more bytes; those after the end of the message are ignored.

        Raises:
            ProtocolError: what came cannot be a message for us.
        """
        if self.message is None and data:
            self._unwrap(self._layers.feed, data)
            self.read_on()

    def resume(self, result: Inflated) -> None:
        """Go on with the result of `heavy`.

        Raises:
            ProtocolError: what came cannot be a message for us.
        """
        self._unwrap(self._layers.resume, result)
        self.read_on()

    def read_on(self) -> None:
        """Decode the next piece.

        Raises:
            ProtocolError: what came cannot be a message for us.
        """
        piece = self._unwrap(self._layers.take)
        if piece is None:
            return
        if self._parse is None:
            self._unpacker = unpacker(MAX_FIELD_BYTES, MAX_ELEMENTS)
            self._parse = self._parse_message(piece[0])
            self._kept = bytearray() if piece[0] == MessageType.PUSH_PULL else None
            piece = piece[1:]
        self.answer_errors = False
        try:
            if self._unpacker is None:
                self._piece = piece
            else:
                self._fed_bytes += len(piece)
                self._unpacker.feed(piece)
            if self._kept is not None:
                del self._kept[: self._ended_at - self._kept_from]
                self._kept_from = self._ended_at
                self._kept += piece
            next(self._parse, None)
        except ProtocolError:
            raise
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError, MemoryError) as error:
            raise ProtocolError(f"not MessagePack: {error or type(error).__name__}") from None
        finally:
            self._piece = b""

    def drop(self) -> None:
        """Nothing more is to be read: let go of all that is held."""
        self._layers.drop()
        self._parse = self._unpacker = self._kept = self.message = None
        self._unfinished_bytes = self._decoded_bytes = 0

    def _unwrap(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Do something about the layers; Go answers errors there, from the label on."""
        try:
            return step(*arguments)
        finally:
            self.answer_errors = self._layers.past_label

    # -- messages: generators that pause while bytes are missing -------------------------------------------------------

    def _value(self) -> Generator[None, None, Any]:
        start = self._unpacker.tell()
        while True:
            try:
                value = self._unpacker.unpack()
                break
            except msgpack.OutOfData:
                size = self._missing(start)
                nested = min(size // _ARRAY_HEAD_BYTES, _MAX_NESTING)
                self._unfinished_bytes = size * _EMPTY_ARRAY_BYTES + nested * MAX_ELEMENTS * 8
                yield
        self._unfinished_bytes = 0
        return value

    def _encoded_value(self) -> bytes | None:
        """The bytes of the value after `_ended_at`, None as long as it is not complete. Its fields have not been looked
        at.
        """
        assert self._kept is not None
        start, kept_from = self._ended_at, self._kept_from
        try:
            self._unpacker.skip()
        except msgpack.OutOfData:
            self._unfinished_bytes = 2 * self._missing(start)
            return None
        end = self._ended_at = self._unpacker.tell()
        return bytes(self._kept[start - kept_from : end - kept_from])

    def _missing(self, start: int) -> int:
        """How long the value that began at `start` is by now, of which more is to come."""
        size = int(self._fed_bytes - start)
        if size > MAX_RECORD_BYTES:
            raise ProtocolError(f"a record of more than {MAX_RECORD_BYTES} bytes")
        return size

    def _user_data(self, size: int) -> Generator[None, None, bytes]:
        """What follows the last value, `size` bytes. They need no decoder: it is let go of."""
        parts = []
        part: bytes | memoryview = self._unpacker.read_bytes(size)
        self._unpacker = None
        while True:
            size -= len(part)
            if self._keep_user_data:
                self._decoded_bytes += len(part)
                parts.append(bytes(part))
            if not size:
                return b"".join(parts)
            part = b""  # what it is a piece of is not to be kept
            yield
            part = self._piece[:size]

    def _parse_message(self, kind: int) -> Generator[None, None, None]:
        if kind == MessageType.PUSH_PULL:
            self.message = yield from self._parse_push_pull()
        elif kind == MessageType.USER:
            size = stream_user_length((yield from self._value()))
            if not 0 <= size <= MAX_USER_BYTES:
                raise ProtocolError(f"user message length ({size}) exceeds limit")
            self.message = yield from self._user_data(size)
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
        known = self._known
        nodes = []
        self._ended_at = self._unpacker.tell()
        for _ in range(header.nodes):
            while (encoded := self._encoded_value()) is None:
                yield
            if encoded not in known:
                entry = entry_of(_unpacked_entry(encoded))
                self._decoded_bytes += _ENTRY_BYTES + _NAME_FACTOR * len(entry[0]) + len(encoded)
                nodes.append(entry)
        self._kept = None
        self._unfinished_bytes = 0
        return PushPull(header.join, nodes, (yield from self._user_data(header.user_state_bytes)))


_unpacked_entry = partial(msgpack.unpackb, **unpacking(MAX_FIELD_BYTES, MAX_ELEMENTS))
