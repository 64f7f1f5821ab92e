"""The power of two choices: of two members drawn by chance the better one, which is nearly as good as the best of all,
costs the same for any number of members, and does not send everybody to the same member at once (Mitzenmacher 2001;
Envoy, Finagle and linkerd do it so).

What differs from member to member because of its weight is divided by it: a member of weight 2 may have twice as many
calls in flight. What is to get less for a while (a new member) is *drawn* less often instead: divided by a small
number, it would get nothing at all where little is in flight (Envoy's issue 19437).

*When the better one is bad as well*, others are drawn, a few times at most. Of four members with a slow and a failing
one every sixth pair is made of these two: without more draws the slow one would get a sixth of the calls.

A member that has had no call for ten seconds gets one whatever it costs, at most one call in ten; else a member that
was slow once would stay out for as long as nobody looks (traefik's issue 12306).
"""

from __future__ import annotations

import bisect
import itertools
from array import array
from collections.abc import Callable, Sequence

from ..discovery.merging.snapshot import Snapshot
from ..drivers.members import Member
from .balancer import Random
from .member_source import MemberSource
from .memory.chain import Sharing
from .memory.loads import Loads
from .memory.member_record import MemberRecord
from .memory.service_memory import ServiceMemory
from .service_state import ServiceState
from .table_balancer import TableBalancer

__all__ = ["Candidates", "TwoChoices"]

_DRAWS = 4

_MORE_PAIRS = 5
"""Pairs that are drawn besides at most: with one good member among three, all six miss it once in 729."""


class Candidates:
    """Whom two are drawn from.

    Attributes:
        count: how many there are.
        pairs: how many pairs there are to draw from, in either order; 0 if there is but one, or not all are drawn
            equally often.
        places: where the numbers of each are in `loads`; None if in the same order.
        weights: what their cost is divided by; None if all are equal.
        sums: of the parts of their share that they get at present, so far; None if all get the whole of it.
    """

    __slots__ = ("count", "loads", "members", "pairs", "places", "sums", "weights")

    def __init__(self, shared: Sharing, records: Sequence[MemberRecord], loads: Loads) -> None:
        self.members, self.loads = shared.members, loads
        self.count = len(records)
        places = array("l", [record.place for record in records])
        self.places = None if places == array("l", range(self.count)) else places
        weights = shared.capacities
        self.weights = None if min(weights) == max(weights) else array("d", weights)
        self.sums = None if shared.parts is None else list(itertools.accumulate(shared.parts))
        self.pairs = self.count * (self.count - 1) if self.count > 2 and self.sums is None else 0


class TwoChoices(TableBalancer[Candidates]):
    """Draws two members and takes the better one; subclasses say which is.

    Args:
        service: the plain name.
        registry: None means the process's default registry.
        random: draws the members; a seeded one makes the picks repeatable as long as outcomes come at the same times.
    """

    def __init__(self, service: str, registry: MemberSource | None = None, *, random: Random | None = None) -> None:
        super().__init__(service, registry, random=random)
        self._draw = self._random.random

    visits_starved = True

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def better(self, table: Candidates, first: int, second: int) -> int:
        """Which of these two candidates costs less, the first if they are equal."""
        raise NotImplementedError

    def bad(self, table: Candidates, place: int) -> bool:
        """Whether this candidate is so bad that others are worth looking at."""
        return False

    def cost(self, record: MemberRecord, loads: Loads, now: float) -> float:
        """What a call to this member costs, its weight aside."""
        raise NotImplementedError

    # -- of all --------------------------------------------------------------------------------------------------------

    def table_of(
        self, shared: Sharing, snapshot: Snapshot, state: ServiceState, clock: Callable[[], float]
    ) -> Candidates:
        return Candidates(shared, state.records(snapshot, shared.members), state.memory.loads)

    def choose(self, table: Candidates) -> Member:
        return self.of_pair(table, *self._two(table))

    def of_pair(self, table: Candidates, first: int, second: int) -> Member:
        """The better one of these two candidates; if it is bad as well, the best one of a few more pairs."""
        place = self.better(table, first, second)
        if table.count > 2:
            for _ in range(_MORE_PAIRS):
                if not self.bad(table, place):
                    break
                place = self.better(table, place, self.better(table, *self._two(table)))
        return table.members[place]

    def retry_weights(self, weights: Sequence[float]) -> Sequence[float]:
        return [1.0] * len(weights)

    def draw_other(self, draw: Callable[[], Member], memory: ServiceMemory, now: Callable[[], float]) -> Member:
        one, other = draw(), draw()
        records = memory.record(one), memory.record(other)
        if one is other or records[0] is None or records[1] is None:
            return one
        loads, time = memory.loads, now()
        its = self.cost(records[0], loads, time) / (one.weight or 1.0)
        others = self.cost(records[1], loads, time) / (other.weight or 1.0)
        return one if its <= others else other

    def _two(self, table: Candidates) -> tuple[int, int]:
        """Two that are drawn."""
        count = table.count
        if table.pairs:
            first, second = divmod(int(self._draw() * table.pairs), count - 1)
            return first, second + (second >= first)
        if table.sums is not None:
            return self._unequal(table.sums)
        first = int(self._draw() * count)
        return first, count - 1 - first

    def _unequal(self, sums: Sequence[float]) -> tuple[int, int]:
        """Two places, drawn in proportion to the parts; the same one twice if nearly all of it is one's."""
        last, draw = len(sums) - 1, self._draw
        first = second = bisect.bisect(sums, draw() * sums[-1], hi=last)
        for _ in range(_DRAWS):
            if second != first:
                break
            second = bisect.bisect(sums, draw() * sums[-1], hi=last)
        return first, second
