"""The places of a bulkhead, and who gets the next one that is given back.

A place is free for nearly every request: taking one then is to cost next to nothing, and only who has to wait pays.
"""

from __future__ import annotations

import queue
from collections import deque
from time import monotonic

import anyio

from ..metrics.protection import LoopUse

__all__ = ["LoopPlaces", "ThreadPlaces", "thread_places"]

ThreadPlaces = queue.SimpleQueue[None]
"""For threads: as many items as there are free places. It is written in C, as no semaphore is."""


def thread_places(number: int) -> ThreadPlaces:
    """So many free places."""
    places: ThreadPlaces = queue.SimpleQueue()
    for _ in range(number):
        places.put(None)
    return places


class LoopPlaces(LoopUse):
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
        self.use = taken + 1, seconds - monotonic(), entered + 1
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
            self.use = taken - 1, seconds + monotonic(), entered
