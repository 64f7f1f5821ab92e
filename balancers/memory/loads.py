"""What a pick reads of members: numbers in arrays, because looking at two of 10,000 objects takes longer, for the
processor has none of them at hand, than all the rest of the pick.

The peak EWMA falls with time by the same law for everybody, so that two of them can be compared without the time: each
is kept as it was at one common moment. That moment is moved on now and then, before the numbers become too large.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import exp, inf

__all__ = ["DECAY_SECONDS", "Loads"]

DECAY_SECONDS = 10.0

_MOVED_ON_AFTER = 1000.0

_FAR_ABOVE = 3.0
"""So many times as much is far above: more than answers differ at one member by themselves."""


class Loads:
    """Of each place that a member has here:

    Attributes:
        pending: its calls in flight.
        averages: its peak EWMA, in seconds times a factor that is the same for all.
        costs: the same times the calls in flight and one more.
        punished: the places of members that come after the others, with the time until when.

    And of all:

    Attributes:
        far_above: an average above this is far above what the better ones of the members take, as of the last second.
    """

    __slots__ = (
        "_free",
        "_punished_looked_at",
        "_since",
        "averages",
        "costs",
        "far_above",
        "move_on_at",
        "pending",
        "punished",
    )

    def __init__(self) -> None:
        self.pending: list[int] = []
        self.costs = array("d")
        self.averages = array("d")
        self.punished: dict[int, float] = {}
        self._free: list[int] = []
        self._since, self.move_on_at = 0.0, _MOVED_ON_AFTER
        self._punished_looked_at = 0.0
        self.far_above = inf

    def place(self) -> int:
        """A place for one member more."""
        if self._free:
            return self._free.pop()
        self.pending.append(0)
        self.costs.append(0.0)
        self.averages.append(0.0)
        return len(self.pending) - 1

    def leave(self, place: int) -> None:
        """The place is another's from now on."""
        self.pending[place], self.costs[place], self.averages[place] = 0, 0.0, 0.0
        self.punished.pop(place, None)
        self._free.append(place)

    def show(self, place: int, ewma: float, stamp: float, pending: int) -> None:
        """The peak EWMA at `place` is this, as of `stamp`, and so many calls are in flight."""
        average = self.averages[place] = ewma * exp((stamp - self._since) / DECAY_SECONDS)
        self.pending[place] = pending
        self.costs[place] = average * (pending + 1)

    def compare(self, places: Iterable[int]) -> None:
        """Set `far_above` by what the members at these places take, at least one."""
        averages = sorted([self.averages[place] for place in places])
        # A third of them, and not half: of three members two may be bad.
        self.far_above = _FAR_ABOVE * averages[(len(averages) - 1) // 3]

    def outdated(self, now: float) -> bool:
        """Whether all have to be shown anew, because the common moment has been moved on."""
        if -_MOVED_ON_AFTER < now - self._since < _MOVED_ON_AFTER:
            return False
        self._since, self.move_on_at = now, now + _MOVED_ON_AFTER
        self.far_above = inf  # until it is known again
        return True

    def forgive(self, now: float) -> None:
        """End the punishments whose time is over; looked for twice a second."""
        if self.punished and not 0.0 <= now - self._punished_looked_at < 0.5:
            self._punished_looked_at = now
            for place in [place for place, until in self.punished.items() if until <= now]:
                self.punished.pop(place, None)

    def __len__(self) -> int:
        return len(self.pending)
