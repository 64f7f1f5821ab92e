"""One connection from our side: what to write, what to do with what comes back, and how it ended.

Whoever started the exchange says what to do with the message. Whoever owns the socket asks for the next step until it
is `Close`, and knows nothing else:

    Send(data)       write that
    Receive()        read something, and pass it to `received`
    Compute(work)    call `work` where it disturbs nobody (a thread), and pass its result to `computed`
    Pause()          let others have their turn
    Close(failure)   the exchange is over

At any time `deadline` tells how long the present step may take; whatever goes wrong with the socket goes to `abort`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from .addresses import Address
from .context import Context
from .errors import ProtocolError
from .stream_layers import Inflated, framed
from .stream_messages import ErrorReply
from .stream_reader import Message, StreamReader

__all__ = ["Close", "Compute", "Pause", "Receive", "Send", "Step", "StreamExchange"]


@attrs.frozen
class Send:
    """Write `data`."""

    data: bytes


@attrs.frozen
class Receive:
    """Read some bytes, and pass them to `received`: none at the end of the other side."""


@attrs.frozen
class Compute:
    """Call `work`, which takes long and touches nothing else, and pass its result to `computed`. It does not raise."""

    work: Callable[[], Inflated]


@attrs.frozen
class Pause:
    """A slice of work is done and more is to do: let others have their turn."""


@attrs.frozen
class Close:
    """The exchange is over, complete or failed: `failure` is "" if it did not."""

    failure: str


Step = Send | Receive | Compute | Pause | Close


class StreamExchange:
    """One connection from our side.

    Args:
        context: shared by the parts of the node.
        address: whom to dial, or None if they dialled us.
        peer: the peer's address or name, for log messages.
        deadline: when to give up, on the clock of `Context.now`.
        on_message: called with what the peer sends; what it returns is work in slices short enough for an event loop.
            None if no answer is expected.
        on_end: called once, when the exchange is over.
        renewable: whether each step may take the TCP timeout anew; else all of it must be done by `deadline`.

    Attributes:
        address: as above.
        peer: as above.
        deadline: when to give up what is under way; it may move on with each step.
        done: whether the exchange is over.
        failure: why it failed, "" if it did not.
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
        self._reader = StreamReader(
            context.codec,
            accepted=address is None,
            keep_user_data=context.hooks.user_data,
            known=context.known_entries,
        )
        self._to_send = b""
        self._sending = False
        self._work: Iterator[None] | None = None
        self._handled = False
        self.done = False
        self.failure = ""

    # -- for the parts of the node -------------------------------------------------------------------------------------

    def write(self, message: bytes) -> None:
        """Queue one message."""
        self._to_send += framed(self._context.codec, message, dialled=self.address is not None)

    def begin(self, work: Iterator[None]) -> None:
        """Have work done before anything else; its first slice is done now."""
        self._work = work
        self._slice()

    # -- for the owner of the socket -----------------------------------------------------------------------------------

    def next_step(self, now: float) -> Step:
        """What to do now. Asking for it again tells that the last step is done."""
        self._context.enter(now, self.peer)
        if self._sending:
            self._sending = False
            self._renew(now)
        while True:
            if self._to_send:
                data, self._to_send = self._to_send, b""
                self._sending = True
                self._renew(now)
                return Send(data)
            if self.done:
                return Close(self.failure)
            try:
                step = self._work_on()
            except ProtocolError as error:
                self._refuse(error)
                continue
            if step is not None and self._may_hold():
                return step

    def received(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; an empty `data` is the end of its side."""
        self._context.enter(now, self.peer)
        if self.done or self._handled:
            return
        if data:
            self._read(self._reader.feed, data)
        else:
            self._end("the peer closed the connection early")

    def computed(self, result: Inflated, now: float) -> None:
        """Take the result of `Compute`."""
        self._context.enter(now, self.peer)
        if not self.done:
            self._read(self._reader.resume, result)

    def abort(self, failure: str, now: float) -> None:
        """The socket's owner gives up: not connected, broken, too slow."""
        self._context.enter(now, self.peer)
        self._to_send = b""
        self._end(failure)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _renew(self, now: float) -> None:
        if self._renewable:
            self.deadline = now + self._context.config.tcp_timeout

    def _read(self, step: Callable[..., None], argument: bytes | ProtocolError) -> None:
        try:
            step(argument)
        except ProtocolError as error:
            self._refuse(error)
        else:
            self._may_hold()

    def _may_hold(self) -> bool:
        """Whether there is room for what this exchange holds by now; else it ends."""
        if self.done:
            return True
        too_much = self._context.stream_limits.hold(self, self._reader.held_bytes)
        if too_much:
            self._context.problem("streams_full", too_much)
            self._end("too much is being read already")
        return not too_much

    def _work_on(self) -> Step | None:
        """One slice of what there is to do, or what it waits for; None if something has changed."""
        reader = self._reader
        if self._work is not None:
            self._slice()
            return Pause()
        if reader.heavy is not None:
            return Compute(reader.heavy)
        if reader.paused:
            reader.read_on()
            return Pause()
        if self._on_message is None:
            self._end()
        elif reader.message is None:
            return Receive()
        else:
            self._handled = True
            self._work = self._on_message(self, reader.message)
            if self._work is None:
                self._end()
        return None

    def _slice(self) -> None:
        """Do one slice of the work."""
        assert self._work is not None
        try:
            next(self._work)
        except StopIteration:
            self._work = None
            if self._handled:
                self._end()

    def _refuse(self, error: ProtocolError) -> None:
        self._work = None
        self._context.problem("bad_stream", error)
        if self.address is None and self._reader.answer_errors:
            self.write(ErrorReply(str(error)).encode())
        self._end(str(error))

    def _end(self, failure: str = "") -> None:
        if self.done:
            return
        self.done = True
        self.failure = failure
        self._work = None
        self._reader.drop()
        self._context.stream_limits.release(self)
        if self._on_end is not None:
            self._on_end(self)
