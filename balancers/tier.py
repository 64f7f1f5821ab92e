"""Members among which a retry is drawn."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Sequence

from ..drivers.members import Member
from .balancer import Random

__all__ = ["Tier"]

Key = tuple[str, str, int]

_DRAWS = 8


class Tier:
    """Members that share the retries, and the sums of their weights so far."""

    __slots__ = ("keys", "members", "sums")

    def __init__(self, members: Sequence[Member], weights: Sequence[float]) -> None:
        self.members = members
        self.keys = frozenset(member.key for member in members)
        self.sums = list(itertools.accumulate(weights))

    def draw(self, excluded: Collection[Key], random: Random) -> Member:
        """One of those that are not excluded, at least one, in proportion to the weights."""
        members, sums = self.members, self.sums
        for _ in range(_DRAWS):
            member = members[bisect.bisect(sums, random.random() * sums[-1], hi=len(sums) - 1)]
            if member.key not in excluded:
                return member
        # Nearly all of the weight is excluded: draw among the others, which costs a pass over all.
        left = [place for place, member in enumerate(members) if member.key not in excluded]
        rest = list(itertools.accumulate(sums[place] - (sums[place - 1] if place else 0.0) for place in left))
        return members[left[bisect.bisect(rest, random.random() * rest[-1], hi=len(rest) - 1)]]
