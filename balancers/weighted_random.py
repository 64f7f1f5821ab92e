"""Weighted random: every pick is drawn anew, in proportion to the weights.

The alias method (Walker 1977, Vose 1991): the weights are cut and put together into as many columns of equal size
as there are members, each with at most two members in it. A pick draws a column and a place in it, whatever the
number of members.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import attrs

from ..drivers.members import Member
from .balancer import Random
from .member_source import MemberSource
from .table_balancer import TableBalancer

__all__ = ["WeightedRandom"]


@attrs.frozen
class Columns:
    """As many columns as members: the place in a column below which it is the member's, and whose the rest is."""

    count: int
    shares: array[float]
    members: Sequence[Member]
    others: list[Member]


class WeightedRandom(TableBalancer[Columns]):
    """Picks in proportion to the weights, without a memory.

    Args:
        service: the plain name.
        registry: None means the process's default registry.
        random: draws the numbers; a seeded one makes the picks repeatable.
    """

    def __init__(self, service: str, registry: MemberSource | None = None, *, random: Random | None = None) -> None:
        super().__init__(service, registry, random=random)
        self._draw = self._random.random

    def make_table(self, members: Sequence[Member], weights: Sequence[float]) -> Columns:
        count, total = len(members), sum(weights)
        shares = [weight * count / total for weight in weights]
        others = list(members)
        small = [index for index, share in enumerate(shares) if share < 1.0]
        large = [index for index, share in enumerate(shares) if share >= 1.0]
        while small and large:
            index, giver = small.pop(), large[-1]
            others[index] = members[giver]
            shares[giver] -= 1.0 - shares[index]
            if shares[giver] < 1.0:
                small.append(large.pop())
        for index in (*small, *large):  # what rounding left
            shares[index] = 1.0
        return Columns(count, array("d", shares), members, others)

    def choose(self, table: Columns) -> Member:
        place = self._draw() * table.count
        column = int(place)
        return table.members[column] if place - column < table.shares[column] else table.others[column]
