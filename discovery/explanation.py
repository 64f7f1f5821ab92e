"""What is known about the members of a service, for people: who gets calls, who does not, and why.

The rows are data. Who gets calls is decided by balancers, which are above this package: when they are imported, they
say here who makes the rows (`explain_with`). Where none ever was, nothing is remembered of anybody, and the rows tell
what the backends report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ..drivers.members import Member, MemberState, json_value

if TYPE_CHECKING:
    from .merging.snapshot import Snapshot

__all__ = ["MemberExplanation", "ServiceExplanation", "explain_with", "explained"]


@attrs.frozen
class MemberExplanation:
    """One member, as this process sees it.

    Attributes:
        status: ``in``, ``suspect``, ``ejected``, ``on trial`` (back, until the first outcome decides), or
            ``weight 0``.
        reason: why it gets no calls, or fewer; "" if there is nothing to say.
        ejected_for: seconds until it is tried again; None unless it is ejected.
        slow_start: the part of its share that it has come to, below 1; None if it is not new.
        zone: what it registered as ``zone``; "" without one.
        zone_share: what its zone's distance makes of its share, 1 if nothing; 0 if it is left to others.
        share: the part of all calls that its weight gives it now, 0 to 1; balancers by latency and by calls in flight
            depart from it for what they see.
        weight: its own.
        ewma: seconds that balancers by latency hold a call to take now; None if nothing is known.
        in_flight: calls that have begun and not ended.
        consecutive: failures in a row.
        success_ratio: of the calls of the last ten seconds in which there were any; None without one.
    """

    member: Member
    status: str
    reason: str = ""
    ejected_for: float | None = None
    slow_start: float | None = None
    zone: str = ""
    zone_share: float = 1.0
    share: float = 0.0
    weight: float = 1.0
    ewma: float | None = None
    in_flight: int = 0
    consecutive: int = 0
    success_ratio: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON takes them; of the member its address, its base URL and its state."""
        fields = {name: json_value(getattr(self, name)) for name in _FIELDS if name != "member"}
        member = self.member
        told = {"address": member.address, "base_url": member.base_url, "state": member.state.value}
        return {**{name: json_value(value) for name, value in told.items()}, **fields}

    def __str__(self) -> str:
        parts = [f"{self.member.address}: {self.status}"]
        if self.ejected_for is not None:
            parts[0] += f" for {self.ejected_for:.1f} s more"
        if self.reason:
            parts.append(self.reason)
        if self.slow_start is not None:
            parts.append(f"slow start at {self.slow_start:.0%}")
        if self.zone:
            parts.append(f"zone {self.zone}" + ("" if self.zone_share == 1.0 else f" ({self.zone_share:.0%})"))
        parts.append(f"weight {self.weight:g}, share {self.share:.1%}")
        if self.ewma is not None:
            parts.append(f"EWMA {self.ewma * 1000:.3g} ms")
        parts.append(f"{self.in_flight} in flight")
        return ", ".join(parts)


@attrs.frozen
class ServiceExplanation:
    """All members of a service, and what a call would do now.

    Attributes:
        call: what a call would do now, in one line.
        doubt: why failures are not held against members at present; "" if they are.
        counters: what the rules have done since the process began, by name; under ``dry_run_…`` what they would have.
        gauges: what is so at present, by name.
    """

    service: str
    call: str
    members: tuple[MemberExplanation, ...] = ()
    doubt: str = ""
    counters: Mapping[str, int] = attrs.field(factory=dict)
    gauges: Mapping[str, float] = attrs.field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        fields = {name: json_value(getattr(self, name)) for name in ("service", "call", "doubt", "counters", "gauges")}
        return {**fields, "members": [member.to_dict() for member in self.members]}

    def __str__(self) -> str:
        doubt = [f"in doubt about itself: {self.doubt}"] if self.doubt else []
        return "\n".join([f"{self.service}: {self.call}", *doubt, *map(str, self.members)])


_FIELDS = tuple(attrs.fields_dict(MemberExplanation))

Explainer = Callable[[object, "Snapshot"], ServiceExplanation]


def explain_with(explainer: Explainer) -> None:
    """Have this make the explanations from now on; it is given the registry, and the members."""
    _explainers.append(explainer)


def explained(registry: object, snapshot: Snapshot) -> ServiceExplanation:
    """What is known about the members of a service."""
    if _explainers:
        return _explainers[-1](registry, snapshot)
    rows = tuple(
        MemberExplanation(
            member,
            "in" if member.state is MemberState.ALIVE else "suspect",
            zone=str(json_value(member.data.get("zone", ""))),
            weight=member.weight,
        )
        for member in snapshot.members
    )
    return ServiceExplanation(snapshot.service, "no balancer has been made in this process", rows)


_explainers: list[Explainer] = []
