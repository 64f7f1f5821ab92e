"""One connection from our side: what to write, what to do with what comes back, and how it ended.

Whoever owns the socket moves the bytes; whoever started the exchange says what to do with the message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .addresses import Address
from .context import Context
from .encryption import encrypt
from .errors import ProtocolError
from .label import label_header
from .messages import MessageType
from .packet import PacketCodec, compressed
from .stream_messages import ErrorReply
from .stream_reader import Message, StreamReader

__all__ = ["StreamExchange", "framed"]


def framed(codec: PacketCodec, message: bytes, *, dialled: bool) -> bytes:
    """`message` as it goes onto a stream; `dialled` tells whether we opened the connection."""
    config = codec.config
    if config.compression:
        message = compressed(message)
    if codec.encrypts:
        version = codec.encryption_version
        sealed_bytes = _sealed_size(len(message), version)
        header = bytes((MessageType.ENCRYPT,)) + sealed_bytes.to_bytes(4, "big")
        message = header + encrypt(codec.keyring, version, message, header + config.label, codec.random_bytes)
    return label_header(config.label) + message if dialled else message


def _sealed_size(size: int, version: int) -> int:
    """The size of an encrypted payload, which its own associated data contains."""
    return 29 + (size if version else size + 16 - size % 16)


class StreamExchange:
    """One connection from our side. Whoever owns the socket writes `to_send`, passes in what it reads, and closes
    when `done`.

    Attributes:
        address: whom to dial, or None if they dialled us.
        peer: the same for messages to a person.
        deadline: when to give up, on the clock of `Context.now`. Unless all of it must be done by then, `renew`
            moves it on.
        to_send: bytes to write; take them out.
        work: reading or merging under way, in slices short enough for an event loop: call `step` until it returns
            False.
        failure: why the exchange failed, "" if it did not.
    """

    def __init__(
        self,
        context: Context,
        address: Address | None,
        peer: str,
        deadline: float,
        on_message: Callable[[StreamExchange, Message], Iterator[None] | None] | None,
        on_end: Callable[[StreamExchange], None] | None = None,
        *,
        renewable: bool = True,
    ) -> None:
        self._context = context
        self.address = address
        self.peer = peer
        self.deadline = deadline
        self._renewable = renewable
        self._on_message = on_message
        self._on_end = on_end
        self._reader = StreamReader(context, accepted=address is None)
        self._handled = False
        self.to_send = b""
        self.work: Iterator[None] | None = None
        self.done = False
        self.failure = ""

    @property
    def expects_reply(self) -> bool:
        """Whether there is anything to read."""
        return self._on_message is not None

    @property
    def heavy(self) -> Callable[[], bytes] | None:
        """See `StreamReader.heavy`; its result, or the `ProtocolError` it raised, goes into `resume`."""
        return self._reader.heavy

    def renew(self, now: float) -> None:
        """A step is done - the connection is there, all is written: the next one may take the TCP timeout too."""
        if self._renewable:
            self.deadline = now + self._context.config.tcp_timeout

    def write(self, message: bytes) -> None:
        """Queue one message."""
        self.to_send += framed(self._context.codec, message, dialled=self.address is not None)

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; an empty `data` is the end of its side."""
        self._at(now)
        if self.done or self._handled:
            return
        if not data:
            self.end("the peer closed the connection early")
            return
        self._guard(lambda: self._reader.feed(data))

    def resume(self, result: bytes | ProtocolError, now: float) -> None:
        """Go on after `heavy`."""
        self._at(now)
        if isinstance(result, ProtocolError):
            self._refuse(result)
        else:
            self._guard(lambda: self._reader.resume(result))

    def _at(self, now: float) -> None:
        self._context.now = now
        self._context.source = self.peer

    def _guard(self, read: Callable[[], None]) -> None:
        try:
            read()
            if self._reader.paused:
                self.work = self._read_on()
                return
            self.work = self._handle()
            if self.work is None and self._handled:
                self.end()
        except ProtocolError as error:
            self._refuse(error)

    def _handle(self) -> Iterator[None] | None:
        """What is to be done about the message, once it is complete."""
        message = self._reader.message
        if message is None or self._handled or self._on_message is None:
            return None
        self._handled = True
        return self._on_message(self, message)

    def _read_on(self) -> Iterator[None]:
        while self._reader.paused:
            yield
            self._reader.read_on()
        yield from self._handle() or ()

    def step(self, now: float) -> bool:
        """Do one slice of `work`; False when there is none left."""
        self._at(now)
        if self.work is None:
            return False
        try:
            next(self.work)
        except StopIteration:
            self.work = None
            if self._handled:
                self.end()
        except ProtocolError as error:
            self.work = None
            self._refuse(error)
        return self.work is not None

    def _refuse(self, error: ProtocolError) -> None:
        self._context.problem("bad stream", error)
        if self.address is None and self._reader.answer_errors:
            self.write(ErrorReply(str(error)).encode())
        self.end(str(error))

    def end(self, failure: str = "") -> None:
        """The exchange is over: complete, failed, or given up by the socket's owner."""
        if not self.done:
            self.done = True
            self.failure = failure
            if self._on_end is not None:
                self._on_end(self)
