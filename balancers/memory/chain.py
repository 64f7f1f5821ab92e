"""The way from a snapshot to those who share the traffic: candidates, then filters, then weights.

A balancer makes its table of what comes out, once per snapshot and epoch of the memory. What depends on what is
remembered (who is out, new, or in another zone) comes after what is here: `health`.

1. *Candidates* are the members that are alive, or the suspects if none is (the view says so). Those that say of
   themselves that they drain get nothing new, retries neither, unless all do: they still answer.
2. *Weight 0 takes no traffic*, unless all candidates have it; then all are equal. That is decided before anybody is
   excluded: a member that an operator has drained does not get the calls that failed elsewhere.
3. *Suspects come last.* When every candidate has been tried, a suspect may well live; of the suspects, too, those with
   a weight, or all if nobody at all has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from ...drivers.members import Member

if TYPE_CHECKING:
    from ...discovery.merging.snapshot import Snapshot

__all__ = ["MAX_WEIGHT", "Sharing", "last_resort", "sharing", "staying"]

MAX_WEIGHT = 10_000.0
"""What any weight is cut to, as in the settings: sums stay finite whatever somebody registers."""


@attrs.frozen
class Sharing:
    """Those who share the traffic.

    Attributes:
        weights: in what proportion they do, all positive.
        capacities: their own weights.
        parts: which part of its share each gets at present, above 0; None if all get the whole of it.
        rest: those that get nothing at present, whom a retry comes to when it has tried the others: first those in
            other zones, then those that are out.
    """

    members: Sequence[Member]
    weights: Sequence[float]
    parts: Sequence[float] | None = None
    rest: Sequence[Sharing] = ()

    @property
    def capacities(self) -> Sequence[float]:
        if self.parts is None:
            return self.weights
        return [weight / part for weight, part in zip(self.weights, self.parts, strict=True)]


def sharing(snapshot: Snapshot) -> Sharing:
    """Who shares the traffic; nobody when the service has no members."""
    candidates = _not_draining(snapshot.candidates) or snapshot.candidates
    return _weighted(candidates) or Sharing(candidates, [1.0] * len(candidates))


def last_resort(snapshot: Snapshot) -> Sharing:
    """Whom to try when all of `sharing` have been: the suspects, if they were not the candidates already."""
    if len(snapshot.candidates) == len(snapshot.members):
        return Sharing((), ())
    candidates = {member.key for member in snapshot.candidates}
    others = _not_draining([member for member in snapshot.members if member.key not in candidates])
    weighted = _weighted(others)
    if weighted is None and not any(member.weight > 0 for member in snapshot.candidates):
        return Sharing(others, [1.0] * len(others))
    return weighted or Sharing((), ())


def _not_draining(members: Sequence[Member]) -> Sequence[Member]:
    """The same sequence if nobody drains."""
    # Who has no metadata is not asked: the property costs more than all else that is looked at here.
    draining = [member for member in members if member.data and member.draining]
    return [member for member in members if not member.draining] if draining else members


def staying(members: Iterable[Member]) -> Sequence[Member]:
    """Those to whom connections are kept: who does not drain, or all if everybody does."""
    everybody = tuple(members)
    return _not_draining(everybody) or everybody


def _weighted(members: Sequence[Member]) -> Sharing | None:
    """The members that have a weight, None if none has."""
    weights = [member.weight for member in members]
    if not weights:
        return None
    if min(weights) > 0 and max(weights) <= MAX_WEIGHT:
        return Sharing(members, weights)
    having = [member for member in members if member.weight > 0]
    return Sharing(having, [min(member.weight, MAX_WEIGHT) for member in having]) if having else None
