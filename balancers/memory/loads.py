"""What a pick reads of members: numbers in arrays, because looking at two of 10,000 objects takes longer, for the
processor has none of them at hand, than all the rest of the pick.

The peak EWMA falls with time by the same law for everybody, so that two of them can be compared without the time: each
is kept as it was at one common moment. That moment is moved on now and then, before the numbers become too large.

*Who keeps callers waiting is slow before it answers.* A member that becomes slow has its first calls for as long as
each of them takes, and all that is remembered says that it is fast. So it is kept since when a member has answered
nothing although it has calls. Once that is far longer than answers take, the member costs as much as if it took so
long. Three rules keep that from being held against somebody who is well:

1. Any answer ends it, and the next call begins it again: a member that answers others meanwhile has one long call, or
   is streaming, and is not slow.
2. It is measured up to the latest answer of *any* member, not up to the present: when this process stands still, or
   the network does, nobody is heard, and nobody is late.
3. Nothing of it is remembered. The answer, when it comes, counts by the rules of the peak EWMA.

Finagle, linkerd and Envoy know nothing of a call before it ends. C3 (Suresh et al. 2015) and Prequal (Wydrowski et
al. 2024) have the members tell their queues, which takes members that do; who does not answer is seen without.
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
        pending: its calls in flight. It is changed without a lock when a call ends; `show` puts right what two threads
            that did so at the same moment made of it.
        averages: its peak EWMA, in seconds times a factor that is the same for all.
        punished: the places of members that come after the others, with the time until when.
        waiting: the places of members that have been given a call since they last answered anything, with the time when
            the first of these began. Mostly there are few, or none.

    And of all:

    Attributes:
        far_above: an average above this is far above what the better ones of the members take, as of the last second.
        patience: seconds without an answer that are far more than answers take.
        heard: when any member answered last. Who has been waited for since before `heard - patience` is late.
    """

    __slots__ = (
        "_free",
        "_punished_looked_at",
        "_since",
        "averages",
        "far_above",
        "heard",
        "move_on_at",
        "patience",
        "pending",
        "punished",
        "waiting",
    )

    def __init__(self) -> None:
        self.pending: list[int] = []
        self.averages = array("d")
        self.punished: dict[int, float] = {}
        self._free: list[int] = []
        self._since, self.move_on_at = 0.0, _MOVED_ON_AFTER
        self._punished_looked_at = 0.0
        self.far_above = self.patience = inf
        self.waiting: dict[int, float] = {}
        self.heard = -inf

    def place(self) -> int:
        """A place for one member more."""
        if self._free:
            return self._free.pop()
        self.pending.append(0)
        self.averages.append(0.0)
        return len(self.pending) - 1

    def leave(self, place: int) -> None:
        """The place is another's from now on."""
        self.pending[place], self.averages[place] = 0, 0.0
        self.waiting.pop(place, None)
        self.punished.pop(place, None)
        self._free.append(place)

    def show(self, place: int, ewma: float, stamp: float, pending: int) -> None:
        """The peak EWMA at `place` is this, as of `stamp`, and so many calls are in flight.

        A member that is forgotten has a place below 0, and is not shown.
        """
        if place < 0:
            return
        self.averages[place] = ewma * exp((stamp - self._since) / DECAY_SECONDS)
        self.pending[place] = pending
        if not pending:
            self.waiting.pop(place, None)

    def scale(self, now: float) -> float:
        """What seconds of that moment are multiplied by to be compared with `averages`."""
        return exp((now - self._since) / DECAY_SECONDS)

    def answered(self, place: int, now: float) -> None:
        """The member at `place` has answered something. From any thread: each step is one of the interpreter's."""
        self.waiting.pop(place, None)
        if now > self.heard:
            self.heard = now

    def ended(self, place: int) -> None:
        """A call to the member at `place` has ended, which will be counted later."""
        if place >= 0:
            self.pending[place] -= 1

    def not_waiting(self, place: int, began: float) -> None:
        """The call to the member at `place` that began then is not to be answered yet."""
        if self.waiting.get(place) == began:
            self.waiting.pop(place, None)

    def is_late(self, place: int) -> bool:
        """Whether the member at `place` has kept callers waiting for far longer than answers take."""
        return self.waiting.get(place, inf) < self.heard - self.patience

    def late_cost(self, place: int) -> float:
        """What the member at `place` costs, which is late: as if its answers took as long as it has been waited for,
        if that is more.
        """
        heard = self.heard
        waited = (heard - self.waiting.get(place, heard)) * self.scale(heard)
        return max(self.averages[place], waited) * (self.pending[place] + 1)

    def compare(self, places: Iterable[int], seconds: Iterable[float]) -> None:
        """Set `far_above` by what the members at these places take, at least one, and `patience` by what each took
        when it last told: a service that is hardly called does not become faster by that.
        """
        # A third of them, and not half: of three members two may be bad.
        averages, taken = sorted([self.averages[place] for place in places]), sorted(seconds)
        third = (len(averages) - 1) // 3
        self.far_above, self.patience = _FAR_ABOVE * averages[third], _FAR_ABOVE * taken[third]

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
