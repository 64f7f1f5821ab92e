"""The layers of a stream, outermost first, on the way out and on the way in.

    label | encryption | compression | message

Only the side that dialled writes the label header. `framed` puts the layers on; `StreamLayers` takes them off as the
bytes arrive, however they are cut. Every length is checked before anything is allocated for it, and what is
compressed is inflated piece by piece: a message a thousand times its size is never there as a whole.
"""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable
from typing import Any

import msgpack

from .encryption import decrypt, encrypt, encrypted_bytes
from .errors import ProtocolError
from .gomsgpack import as_struct
from .label import label_header, split_label
from .lzw import Inflater
from .message_types import MessageType
from .packet import COMPRESS_FIELDS, PacketCodec, compressed, packed_bytes

__all__ = ["DECODER_BYTES", "Inflated", "StreamLayers", "framed", "unpacker", "unpacking"]

MAX_ENCRYPTED_BYTES = 20 * 1024 * 1024
MAX_INFLATED_STREAM_BYTES = 40 * 1024 * 1024
MAX_STREAM_BYTES = 64 * 1024 * 1024
MAX_WRAPPER_CONTAINERS = 16
"""Arrays and maps in a compress message, and elements in each. An honest one is a map of two; its size is bounded by
that of its bytes alone.
"""
PIECE_BYTES = 8 * 1024
"""Given out at a time. To decode the densest input, records of one byte, takes 1 to 4 µs per byte."""
INFLATED_PIECE_BYTES = 64 * 1024
_READ_BYTES = 2 * PIECE_BYTES
DECODER_BYTES = _READ_BYTES + 41_240
"""What a decoder of MessagePack takes before it has read anything: its buffer, and room for a thousand levels."""
HEAVY_BYTES = 4 * 1024
"""Compressed input beyond this size takes longer than an event loop should be held up."""

Inflated = bytes | ProtocolError
"""What came of inflating a piece: the next bytes, none at the end, or why there are none."""


def framed(codec: PacketCodec, message: bytes, *, dialled: bool) -> bytes:
    """`message` as it goes onto a stream; `dialled` tells whether we opened the connection."""
    config = codec.config
    if config.compression:
        message = compressed(message)
    if codec.encrypts:
        version = codec.encryption_version
        size = encrypted_bytes(len(message), version)
        header = bytes((MessageType.ENCRYPT,)) + size.to_bytes(4, "big")
        message = header + encrypt(codec.keyring, version, message, header + config.label, codec.random_bytes)
    return label_header(config.label) + message if dialled else message


class _Phase(enum.Enum):
    LABEL = enum.auto()
    FRAME = enum.auto()
    SEALED = enum.auto()
    WRAPPER = enum.auto()
    INFLATING = enum.auto()
    PLAIN = enum.auto()


