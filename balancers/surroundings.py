"""What the memory of calls asks of the process around it besides members: the time, chance, and what backends know."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from time import monotonic

from ..discovery import Registry
from ..drivers.members import Member
from .memory.zones import Callers, zone_of

__all__ = ["Surroundings", "surroundings_of"]


class Surroundings:
    """The surroundings of a program that knows nothing more. A source of members that does, such as a simulation in
    virtual time, inherits this and overrides what it can tell.

    Attributes:
        clock: the present time in seconds, from any beginning.
        random: draws from 0 to below 1.
    """

    clock: Callable[[], float] = staticmethod(monotonic)
    random: Callable[[], float] = staticmethod(random.random)

    def round_trip(self, member: Member) -> float | None:
        """Seconds that a round trip to `member` takes, as a backend measured it; None if that is not known."""
        return None

    def probe(self, member: Member) -> None:
        """A call to `member` got no connection or no answer: somebody may want to look after it."""

    def doubt(self) -> str:
        """Why this process should not judge others; "" if it may."""
        return ""

    def note_lateness(self, seconds: float) -> None:
        """The timeout of a call fired so much too late."""

    def callers(self) -> Callers:
        """The zone that this process registered, and how many members of its service are in each zone."""
        return Callers()


class _OfRegistry(Surroundings):
    """What a registry tells."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def round_trip(self, member: Member) -> float | None:
        return self._registry.round_trip(member)

    def probe(self, member: Member) -> None:
        self._registry.probe(member)

    def doubt(self) -> str:
        return self._registry.doubt()

    def note_lateness(self, seconds: float) -> None:
        self._registry.note_lateness(seconds)

    def callers(self) -> Callers:
        """Nobody is known where nothing is registered."""
        registry = self._registry
        instance = registry.registered if registry.running else None
        zone = None if instance is None else instance.data.get("zone")
        if instance is None or not isinstance(zone, str) or not zone:
            return Callers()
        by_zone = Counter(zone_of(member) for member in registry.snapshot(instance.service).members)
        by_zone[zone] = max(1, by_zone[zone])
        return Callers(zone, by_zone)


_UNKNOWN = Surroundings()


def surroundings_of(source: object) -> Surroundings:
    """Those of whoever reads this source of members; None: of a source that is gone, or of nobody."""
    if isinstance(source, Registry):
        return _OfRegistry(source)
    return source if isinstance(source, Surroundings) else _UNKNOWN
