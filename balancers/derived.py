"""What a balancer made of the members of its service at one moment."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any, Generic, TypeVar

from ..discovery.merging.snapshot import Snapshot
from ..discovery.observer import Observers
from .memory.chain import Sharing
from .memory.pick import PickedFrom
from .memory.service_memory import ServiceMemory
from .service_state import ServiceState
from .tier import Tier

__all__ = ["HAS_GIL", "Derived"]

T = TypeVar("T")

HAS_GIL = "t" not in getattr(sys, "abiflags", "")
"""Else threads may run at the same time, and only a lock keeps two counts from becoming one."""

_FORGETFUL: Any = ServiceMemory()
_NO_OBSERVERS = Observers()


class Derived(Generic[T]):
    """What a balancer made of one snapshot at one epoch.

    Attributes:
        table: None if there is nobody.
        tiers: made when a pick first excludes somebody: those who share the traffic, then the suspects.
        observers: who is told of picks.
        clock: what time is measured by.
        source: what its picks come from.
        quick: the table, unless time alone may change it.
        to_call: the same, unless threads do not take turns, or members are picked by more than `choose`.
        watched: that of the state.
        due: when it does.
    """

    __slots__ = (
        "clock",
        "due",
        "epoch",
        "memory",
        "observers",
        "quick",
        "sharing",
        "snapshot",
        "source",
        "state",
        "table",
        "tiers",
        "to_call",
        "watched",
    )

    def __init__(
        self,
        snapshot: Snapshot | None = None,
        state: ServiceState | None = None,
        shared: Sharing = Sharing((), ()),  # noqa: B008 (immutable)
        table: T | None = None,
        observers: Observers | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.clock, self.due = clock, math.inf
        self.quick: T | None = None
        self.to_call: T | None = None
        self.snapshot, self.state, self.sharing, self.table = snapshot, state, shared, table
        self.observers = observers or _NO_OBSERVERS
        self.memory = _FORGETFUL if state is None else state.memory
        self.epoch = self.memory.epoch
        self.watched: dict[int, float] = {} if state is None else state.watched
        self.source = PickedFrom(snapshot, shared.members, None if state is None else state.memory, self.observers)
        self.tiers: list[Tier] | None = None
