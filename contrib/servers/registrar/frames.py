"""Messages between a registrar and its workers, as bytes: the length in four bytes, then a map in MessagePack.

The first message of either side is a hello with the version. This layout never changes, so that two versions can tell
each other that they do not go together; everything else may. Nothing here does I/O.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import msgpack

__all__ = ["LONGEST", "VERSION", "BadFrame", "Frames", "Message", "frame"]

Message = dict[str, Any]

VERSION = 3
"""Of the messages. A registrar and a worker of different versions do not go together."""

LONGEST = 64 * 2**20
"""Bytes of one message: a hundred thousand members have room in it."""

_LENGTH = struct.Struct("!I")


class BadFrame(Exception):
    """What came is no message; nothing that follows it can be read."""


def frame(message: Mapping[str, Any]) -> bytes:
    """The message as bytes.

    Raises:
        TypeError, ValueError: something in it cannot be sent.
    """
    payload: bytes = msgpack.packb(message, default=_plain, unicode_errors="surrogatepass")
    if len(payload) > LONGEST:
        raise ValueError(f"a message of {len(payload)} bytes; the longest one has {LONGEST}")
    return _LENGTH.pack(len(payload)) + payload


def _plain(value: object) -> object:
    """What MessagePack does not know, as something that it does."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r}, of the type {type(value).__name__}, cannot be sent")


class Frames:
    """Takes bytes as they come, in pieces of any size, and gives the messages that are complete."""

    def __init__(self) -> None:
        self._pending = bytearray()

    @property
    def partial(self) -> bool:
        """Whether half a message waits for its end."""
        return bool(self._pending)

    def feed(self, received: bytes) -> Iterator[Message]:
        """The messages that these bytes complete.

        Raises:
            BadFrame: they are none.
        """
        self._pending += received
        while len(self._pending) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._pending)
            if length > LONGEST:
                raise BadFrame(f"a message of {length} bytes is announced; the longest one has {LONGEST}")
            end = _LENGTH.size + length
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[_LENGTH.size : end])
            del self._pending[:end]
            yield _message(payload)


def _message(payload: bytes) -> Message:
    try:
        message = msgpack.unpackb(payload, unicode_errors="surrogatepass")
    except (ValueError, msgpack.UnpackException, UnicodeDecodeError) as error:
        raise BadFrame(f"no MessagePack: {error!r}") from error
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise BadFrame("no map with a kind")
    return message
