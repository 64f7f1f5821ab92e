"""Smooth weighted round robin, in nginx's order: weights 5, 1, 1 give a a b a c a a rather than a a a a a b c.

nginx adds its weight to every member's counter, picks the largest (the first of equals), and takes the sum of all
weights off it. That costs a pass over all members per pick. The order repeats after as many picks as the weights
sum up to, so it is computed once per view.

Computing it needs no pass over all members either. Members of equal weight always have counters that differ only by
whole turns, so they take turns in their own order, and a step compares one candidate per *distinct* weight.

With many members of many weights even that is too much for one pick. There the order is the one of earliest deadlines,
as in Envoy: a member of weight w is due at w evenly spaced places of the cycle, the first of them at random. Which is
next costs the logarithm of the number of members, and is computed when somebody comes to it. Shares are exact in both,
and in both the picks of one member are spread evenly.

Weights are brought to small whole numbers. The cycle is at most 4 picks per member long, or 4,096: beyond that the
weights are scaled, each to the nearest whole number and to 1 at least. With up to 100 members a share is then off
by at most 1.3 % of an average one.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Iterator, Sequence

import attrs

from ..drivers.members import Member
from .balancer import Random
from .table_balancer import TableBalancer

__all__ = ["SmoothWeighted", "evenly", "smooth_order", "whole_weights"]

_MAX_CYCLE = 4096
_MAX_PER_MEMBER = 4

_AT_ONCE = 8192
"""Comparisons that one pick may spend on a whole cycle in nginx's order, about half a millisecond."""


class _Cycle:
    """One cycle of picks, computed as far as somebody has come.

    Attributes:
        length: how many picks the whole cycle has.
        turns: the next place; each is given out once, whatever the number of threads.
    """

    def __init__(self, members: Sequence[Member], order: Sequence[int], rest: Iterator[int], length: int) -> None:
        self._members, self._rest = members, rest
        self._picks = [members[index] for index in order]
        self._lock = threading.RLock()
        self.length = length
        self.turns = itertools.count()

    def at(self, turn: int) -> Member:
        """Whose turn it is."""
        place = turn % self.length
        picks = self._picks
        if place >= len(picks):
            with self._lock:
                missing = max(0, place + 1 - len(picks))
                picks.extend(self._members[index] for index in itertools.islice(self._rest, missing))
        return picks[place]


class SmoothWeighted(TableBalancer[_Cycle]):
    """Picks in proportion to the weights, spread as evenly as possible.

    As in `RoundRobin`, threads together take every turn exactly once. A new view starts at a random place of its
    cycle, because the first picks of a cycle go to the heaviest member, and views may change often.

    Args:
        service: the plain name.
        registry: None means the process's default registry.
        random: where that place comes from; a seeded `random.Random` makes the picks repeatable.
    """

    def make_table(self, members: Sequence[Member], weights: Sequence[float]) -> _Cycle:
        whole = whole_weights(weights)
        total, different = sum(whole), len(set(whole))
        if different > 1 and total * different > _AT_ONCE:
            return _Cycle(members, (), evenly(whole, self._random), total)
        order = smooth_order(whole)
        start = int(self._random.random() * total)
        return _Cycle(members, [*order[start:], *order[:start]], iter(()), total)

    def choose(self, table: _Cycle) -> Member:
        return table.at(next(table.turns))


def whole_weights(weights: Sequence[float]) -> list[int]:
    """`weights` as small whole numbers in nearly the same proportions; exactly the same where the cycle stays short."""
    total = sum(weights)
    if total <= 0:
        return [1] * len(weights)
    longest = max(_MAX_CYCLE, _MAX_PER_MEMBER * len(weights))
    # Many members mostly have few different weights: each of these is made whole once.
    whole = {weight: int(weight) for weight in set(weights)}
    divisor = math.gcd(*whole.values())
    if any(weight != number for weight, number in whole.items()) or total > longest * divisor:
        whole = {weight: round(weight * longest / total) or 1 for weight in whole}
        divisor = math.gcd(*whole.values())
    smallest = {weight: number // divisor for weight, number in whole.items()}
    return [smallest[weight] for weight in weights]


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


def evenly(weights: Sequence[int], random: Random) -> Iterator[int]:
    """One cycle by earliest deadlines for positive whole weights: indices, as many as the weights sum up to."""
    draw = random.random
    due = [(draw() / weight, index) for index, weight in enumerate(weights)]
    heapq.heapify(due)
    left = list(weights)
    while due:
        when, index = due[0]
        yield index
        left[index] -= 1
        if left[index]:
            heapq.heapreplace(due, (when + 1 / weights[index], index))
        else:
            heapq.heappop(due)
