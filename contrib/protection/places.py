"""The places of a bulkhead, and who gets the next one that is given back.

A place is free for nearly every request: taking one then is to cost next to nothing, and only who has to wait pays.
"""

from __future__ import annotations

import queue
from collections import deque
from time import perf_counter

import anyio

from ..metrics.protection import BulkheadCounts, PlacesUse

__all__ = ["LoopPlaces", "Place", "ThreadPlaces", "thread_places"]


class Place(PlacesUse):
    """One of the places of threads. Only who has it says what use is made of it, and so that needs no lock.

    Args:
        free: where it is when nobody has it.
    """

    __slots__ = ("_free",)

    def __init__(self, free: ThreadPlaces) -> None:
        super().__init__()
        self._free = free

    def enter(self, at: float) -> None:
        """Whoever has taken it makes use of it from this time on, by `perf_counter`."""
        _, seconds, entered = self.use
        self.use = 1, seconds - at, entered + 1

    def give_back(self, at: float) -> None:
        """It is the next one's in turn, or free."""
        _, seconds, entered = self.use
        self.use = 0, seconds + at, entered
        self._free.put(self)


ThreadPlaces = queue.SimpleQueue[Place]
"""The places of threads that are free. It is written in C, as no semaphore is."""


def thread_places(number: int, counts: BulkheadCounts) -> ThreadPlaces:
    """So many free places, whose use counts."""
    free: ThreadPlaces = queue.SimpleQueue()
    places = tuple(Place(free) for _ in range(number))
    for place in places:
        free.put(place)
    counts.begin(*places)
    return free


class LoopPlaces(PlacesUse):
    """So many places, for tasks of one event loop.

    Only one of them runs at a time, and so taking a place is a subtraction, without a lock.
    """

    __slots__ = ("_number", "_waiting")

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._waiting: deque[anyio.Event] = deque()

    @property
    def free(self) -> int:
        """Places that nobody has; none, as long as anybody waits."""
        return self._number - self.use[0]

    def take(self) -> bool:
        """Take a place, if one is free."""
        taken, seconds, entered = self.use
        if taken == self._number:
            return False
        self.use = taken + 1, seconds - perf_counter(), entered + 1
        return True

    async def take_in_turn(self) -> None:
        """Wait for a place, which is to be entered then or given back; who is cancelled has none."""
        comes = anyio.Event()
        self._waiting.append(comes)
        try:
            await comes.wait()
        except BaseException:
            if comes.is_set():  # both came together
                self.give_back()
            else:
                self._waiting.remove(comes)
            raise

    def enter(self) -> None:
        """Whose turn came makes use of it."""
        taken, seconds, entered = self.use
        self.use = taken, seconds, entered + 1

    def give_back(self) -> None:
        """It is the next one's in turn, or free."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            taken, seconds, entered = self.use
            self.use = taken - 1, seconds + perf_counter(), entered
