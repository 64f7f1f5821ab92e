"""Who calls from this process's service: what zones are shared out by."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..discovery import Registry
from .memory.zones import Callers, zone_of

__all__ = ["callers_of"]


def callers_of(registry: object) -> Callers:
    """The zone that this process registered, and how many members of its service are in each zone.

    Nobody is known where nothing is registered. Another source of members may have a ``callers()`` of its own.
    """
    given: Any = getattr(registry, "callers", None)
    if given is not None:
        callers: Callers = given()
        return callers
    if not isinstance(registry, Registry) or not registry.running:
        return Callers()
    instance = registry.registered
    zone = None if instance is None else instance.data.get("zone")
    if instance is None or not isinstance(zone, str) or not zone:
        return Callers()
    by_zone = Counter(zone_of(member) for member in registry.snapshot(instance.service).members)
    by_zone[zone] = max(1, by_zone[zone])
    return Callers(zone, by_zone)
