"""Threads against each other, switching as often as the interpreter can."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["hammer"]


def hammer(threads: Iterable[Callable[[], object]], *, rounds: int = 200, switch_interval: float = 1e-6) -> None:
    """Have each of these called `rounds` times by a thread of its own, all of them at once.

    Raises:
        Exception: what the first of them raised.
    """
    work = list(threads)
    together = threading.Barrier(len(work))

    def strike(action: Callable[[], object]) -> None:
        together.wait()
        for _ in range(rounds):
            action()

    before = sys.getswitchinterval()
    sys.setswitchinterval(switch_interval)
    try:
        with ThreadPoolExecutor(len(work)) as executor:
            for done in [executor.submit(strike, action) for action in work]:
                done.result()
    finally:
        sys.setswitchinterval(before)
