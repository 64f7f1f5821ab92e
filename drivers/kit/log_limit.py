"""Logging of what strangers can cause: each kind and source once a while, with the number of those that were not said.

Whoever can send can make up names without end, so three things are bounded: how often one source is named for one kind
of trouble, how many lines one kind gets in a minute whoever causes it, and how much of that is remembered.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping

import attrs

__all__ = ["RateLimitedLog"]

_INTERVAL = 60.0
_LINES_PER_MINUTE = 20
_REMEMBERED = 1000


@attrs.define(eq=False, repr=False)
class _Kind:
    """One kind of trouble: the lines of the minute that `began`, and how many were not said since the last line."""

    began: float = -math.inf
    lines: int = 0


class RateLimitedLog:
    """A logger for one room, which says the same thing rarely.

    Args:
        interval: seconds before the same kind and source is said again; `math.inf` to say it once, as long as it is
            remembered.
        remembered: how many pairs of kind and source.
    """

    def __init__(
        self,
        logger: logging.Logger,
        clock: Callable[[], float],
        *,
        interval: float = _INTERVAL,
        lines_per_minute: int = _LINES_PER_MINUTE,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._interval = interval
        self._lines_per_minute = lines_per_minute
        self._remembered = remembered
        self._said: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._unsaid: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._kinds: dict[str, _Kind] = {}

    def warning(
        self,
        kind: str,
        message: str,
        *arguments: object,
        source: str = "",
        extra: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        """Log a warning, unless one of this kind and source was logged within the interval.

        Args:
            kind: one of a few that the program knows.
            source: who caused it; anybody may make up any number of these.
            extra: gives the fields of the record; called only for a line that is logged.
        """
        key = (kind, source)
        now = self._clock()
        if now - self._said.get(key, -math.inf) < self._interval or not self._has_line(kind, now):
            self._count(key)
            return
        count = self._unsaid.pop(key, 0)
        more = f" ({count} more like this since the last time)" if count else ""
        self._said[key] = now
        self._said.move_to_end(key)
        if len(self._said) > self._remembered:
            self._said.popitem(last=False)
        self._logger.warning(message + more, *arguments, extra=None if extra is None else extra())

    def _has_line(self, kind: str, now: float) -> bool:
        """Take one of the lines that this kind has in the present minute."""
        seen = self._kinds.setdefault(kind, _Kind())
        if now - seen.began >= _INTERVAL:
            seen.began, seen.lines = now, 0
        seen.lines += 1
        return seen.lines <= self._lines_per_minute

    def _count(self, key: tuple[str, str]) -> None:
        self._unsaid[key] = self._unsaid.pop(key, 0) + 1
        if len(self._unsaid) > self._remembered:
            self._unsaid.popitem(last=False)
