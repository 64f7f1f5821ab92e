"""Decisions and values that come from outside of the protocol.

The product sets `load`, `user_data` and `addresses`. The others are what memberlist's delegates offer to an application
that uses gossip for itself, as `application` does; the parity with upstream's tests holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .stream_messages import PushPullNode

__all__ = ["Hooks"]


@attrs.define(eq=False, repr=False)
class Hooks:
    """Decisions that an application may take part in. Called inside a state transition: they must not call back.

    Attributes:
        admit: `(name, host, port, meta) -> bool`, asked for every alive message that is news and not our own.
        merge: `(records) -> bool`, asked before the reply or request of a *join* is merged, with all it contains.
        ack_payload: what to put into the ack of a ping.
        ping_over_tcp: `(name) -> bool`, whether a node that does not answer over UDP may be pinged over TCP.
        local_state: what to send along with a push/pull; the argument tells whether it is a join.
        load: `() -> (idle, unix_ms)`, the idle share of the processor, 0 to 1, and the time of the measurement.
        headroom: the share of what this service can take that is free, 0 to 1, as it knows itself.
        user_data: whether user messages and user states of others are of use; else they are dropped as they come in.
        addresses: the addresses that a host name has, none as long as they are not known.
    """

    admit: Callable[[str, str, int, bytes], bool] | None = None
    merge: Callable[[Sequence[PushPullNode]], bool] | None = None
    ack_payload: Callable[[], bytes] | None = None
    ping_over_tcp: Callable[[str], bool] | None = None
    local_state: Callable[[bool], bytes] | None = None
    load: Callable[[], tuple[float, int]] | None = None
    headroom: Callable[[], float] | None = None
    user_data: bool = True
    addresses: Callable[[str], Collection[str]] | None = None
