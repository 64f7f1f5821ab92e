"""Where a server is between its start and its end, and what takes it on.

::

    STARTING --answered--> READY --registered--> REGISTERED --told to go--> DRAINING --served on--> LEFT
        └──────────────────────┴── told to go: nobody knows it, so nobody is waited for ─────────────┘

A state is never gone back to: what answers badly after it was registered is for its callers to judge, who see more.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

__all__ = ["Event", "State", "following"]


class State(enum.StrEnum):
    """Where a server is."""

    STARTING = "starting"
    """Its check does not answer yet."""
    READY = "ready"
    """It answers, and is not registered yet."""
    REGISTERED = "registered"
    DRAINING = "draining"
    """It has left, and serves on."""
    LEFT = "left"


class Event(enum.Enum):
    """What takes a server on."""

    ANSWERED = enum.auto()
    REGISTERED = enum.auto()
    TOLD_TO_GO = enum.auto()
    SERVED_ON = enum.auto()


_FOLLOWING: Mapping[tuple[State, Event], State] = {
    (State.STARTING, Event.ANSWERED): State.READY,
    (State.READY, Event.REGISTERED): State.REGISTERED,
    (State.STARTING, Event.TOLD_TO_GO): State.LEFT,
    (State.READY, Event.TOLD_TO_GO): State.LEFT,
    (State.REGISTERED, Event.TOLD_TO_GO): State.DRAINING,
    (State.DRAINING, Event.SERVED_ON): State.LEFT,
}


def following(state: State, event: Event) -> State:
    """The state after `event`; the same one if the event means nothing in it."""
    return _FOLLOWING.get((state, event), state)
