"""What a node wants of whoever owns its sockets, and tells them."""

from __future__ import annotations

import attrs

from .addresses import Address
from .events import Event
from .stream_exchange import StreamExchange

__all__ = ["Effects"]


@attrs.frozen(eq=False, repr=False)
class Effects:
    """What a node wants done, in order, and what has happened.

    Attributes:
        packets: datagrams and where they go.
        streams: exchanges to dial; each knows its address and deadline.
        events: see `events`.
    """

    packets: list[tuple[Address, bytes]]
    streams: list[StreamExchange]
    events: list[Event]
