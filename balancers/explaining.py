"""What `Registry.explain_members` tells: who gets calls, who does not, why, and what a call would do now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ..discovery.explanation import MemberExplanation, ServiceExplanation, explain_with
from ..drivers.members import Member, MemberState
from .memory.chain import Sharing
from .memory.member_record import MemberRecord
from .memory.zones import zone_of
from .service_state import ServiceState, state_if_any

if TYPE_CHECKING:
    from ..discovery.merging.snapshot import Snapshot

__all__ = ["explain_service"]

_SHOWN = 5


def explain_service(registry: object, snapshot: Snapshot) -> ServiceExplanation:
    """What is remembered of the members of a service by all balancers and clients of this process."""
    state = state_if_any(registry, snapshot.service)
    if state is None:
        # Nothing is remembered of it yet; nothing shall be from now on only because somebody looked.
        state = ServiceState()
    return state.explain(lambda now, shared: _explained(state, snapshot, shared, now), snapshot)


def _explained(state: ServiceState, snapshot: Snapshot, shared: Sharing, now: float) -> ServiceExplanation:
    memory = state.memory
    health = memory.health
    total = sum(shared.weights) or 1.0
    shares = {member.key: weight / total for member, weight in zip(shared.members, shared.weights, strict=True)}
    rows = tuple(
        _row(state, member, memory.record(member), shares.get(member.key, 0.0), now) for member in snapshot.members
    )
    counters: dict[str, int] = dict(health.counts)
    for name, count in health.tried_out.counts.items():
        counters[f"dry_run_{name}"] = count
    for name, count in state.calls.counters.items():
        counters[f"calls_{name}"] = count
    out = sum(row.status == "ejected" for row in rows)
    gauges = {
        "members": float(len(rows)),
        "ejected": float(out),
        "slow_start": float(len(health.young)),
        "panic": float(health.panic),
        "zone_local": 1.0 if health.zones is None else health.zones.local,
        "in_flight": float(sum(row.in_flight for row in rows)),
        "remembered": float(len(memory)),
    }
    return ServiceExplanation(
        snapshot.service, _call(shared, rows, health.panic), rows, health.reason_to_doubt(now), counters, gauges
    )


def _row(
    state: ServiceState, member: Member, record: MemberRecord | None, share: float, now: float
) -> MemberExplanation:
    health = state.memory.health
    zone = zone_of(member)
    zone_share = 1.0 if health.zones is None or not zone else health.zones.by_zone.get(zone, 1.0)
    row = MemberExplanation(
        member,
        "in" if member.state is MemberState.ALIVE else "suspect",
        zone=zone,
        zone_share=zone_share,
        share=share,
        weight=member.weight,
    )
    if row.status == "in" and not share and not member.weight:
        row = attrs.evolve(row, status="weight 0", reason="its weight is 0")
    if record is None:
        return row
    window = record.window
    row = attrs.evolve(
        row,
        slow_start=health.young.get(record),
        ewma=record.cost(now),
        in_flight=record.in_flight,
        consecutive=record.consecutive,
        success_ratio=window.ratio() if window is not None and window.calls else None,
    )
    ejection = health.ejections.out.get(record)
    would = health.tried_out.out.get(record)
    if ejection is not None:
        status = "on trial" if ejection.on_trial else "ejected"
        left = None if ejection.on_trial else max(0.0, ejection.until - now)
        return attrs.evolve(row, status=status, reason=ejection.why, ejected_for=left)
    if would is not None and not would.on_trial:
        return attrs.evolve(row, reason=f"would be ejected: {would.why}")
    return row


def _call(shared: Sharing, rows: tuple[MemberExplanation, ...], panic: bool) -> str:
    if not shared.members:
        return "a call would fail: there is no member"
    many = len(shared.members)
    told = ", ".join(member.address for member in shared.members[:_SHOWN])
    more = f" and {many - _SHOWN} more" if many > _SHOWN else ""
    waiting = [row.member.address for row in rows if row.status == "ejected" and row.ejected_for == 0.0]
    probe = f"a call would try {waiting[0]} again, the next " if waiting else "a call would "
    note = "; too few members are left, so that those that are out are called too" if panic else ""
    return f"{probe}go to one of {many} of {len(rows)}: {told}{more}{note}"


explain_with(explain_service)
