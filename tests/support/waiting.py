"""Waiting for a condition, with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["eventually"]


def eventually(predicate: Callable[[], object], timeout: float = 5.0) -> None:
    """Return as soon as `predicate` holds.

    Raises:
        AssertionError: it does not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout} s: {predicate}"
        time.sleep(0.005)
