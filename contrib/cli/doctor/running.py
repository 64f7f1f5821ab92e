"""Running checks: all of them at once, each in a thread of its own that nobody has to wait for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from .situation import Check, Finding, Situation

__all__ = ["findings_of"]


def findings_of(
    checks: Sequence[Check], situation: Situation, ended: Callable[[Check], None] = lambda check: None
) -> list[Finding]:
    """What all checks find, in their order, each finding once.

    A check that takes longer than its time is a finding too, after those that it has had by then; so is one that fails.

    Args:
        ended: is told of every check when it is over.
    """
    found: dict[str, list[Finding]] = {check.name: [] for check in checks}
    over: queue.SimpleQueue[Check] = queue.SimpleQueue()

    def run(check: Check) -> None:
        try:
            for finding in check.look(situation):
                found[check.name].append(finding)
        except Exception as error:
            found[check.name].append(_failed(check, error))
        over.put(check)

    began = time.monotonic()
    for check in checks:
        threading.Thread(target=run, args=(check,), name=f"check of {check.name}", daemon=True).start()
    waiting = {check.name: check for check in checks}
    while waiting:
        first = min(waiting.values(), key=lambda check: check.within)
        try:
            done = over.get(timeout=max(0.0, began + first.within - time.monotonic()))
        except queue.Empty:
            done = first
            found[done.name].append(_took_too_long(done))
        if waiting.pop(done.name, None) is not None:
            ended(done)
    return list(dict.fromkeys(finding for check in checks for finding in found[check.name]))


def _took_too_long(check: Check) -> Finding:
    return Finding(
        "no-answer-in-time",
        f"{check.name}: not finished after {check.within:g} s",
        "a name service or a firewall that does not answer takes this long; `pydoudou ping HOST:PORT` asks one node",
    )


def _failed(check: Check, error: Exception) -> Finding:
    return Finding(
        "check-failed",
        f"{check.name}: {type(error).__name__}: {error}",
        "what the message names may be the cause; if it does not look like one, this is a fault of the check",
    )
