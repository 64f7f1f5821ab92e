"""Questions to a gossip node from outside of its cluster: for whoever wants to know why joining does not work.

A ping that names nobody is answered by whoever gets it, member or not, so that nothing of this changes anything in the
cluster. All calls wait, and are for threads; each opens its own sockets and closes them.
"""

from __future__ import annotations

import contextlib
import enum
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial

import attrs

from .protocol import Config, Keyring
from .protocol.addresses import Address
from .protocol.errors import ProtocolError
from .protocol.gomsgpack import fixstr, raw
from .protocol.message_types import MessageType, message_head
from .protocol.messages import Ack, IndirectPing, Ping
from .protocol.packet import PacketCodec, messages
from .protocol.stream_layers import framed
from .protocol.stream_messages import ErrorReply
from .protocol.stream_reader import Message, StreamReader

__all__ = ["Outside", "Unanswered", "Why"]

_READ_BYTES = 65_536
_SHOWN_BYTES = 40
_TRIES = 3
"""Datagrams may be lost."""


class Why(enum.Enum):
    """Why there is no answer that is of use."""

    UNREACHABLE = "cannot be reached"
    SILENT = "does not answer"
    CLOSED = "closes the connection without an answer"
    SEALED = "answers under a key that is not ours"
    PLAIN = "answers in plain text"
    REFUSED = "refuses"
    FOREIGN = "answers as something else than a gossip node"


