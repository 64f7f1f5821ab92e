"""Smooth weighted round robin, in nginx's order: weights 5, 1, 1 give a a b a c a a rather than a a a a a b c.

nginx adds its weight to every member's counter, picks the largest (the first of equals), and takes the sum of all
weights off it. That costs a pass over all members per pick. The order repeats after as many picks as the weights
sum up to, so it is computed once per view.

Computing it needs no pass over all members either. Members of equal weight always have counters that differ only by
whole turns, so they take turns in their own order, and a step compares one candidate per *distinct* weight.

Weights are brought to small whole numbers. The cycle is at most 4 picks per member long, or 4,096: beyond that the
weights are scaled, each to the nearest whole number and to 1 at least. With up to 100 members a share is then off
by at most 1.3 % of an average one.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import attrs

from ..drivers.members import Member
from .balancer import Balancer, Views

__all__ = ["SmoothWeighted", "smooth_order", "whole_weights"]

_MAX_CYCLE = 4096
_MAX_PER_MEMBER = 4


class SmoothWeighted(Balancer[list[Member]]):
    """Picks in proportion to the weights, spread as evenly as possible.

    As in `RoundRobin`, threads together take every turn exactly once. A new view starts at a random place of its
    cycle, because the first picks of a cycle go to the heaviest member, and views may change often.
    """

    def __init__(self, service: str, registry: Views | None = None) -> None:
        super().__init__(service, registry)
        self._turns = itertools.count()

    def _table(self, members: tuple[Member, ...]) -> list[Member]:
        order = smooth_order(whole_weights([member.weight for member in members]))
        start = random.randrange(len(order))
        return [members[index] for index in (*order[start:], *order[:start])]

    def _choose(self, table: list[Member]) -> Member:
        return table[next(self._turns) % len(table)]


def whole_weights(weights: Sequence[float]) -> list[int]:
    """`weights` as small whole numbers in nearly the same proportions; exactly the same where the cycle stays short."""
    total = sum(weights)
    if total <= 0:
        return [1] * len(weights)
    longest = max(_MAX_CYCLE, _MAX_PER_MEMBER * len(weights))
    if all(weight == int(weight) for weight in weights):
        divisor = math.gcd(*(int(weight) for weight in weights))
        exact = [int(weight) // divisor for weight in weights]
        if sum(exact) <= longest:
            return exact
    scaled = [max(1, round(weight * longest / total)) for weight in weights]
    divisor = math.gcd(*scaled)
    return [weight // divisor for weight in scaled]


@attrs.define
class _Equals:
    """Members of one weight: how many turns all of them have had, and which of them is next."""

    weight: int
    members: list[int]
    turns: int = 0
    next: int = 0


def smooth_order(weights: Sequence[int]) -> list[int]:
    """One cycle of nginx's order for positive whole weights: indices, as many as the weights sum up to."""
    total = sum(weights)
    groups: dict[int, list[int]] = {}
    for index, weight in enumerate(weights):
        groups.setdefault(weight, []).append(index)
    equals = [_Equals(weight, members) for weight, members in groups.items()]
    if len(equals) == 1:
        return equals[0].members * equals[0].weight
    order = []
    for step in range(1, total + 1):
        first, counter = equals[0], -math.inf
        for group in equals:
            its = step * group.weight - total * group.turns
            if its > counter or (its == counter and group.members[group.next] < first.members[first.next]):
                first, counter = group, its
        order.append(first.members[first.next])
        first.next += 1
        if first.next == len(first.members):
            first.next = 0
            first.turns += 1
    return order
