"""Waiting for a condition, with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

__all__ = ["eventually", "eventually_async"]


def eventually(predicate: Callable[[], object], timeout: float = 5.0) -> None:
    """Return as soon as `predicate` holds.

    Raises:
        AssertionError: it does not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout} s: {predicate}"
        time.sleep(0.005)


async def eventually_async(predicate: Callable[[], object], within: float = 10.0) -> None:
    """The same on an event loop, where the condition is in the hands of other tasks.

    Raises:
        AssertionError: it does not hold within so many seconds.
    """
    with anyio.move_on_after(within):
        while not predicate():  # noqa: ASYNC110
            await anyio.sleep(0.005)
        return
    raise AssertionError(f"not within {within} s: {predicate}")
