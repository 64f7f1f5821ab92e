"""How calls stay within the caller's zone as far as that overloads nobody: Envoy's zone-aware routing.

Each zone has a share of the members and a share of the callers. A zone with at least as large a share of the members
as of the callers keeps all its calls. Another keeps what its members can take, members' share over callers' share, and
sends the rest to the zones that have more members than callers, in proportion to how many more.

Envoy has to be told its callers' own cluster, which meshes cannot (istio's 35102); here the callers are members of
their own service, and in the view like everybody. Where they are not known, nothing is done.

A zone with fewer than a tenth of the members is not left to itself, and a change of less than 10 % of what a zone
keeps is not worth sending everybody elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from ...drivers.members import Member

__all__ = ["Callers", "ZoneShares", "zone_of", "zone_shares"]

HYSTERESIS = 0.1
LEAST_LOCAL = 0.1


@attrs.frozen
class Callers:
    """Who calls: this process and the others of its service.

    Attributes:
        zone: this process's own; "" if it has none.
        by_zone: how many callers each zone has.
    """

    zone: str = ""
    by_zone: Mapping[str, float] = attrs.field(factory=dict)


@attrs.frozen
class ZoneShares:
    """What becomes of the calls of one zone.

    Attributes:
        local: the part of them that stays.
        by_zone: by zone, the part of them that goes there, over the zone's share of the members: what the weight of
            each of its members is multiplied with.
    """

    local: float
    by_zone: Mapping[str, float]


def zone_of(member: Member) -> str:
    """The zone that the member registered; "" without one."""
    zone = member.data.get("zone")
    return zone if isinstance(zone, str) else ""


def zone_shares(
    members: Sequence[Member], weights: Sequence[float], callers: Callers, before: ZoneShares | None
) -> ZoneShares | None:
    """Where calls go; None if they go to all alike.

    Args:
        before: what was in force, which is kept if it would hardly change.
    """
    own = callers.zone
    asking = sum(callers.by_zone.values())
    if not own or len(members) < 2 or not callers.by_zone.get(own):
        return None
    held: Counter[str] = Counter()
    count = 0
    for member, weight in zip(members, weights, strict=True):
        zone = zone_of(member)
        held[zone] += weight  # type: ignore[assignment]
        count += zone == own
    total = sum(held.values())
    if len(held) < 2 or count < max(1.0, LEAST_LOCAL * len(members)):
        return None
    here = held[own] / total
    local = min(1.0, here / (callers.by_zone[own] / asking))
    if before is not None and abs(local - before.local) < HYSTERESIS and set(before.by_zone) == set(held):
        local = before.local
    residual = {
        zone: max(0.0, held[zone] / total - callers.by_zone.get(zone, 0) / asking) for zone in held if zone != own
    }
    spare = sum(residual.values())
    by_zone = {own: local / here}
    for zone, more in residual.items():
        # Without anybody to spare (the kept part is the one of a moment ago) the rest goes by size.
        part = more / spare if spare else held[zone] / (total - held[own])
        by_zone[zone] = (1.0 - local) * part / (held[zone] / total)
    return ZoneShares(local, by_zone)