class Unanswered(Exception):
    """There was no such answer; `detail` is what the system or the other side says, and may be empty."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(f"{why.value}: {detail}" if detail else why.value)
        self.why = why
        self.detail = detail


@attrs.frozen
class Outside:
    """Asks as a node with these settings would, which is not in any cluster.

    Attributes:
        config: the label and the dialect are what counts.
        keys: encryption keys, the first one encrypts; none asks in plain text.
        within: seconds that one question may take.
    """

    config: Config
    keys: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    within: float = 2.0

    @property
    def _codec(self) -> PacketCodec:
        return PacketCodec(self.config, Keyring(self.keys), os.urandom)

    def ping(self, address: Address, node: str = "", *, size_bytes: int = 0) -> float:
        """Seconds until the ack to a datagram came, which was sent up to three times.

        Args:
            address: an IP address and a port.
            node: the name of whom it is for; whoever is there answers without one.
            size_bytes: how long the datagram is to be at least.

        Raises:
            Unanswered: none came.
        """
        codec, asked = self._codec, _number()
        datagram = codec.wrap(_padded(Ping(asked, node).encode(), size_bytes - codec.overhead))
        with _datagrams(address[0]) as datagrams:
            try:
                datagrams.connect(address)  # so that the system tells if nobody listens there
            except OSError as error:
                raise Unanswered(Why.UNREACHABLE, _said(error)) from None
            began = time.monotonic()
            for kind, body, _, now in self._exchange(datagrams, codec, partial(datagrams.send, datagram)):
                if kind == MessageType.ACK and Ack.decode(body).seq_no == asked:
                    return now - began
        raise Unanswered(Why.SILENT)

    def reached_by(self, address: Address, host: str, port: int = 0) -> bool:
        """Whether the node at `address` can ping us at `host`: it is asked to, as members ask each other, and its ping
        is waited for.

        Args:
            host: the IP address that we advertise.
            port: the port to listen on meanwhile; 0 is any free one.

        Raises:
            OSError: the port is taken.
            ValueError: `host` is no IP address.
        """
        codec, name = self._codec, self.config.name
        with _datagrams(host, port) as datagrams:
            port = datagrams.getsockname()[1]
            question = IndirectPing(_number(), self.config.dialect.encode_host(host), port, name, nack=True)
            with contextlib.suppress(Unanswered):
                ask = partial(datagrams.sendto, codec.wrap(question.encode()), address)
                for kind, body, source, _ in self._exchange(datagrams, codec, ask):
                    if kind == MessageType.PING and (ping := Ping.decode(body)).node == name:
                        datagrams.sendto(codec.wrap(Ack(ping.seq_no).encode()), source)
                        return True
        return False

    def ping_over_stream(self, address: Address, node: str = "") -> float:
        """Seconds that it took to connect, to ask and to be answered over TCP.

        Args: as those of `ping`.

        Raises:
            Unanswered: no ack came, and why.
        """
        began = time.monotonic()
        try:
            connection = socket.create_connection(address, self.within)
        except OSError as error:
            raise Unanswered(
                Why.UNREACHABLE, "no connection in time" if isinstance(error, TimeoutError) else _said(error)
            ) from None
        with connection:
            try:
                message = self._asked(connection, node, began + self.within)
            except TimeoutError:
                raise Unanswered(Why.SILENT) from None
            except OSError:
                raise Unanswered(Why.CLOSED) from None
        if isinstance(message, ErrorReply):
            raise Unanswered(Why.REFUSED, message.error)
        if not isinstance(message, Ack):
            raise Unanswered(Why.FOREIGN)
        return time.monotonic() - began

    def speaks_http(self, address: Address) -> bool:
        """Whether a web server answers there, which is not what gossip is to be sent to."""
        with contextlib.suppress(OSError), socket.create_connection(address, self.within) as connection:
            connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return connection.recv(_SHOWN_BYTES).startswith(b"HTTP/")
        return False

    def _asked(self, connection: socket.socket, node: str, over: float) -> Message:
        """What a ping over this connection is answered with."""
        codec, received = self._codec, b""
        reader = StreamReader(codec, accepted=False)
        connection.sendall(framed(codec, Ping(_number(), node).encode(), dialled=True))
        while reader.message is None:
            connection.settimeout(max(1e-3, over - time.monotonic()))
            data = connection.recv(_READ_BYTES)
            if not data:
                raise Unanswered(Why.CLOSED)
            received += data[:_SHOWN_BYTES]
            try:
                _feed(reader, data)
            except ProtocolError as error:
                raise _unread(received, codec, error) from None
        return reader.message

    def _exchange(
        self, datagrams: socket.socket, codec: PacketCodec, ask: Callable[[], int]
    ) -> Iterator[tuple[int, bytes, Address, float]]:
        """Ask, again if nothing comes of it, and give out what can be read until the time is over."""
        sealed = False
        over = time.monotonic() + self.within
        for left in reversed(range(_TRIES)):
            try:
                ask()
                while (wait := over - left * self.within / _TRIES - time.monotonic()) > 0:
                    datagrams.settimeout(wait)
                    data, source = datagrams.recvfrom(_READ_BYTES)
                    now = time.monotonic()
                    try:
                        for kind, body in messages(codec.unwrap(data)):
                            yield kind, body, (source[0], source[1]), now
                    except ProtocolError:
                        sealed = True
            except TimeoutError:
                continue
            except OSError as error:
                raise Unanswered(Why.UNREACHABLE, _said(error)) from None
        if sealed:
            raise Unanswered(Why.SEALED)


def _number() -> int:
    return random.getrandbits(32)


def _padded(ping: bytes, size: int) -> bytes:
    """The ping with a field more, which nobody knows and everybody skips, so that it takes `size` bytes."""
    head, key = message_head(MessageType.PING, 6), fixstr(b"Padding")
    missing = size - len(ping) - len(key) - 3
    return ping if missing < 32 else head + ping[len(head) :] + key + raw(bytes(missing))


@contextlib.contextmanager
def _datagrams(host: str, port: int = 0) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("", port))
        yield datagrams


def _feed(reader: StreamReader, data: bytes) -> None:
    reader.feed(data)
    while reader.message is None and (reader.paused or reader.heavy is not None):
        if (heavy := reader.heavy) is not None:
            reader.resume(heavy())
        else:
            reader.read_on()


def _said(error: OSError) -> str:
    return error.strerror or str(error) or "no connection in time"


def _unread(received: bytes, codec: PacketCodec, error: ProtocolError) -> Unanswered:
    """What an answer is that cannot be read."""
    if received[:1] == bytes((MessageType.ENCRYPT,)):
        return Unanswered(Why.SEALED)
    if codec.keyring and received[:1] in (bytes((MessageType.ERROR,)), bytes((MessageType.COMPRESS,))):
        return Unanswered(Why.PLAIN)
    return Unanswered(Why.FOREIGN, f"{received[:_SHOWN_BYTES]!r}" if received else str(error))
