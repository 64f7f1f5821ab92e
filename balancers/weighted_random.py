"""Weighted random: every pick is drawn anew, in proportion to the weights.

The alias method (Walker 1977, Vose 1991): the weights are cut and put together into as many columns of equal size
as there are members, each with at most two members in it. A pick draws a column and a place in it, whatever the
number of members.
"""

from __future__ import annotations

import random as global_random
from collections.abc import Sequence
from typing import Protocol

from ..drivers.members import Member
from .balancer import Balancer, Views

__all__ = ["WeightedRandom"]


class Random(Protocol):
    """A source of randomness; `random.Random` is one."""

    def random(self) -> float:
        """At least 0, less than 1."""


Columns = tuple[int, list[float], Sequence[Member], list[Member]]


class WeightedRandom(Balancer[Columns]):
    """Picks in proportion to the weights, without a memory.

    Args:
        random: draws the numbers; a seeded one makes the picks repeatable.
    """

    def __init__(self, service: str, registry: Views | None = None, *, random: Random | None = None) -> None:
        super().__init__(service, registry)
        self._draw = (random or global_random).random

    def _table(self, members: tuple[Member, ...]) -> Columns:
        count = len(members)
        total = sum(member.weight for member in members)
        shares = [member.weight * count / total for member in members] if total > 0 else [1.0] * count
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
        return count, shares, members, others

    def _choose(self, table: Columns) -> Member:
        count, shares, members, others = table
        place = self._draw() * count
        column = int(place)
        return members[column] if place - column < shares[column] else others[column]
