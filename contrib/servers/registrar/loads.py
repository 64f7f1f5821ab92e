"""How much more a service can take whose requests several workers answer: what each of them says of itself, as one.

The kernel, or the server, spreads requests over the workers, and all of them have as many places. So the share that is
free of all is the mean of the shares that are free: the places taken are added up, and each worker has counted how long
its own answers take. Workers without a bulkhead say nothing, and nothing is made of that.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["WorkersLoad"]


class WorkersLoad:
    """A `LoadSource` of a registrar. Asked for by the thread of the drivers, told on the event loop of the hub."""

    def __init__(self) -> None:
        self._free: dict[int, float] = {}
        self._ask: Callable[[], None] | None = None

    def begin(self, ask: Callable[[], None]) -> None:
        """Have the workers asked by `ask` whenever somebody wants to know; from any thread, without waiting."""
        self._ask = ask

    def told(self, worker: int, free: float | None) -> None:
        """A worker tells the share of what it can take that is free; None if it does not know."""
        if free is None:
            self.gone(worker)
        else:
            self._free = {**self._free, worker: min(1.0, max(0.0, free))}

    def gone(self, worker: int) -> None:
        """It is not there any more."""
        self._free = {number: free for number, free in self._free.items() if number != worker}

    def headroom(self) -> float:
        """See `LoadSource`: what the workers said when somebody wanted to know the last time."""
        if self._ask is not None:
            self._ask()
        said = self._free
        return sum(said.values()) / len(said) if said else 1.0
