"""What a worker asks of its registrar and waits for: each question has a number, by which it is answered."""

from __future__ import annotations

import itertools

import anyio
import attrs

from ....drivers.errors import RegistrationError
from .frames import Message
from .messages import error_of
from .wire import Wire

__all__ = ["Requests"]


@attrs.define(eq=False)
class _Reply:
    arrived: anyio.Event = attrs.Factory(anyio.Event)
    error: Exception | None = None


class Requests:
    """Those that are not answered yet."""

    def __init__(self) -> None:
        self._replies: dict[int, _Reply] = {}
        self._numbers = itertools.count(1)

    async def ask(self, message: Message, wire: Wire | None) -> None:
        """Returns when it is done.

        Args:
            wire: to the registrar; None if there is none.

        Raises:
            DiscoveryError: what it has come to.
        """
        if wire is None:
            raise RegistrationError("there is no registrar at the moment, and another one will stand soon")
        number = next(self._numbers)
        reply = self._replies[number] = _Reply()
        try:
            _send({**message, "number": number}, wire)
            await reply.arrived.wait()
        finally:
            self._replies.pop(number, None)
        if reply.error is not None:
            raise reply.error

    def answered(self, message: Message) -> None:
        """The registrar has answered one."""
        if (reply := self._replies.pop(message["number"], None)) is not None:
            reply.error = None if message["error"] is None else error_of(message["error"])
            reply.arrived.set()

    def lose(self) -> None:
        """The registrar is gone, and answers none of them."""
        for reply in self._replies.values():
            reply.error = RegistrationError("the registrar is gone, and another one will stand in a moment")
            reply.arrived.set()
        self._replies.clear()


def _send(message: Message, wire: Wire) -> None:
    try:
        wire.send(message)
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"the metadata cannot be sent to the registrar: {error}") from error
