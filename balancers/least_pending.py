"""Least pending: of two members the one with fewer calls in flight."""

from __future__ import annotations

from .memory.loads import Loads
from .memory.member_record import MemberRecord
from .two_choices import Candidates, TwoChoices

__all__ = ["LeastPending"]

_PUNISHED = 1000.0
"""Calls in flight that a member which has just failed seems to have besides."""


class LeastPending(TwoChoices):
    """Picks the one of two members that has fewer calls in flight for its weight.

    Calls are counted for those that begin with `begin` or `call`, as all clients do; `pick` alone leaves no trace.
    A member whose last call failed comes after those whose did not, for as long as the failure is held to have taken
    (5 seconds), or until a call succeeds: it answers sooner than the others, and would else be sent more.
    """

    how = "fewer in flight than another"

    def cost(self, record: MemberRecord, loads: Loads, now: float) -> float:
        return loads.pending[record.place] + 1 + (_PUNISHED if record.punished_until > now else 0.0)

    def better(self, table: Candidates, first: int, second: int) -> int:
        loads, weights, places = table.loads, table.weights, table.places
        a, b = (first, second) if places is None else (places[first], places[second])
        one, other = loads.pending[a] + 1.0, loads.pending[b] + 1.0
        punished = loads.punished
        if punished:
            one += _PUNISHED * (a in punished)
            other += _PUNISHED * (b in punished)
        if weights is not None:
            one *= weights[second]
            other *= weights[first]
        return first if one <= other else second
