"""A connected socket that carries messages, on an event loop.

What is sent waits in memory until the other side takes it, up to a bound: a worker that was stopped must not cost its
registrar memory without end, and gets the whole view when it connects again.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any

import anyio

from .frames import LONGEST, BadFrame, Frames, Message, frame

__all__ = ["BrokenWire", "Wire"]

_AT_ONCE = 2**18
_MOST_WAITING = 2 * LONGEST


class BrokenWire(Exception):
    """No more messages will come or go; the text says why."""


class Wire:
    """Receives in one task, and sends in another (`send_forever`); `send` may be called anywhere on the loop."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._frames = Frames()
        self._received: deque[Message] = deque()
        self._to_send: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._something = anyio.Event()

    async def receive(self) -> Message:
        """The next message.

        Raises:
            BrokenWire: there will be none.
        """
        while not self._received:
            try:
                data = self.socket.recv(_AT_ONCE)
            except BlockingIOError:
                await anyio.wait_readable(self.socket)
                continue
            except OSError as error:
                raise BrokenWire(str(error)) from error
            if not data:
                raise BrokenWire("it ended in the middle of a message" if self._frames.partial else "it ended")
            try:
                self._received.extend(self._frames.feed(data))
            except BadFrame as bad:
                raise BrokenWire(f"what came is no message: {bad}") from bad
        return self._received.popleft()

    def send(self, message: Mapping[str, Any]) -> None:
        """Have a message sent."""
        self.send_frame(frame(message))

    def send_frame(self, framed: bytes) -> None:
        """The same for one that is bytes already."""
        self._to_send.append(framed)
        self._waiting_bytes += len(framed)
        self._something.set()
        if self._waiting_bytes > _MOST_WAITING:
            self.end()

    async def send_forever(self) -> None:
        """Send what there is to send.

        Raises:
            BrokenWire: the other side is gone, or takes nothing.
        """
        while True:
            if not self._to_send:
                self._something = anyio.Event()
                await self._something.wait()
                continue
            framed = self._to_send.popleft()
            await self.send_now(framed)
            self._waiting_bytes -= len(framed)

    async def send_now(self, framed: bytes) -> None:
        """Send this and return when the system has taken it; for when nothing else is being sent.

        Raises:
            BrokenWire: the other side is gone.
        """
        data = memoryview(framed)
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(self.socket)
            except OSError as error:
                raise BrokenWire(str(error)) from error

    def end(self) -> None:
        """Have both tasks find it broken."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the socket, when nobody uses it any more."""
        self.socket.close()
