"""Least latency: of two members the one whose answers come sooner and that has fewer calls in flight."""

from __future__ import annotations

from .memory.member_record import MemberRecord
from .two_choices import Candidates, TwoChoices

__all__ = ["LeastLatency"]


class LeastLatency(TwoChoices):
    """Picks the one of two members whose peak EWMA of the time to an answer, times the calls in flight and this one,
    is smaller for its weight (Finagle's and linkerd's balancer).

    A failure counts as an answer after 5 seconds. Who takes more than three times as long as the better ones is
    chosen only if a few more draws find nobody else. Outcomes come from those that begin with `begin` or `call`, as all
    clients do; `pick` alone leaves no trace.
    """

    how = "lower latency times calls in flight than another"

    def cost(self, record: MemberRecord, now: float) -> float:
        return record.cost(now) * (record.in_flight + 1)

    def better(self, table: Candidates, first: int, second: int) -> int:
        costs, weights, places = table.loads.costs, table.weights, table.places
        if places is None:
            one, other = costs[first], costs[second]
        else:
            one, other = costs[places[first]], costs[places[second]]
        if weights is not None:
            one *= weights[second]
            other *= weights[first]
        return first if one <= other else second

    def bad(self, table: Candidates, place: int) -> bool:
        loads = table.loads
        if table.places is not None:
            place = table.places[place]
        return loads.costs[place] > loads.far_above and loads.averages[place] > loads.far_above
