"""What is not public in prometheus_client and is used nevertheless: only here, and checked when this module is loaded.

Where a release lacks it, the workers of a server are not added up. A test fails then, so that it is noticed.

- `values.ValueClass`, which makes the numbers that its metrics are kept in. Where ``PROMETHEUS_MULTIPROC_DIR`` is set a
  number is in a file of its process, and `MultiProcessCollector` adds those of all processes up; else it is
  `values.MutexValue`. Its collectors of one's own are left out of that, and its metrics cannot be set to a number that
  was counted elsewhere.
- The lock that all its numbers share. A process that is forked while a thread holds it never gets it: whoever makes or
  sets numbers in a thread of ours does so with `NO_FORK`, for which a fork waits.
"""

from __future__ import annotations

import inspect
import os
import threading
from typing import Any, Protocol

from prometheus_client import values

__all__ = ["NO_FORK", "NUMBERS_ARE_KNOWN", "Number", "adds_up_processes", "number"]


class Number(Protocol):
    """A number that is kept for one set of labels."""

    def set(self, value: float) -> None: ...


def adds_up_processes() -> bool:
    """Whether prometheus_client does; it looked at the environment when it was imported."""
    return NUMBERS_ARE_KNOWN and _value_class() is not values.MutexValue


def number(kind: str, name: str, sample: str, labels: dict[str, str], about: str, mode: str) -> Number:
    """A number of this process, to be added up with those of others.

    Args:
        name: of the metric, without ``_total``.
        sample: the name with it, or with ``_bucket`` or ``_sum``.
        mode: how gauges are added up: ``livesum``, ``livemax``.
    """
    made: Number = _value_class()(
        kind, name, sample, tuple(labels), tuple(labels.values()), about, multiprocess_mode=mode
    )
    return made


def _value_class() -> Any:
    return values.ValueClass


def _numbers_are_known() -> bool:
    try:
        inspect.signature(_value_class()).bind("gauge", "a", "a", ("b",), ("c",), "", multiprocess_mode="livemax")
        return callable(values.MutexValue) and callable(_value_class().set)
    except (AttributeError, TypeError):
        return False


NUMBERS_ARE_KNOWN = _numbers_are_known()

# Reentrant, because a signal handler that forks may interrupt who holds it.
NO_FORK = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=NO_FORK.acquire, after_in_parent=NO_FORK.release, after_in_child=NO_FORK.release)
