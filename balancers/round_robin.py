"""Round robin: one after the other, weights aside."""

from __future__ import annotations

import itertools
import random

from ..drivers.members import Member
from .balancer import Balancer, Views

__all__ = ["RoundRobin"]


class RoundRobin(Balancer[tuple[Member, ...]]):
    """Picks the members in turn.

    Taking the next number of an `itertools.count` is one atomic step, so that any number of threads together take
    every turn exactly once. The count goes on when the members change, and begins at a random place: many clients
    that start together shall not all begin with the same member.
    """

    def __init__(self, service: str, registry: Views | None = None) -> None:
        super().__init__(service, registry)
        self._turns = itertools.count(random.getrandbits(16))

    def _table(self, members: tuple[Member, ...]) -> tuple[Member, ...]:
        return members

    def _choose(self, table: tuple[Member, ...]) -> Member:
        return table[next(self._turns) % len(table)]