class StreamLayers:
    """What one side of a stream writes: bytes in, the plaintext of its message out.

    Attributes:
        heavy: work that takes long and touches nothing else: run it anywhere (a thread), and pass its result to
            `resume`.
        past_label: whether the peer has shown that it belongs to our cluster; Go tells it about errors from then on.
    """

    def __init__(self, codec: PacketCodec, *, accepted: bool) -> None:
        self._codec = codec
        self._phase = _Phase.LABEL if accepted else _Phase.FRAME
        self._buffer = bytearray()
        self._sealed_bytes = 0
        self._received_bytes = 0
        self._inflated_bytes = 0
        self._containers = 0
        self._wrapper: Any = None
        self._inflater: Inflater | None = None
        self._packed_bytes = 0
        self._plain: collections.deque[memoryview] = collections.deque()
        self._plain_bytes = 0
        self.heavy: Callable[[], Inflated] | None = None
        self.past_label = not accepted

    @property
    def held_bytes(self) -> int:
        """How much of what came is kept here."""
        dictionary = self._inflater.held_bytes if self._inflater is not None else 0
        packed = self._packed_bytes
        if self._wrapper is not None:
            packed = DECODER_BYTES + 2 * packed  # its buffer grows by doubling
        return len(self._buffer) + packed + dictionary + self._plain_bytes

    def feed(self, data: bytes) -> None:
        """Take more bytes.

        Raises:
            ProtocolError: what came cannot be a message for us.
        """
        self._received_bytes += len(data)
        if self._received_bytes > MAX_STREAM_BYTES:
            raise ProtocolError(f"stream of more than {MAX_STREAM_BYTES} bytes")
        if self._phase is _Phase.PLAIN:
            self._give_out(data)
            return
        if self._phase is _Phase.WRAPPER:
            self._read_wrapper(data)
            return
        if self._phase is _Phase.INFLATING:
            return  # after the end of the compress message
        self._buffer += data
        if self._phase is _Phase.LABEL and not self._read_label():
            return
        if self._phase is _Phase.FRAME and not self._read_frame():
            return
        if self._phase is _Phase.SEALED:
            self._read_sealed()

    def take(self) -> memoryview | None:
        """The next piece of plaintext, or None as long as there is none."""
        if not self._plain:
            return None
        piece = self._plain.popleft()
        if not self._plain:
            self._plain_bytes = 0
            if self._inflater is not None:
                self._inflate_on()
        return piece

    @property
    def waiting(self) -> bool:
        """Whether there is plaintext to take."""
        return bool(self._plain)

    def resume(self, result: Inflated) -> None:
        """Go on with the result of `heavy`.

        Raises:
            ProtocolError: what came cannot be inflated, or is too much.
        """
        self.heavy = None
        if isinstance(result, ProtocolError):
            raise result
        self._inflated_bytes += len(result)
        if self._inflated_bytes > MAX_INFLATED_STREAM_BYTES:
            raise ProtocolError(f"decompressed to more than {MAX_INFLATED_STREAM_BYTES} bytes")
        if result:
            self._give_out(result)
            return
        if not self._inflated_bytes:
            raise ProtocolError("nothing inside the compression")
        self._inflater = None
        self._packed_bytes = 0

    def drop(self) -> None:
        """Nothing more is to be read: let go of all that is held."""
        self._buffer.clear()
        self._plain.clear()
        self._wrapper = self._inflater = self.heavy = None
        self._packed_bytes = self._plain_bytes = 0

    # -- from the outside in -------------------------------------------------------------------------------------------

    def _read_label(self) -> bool:
        buffer = self._buffer
        if buffer[0] == MessageType.HAS_LABEL and (len(buffer) < 2 or len(buffer) < 2 + buffer[1]):
            return False
        label, rest = split_label(bytes(buffer))
        self._codec.check_label(label)
        self._buffer = bytearray(rest)
        self._phase = _Phase.FRAME
        return True

    def _read_frame(self) -> bool:
        codec, buffer = self._codec, self._buffer
        if not buffer:
            return False
        self.past_label = True
        if buffer[0] != MessageType.ENCRYPT:
            if codec.keyring and codec.config.verify_incoming:
                raise ProtocolError("encryption is configured but remote state is not encrypted")
            self._start_message(self._taken())
            return False
        if not codec.keyring:
            raise ProtocolError("remote state is encrypted and encryption is not configured")
        if len(buffer) < 5:
            return False
        self._sealed_bytes = int.from_bytes(buffer[1:5], "big")
        if self._sealed_bytes > MAX_ENCRYPTED_BYTES:
            raise ProtocolError(f"remote node state is larger than limit ({self._sealed_bytes})")
        self._phase = _Phase.SEALED
        return True

    def _taken(self) -> bytes:
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    def _read_sealed(self) -> None:
        end = 5 + self._sealed_bytes
        if len(self._buffer) < end:
            return
        sealed = self._taken()
        plain = decrypt(self._codec.keyring, sealed[5:end], sealed[:5] + self._codec.config.label)
        self._start_message(plain)

    def _start_message(self, data: bytes) -> None:
        if data[0] != MessageType.COMPRESS:
            self._phase = _Phase.PLAIN
            self._give_out(data)
            return
        self._phase = _Phase.WRAPPER
        count = self._count_container
        self._wrapper = unpacker(MAX_ENCRYPTED_BYTES, MAX_WRAPPER_CONTAINERS, list_hook=count, object_hook=count)
        self._read_wrapper(memoryview(data)[1:])

    def _count_container(self, container: Any) -> Any:
        self._containers += 1
        if self._containers > MAX_WRAPPER_CONTAINERS:
            raise ProtocolError("a compress message of many parts")
        return container

    def _read_wrapper(self, data: bytes | memoryview) -> None:
        self._packed_bytes += len(data)
        if self._packed_bytes > MAX_ENCRYPTED_BYTES:
            raise ProtocolError(f"a compress message of more than {MAX_ENCRYPTED_BYTES} bytes")
        self._wrapper.feed(data)
        try:
            fields = as_struct(self._wrapper.unpack(), COMPRESS_FIELDS)
        except msgpack.OutOfData:
            return
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError, MemoryError) as error:
            raise ProtocolError(f"not MessagePack: {error or type(error).__name__}") from None
        self._wrapper = None
        packed = packed_bytes(fields)
        self._packed_bytes = len(packed)
        self._inflater = Inflater(packed, INFLATED_PIECE_BYTES)
        self._phase = _Phase.INFLATING
        self._inflate_on()

    def _inflate_on(self) -> None:
        """Inflate the next piece, at once if that is quickly done."""
        if self._packed_bytes > HEAVY_BYTES:
            self.heavy = self._next_inflated
        else:
            self.resume(self._next_inflated())

    def _next_inflated(self) -> Inflated:
        assert self._inflater is not None
        try:
            return self._inflater.next_piece()
        except ProtocolError as error:
            return error
        except MemoryError:
            return ProtocolError("no memory is left to inflate it")

    def _give_out(self, data: bytes) -> None:
        view = memoryview(data)
        self._plain_bytes += len(view)
        self._plain.extend(view[start : start + PIECE_BYTES] for start in range(0, len(view), PIECE_BYTES))


def unpacking(longest_field: int, most_elements: int) -> dict[str, Any]:
    """Options for MessagePack's decoders, so that they allocate no more than these bounds allow."""
    return {
        "raw": True,
        "strict_map_key": False,
        "max_str_len": longest_field,
        "max_bin_len": longest_field,
        "max_ext_len": longest_field,
        "max_array_len": most_elements,
        "max_map_len": most_elements,
    }


def unpacker(longest_field: int, most_elements: int, **hooks: Callable[[Any], Any]) -> Any:
    """A decoder of values that come in pieces, within the same bounds."""
    return msgpack.Unpacker(
        max_buffer_size=MAX_STREAM_BYTES, read_size=_READ_BYTES, **unpacking(longest_field, most_elements), **hooks
    )
