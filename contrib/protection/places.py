"""The places of a bulkhead, and who gets the next one that is given back.

A place is free for nearly every request: taking one then is to cost next to nothing, and only who has to wait pays.
"""

from __future__ import annotations

import queue
from collections import deque

import anyio

__all__ = ["LoopPlaces", "ThreadPlaces", "thread_places"]

ThreadPlaces = queue.SimpleQueue[None]
"""For threads: as many items as there are free places. It is written in C, as no semaphore is."""


def thread_places(number: int) -> ThreadPlaces:
    """So many free places."""
    places: ThreadPlaces = queue.SimpleQueue()
    for _ in range(number):
        places.put(None)
    return places


class LoopPlaces:
    """So many places, for tasks of one event loop.

    Only one of them runs at a time, and so taking a place is a subtraction from `free`.

    Attributes:
        free: places that nobody has; none, as long as anybody waits.
    """

    __slots__ = ("_waiting", "free")

    def __init__(self, number: int) -> None:
        self.free = number
        self._waiting: deque[anyio.Event] = deque()

    async def take_in_turn(self) -> None:
        """Wait for a place; who is cancelled has none."""
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

    def give_back(self) -> None:
        """It is the next one's in turn, or free."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self.free += 1
