"""The one driver of streams without sockets: it does what an exchange asks for, until that waits for its peer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from pydoudou.drivers.memberlist.protocol.stream_exchange import (
    Close,
    Compute,
    Pause,
    Receive,
    Send,
    StreamExchange,
)

__all__ = ["drive", "serve"]

Call = Callable[..., Any]


def _plainly(function: Call, *arguments: Any) -> Any:
    return function(*arguments)


def drive(exchange: StreamExchange, now: float, call: Call = _plainly, *, steps: int | None = None) -> bytes:
    """Take every step that needs nothing from the peer, or so many of them; returns what was written. `call` makes the
    calls that an event loop makes, so that a test can measure them; `Compute` is not among them, that happens in a
    thread.
    """
    written = []
    for _ in itertools.count() if steps is None else range(steps):
        match call(exchange.next_step, now):
            case Send(data):
                written.append(data)
            case Compute(work):
                call(exchange.computed, work(), now)
            case Pause():
                pass
            case Receive() | Close():
                break
    return b"".join(written)


def serve(exchange: StreamExchange, data: bytes, now: float, *, cut: int = 0) -> bytes:
    """Let `data` arrive at one side of a stream, in pieces of `cut` bytes; returns what that side writes."""
    written = [drive(exchange, now)]
    size = cut or max(1, len(data))
    for start in range(0, len(data), size):
        exchange.received(data[start : start + size], now)
        written.append(drive(exchange, now))
    return b"".join(written)
