"""Least latency: of two members the one whose answers come sooner and that has fewer calls in flight."""

from __future__ import annotations

from ..drivers.members import Member
from .memory.loads import Loads
from .memory.member_record import MemberRecord
from .two_choices import Candidates, TwoChoices

__all__ = ["LeastLatency"]


class LeastLatency(TwoChoices):
    """Picks the one of two members whose peak EWMA of the time to an answer, times the calls in flight and this one,
    is smaller for its weight (Finagle's and linkerd's balancer).

    A failure counts as an answer after 5 seconds. Who takes more than three times as long as the better ones is
    chosen only if a few more draws find nobody else. Who has calls and answers none for so long, while others answer,
    is held to take as long as it has been waited for. Outcomes come from those that begin with `begin` or `call`, as
    all clients do; `pick` alone leaves no trace.
    """

    how = "lower latency times calls in flight than another"

    def cost(self, record: MemberRecord, loads: Loads, now: float) -> float:
        place = record.place
        if loads.is_late(place):
            return loads.late_cost(place) / loads.scale(now)
        return record.cost(now) * (loads.pending[place] + 1)

    def choose(self, table: Candidates) -> Member:
        pairs = table.pairs
        if not pairs:
            return super().choose(table)
        # As there, in one piece: this is what nearly every call of a service pays.
        drawn, others = int(self._draw() * pairs), table.count - 1
        first, second = drawn // others, drawn % others
        if second >= first:
            second += 1
        loads, places, weights = table.loads, table.places, table.weights
        averages, pending = loads.averages, loads.pending
        if places is None:
            a, b = first, second
        else:
            a, b = places[first], places[second]
        one, other = averages[a] * (pending[a] + 1), averages[b] * (pending[b] + 1)
        if weights is not None:
            one *= weights[second]
            other *= weights[first]
        if one > other:
            first, second, a = second, first, b
        # Who is late costs more than this, so that only the better one has to be looked at.
        if averages[a] > loads.far_above or (loads.waiting and loads.is_late(a)):
            return self.of_pair(table, first, second)
        return table.members[first]

    def better(self, table: Candidates, first: int, second: int) -> int:
        loads, weights, places = table.loads, table.weights, table.places
        a, b = (first, second) if places is None else (places[first], places[second])
        one = loads.late_cost(a) if loads.is_late(a) else loads.averages[a] * (loads.pending[a] + 1)
        other = loads.late_cost(b) if loads.is_late(b) else loads.averages[b] * (loads.pending[b] + 1)
        if weights is not None:
            one *= weights[second]
            other *= weights[first]
        return first if one <= other else second

    def bad(self, table: Candidates, place: int) -> bool:
        loads = table.loads
        if table.places is not None:
            place = table.places[place]
        return loads.averages[place] > loads.far_above or loads.is_late(place)
