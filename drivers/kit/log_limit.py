"""Logging of what strangers can cause: each kind once a minute, with the number of those that were not logged."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import attrs

__all__ = ["RateLimitedLog"]

_INTERVAL = 60.0


@attrs.define
class _Suppressed:
    at: float = -math.inf
    count: int = 0


class RateLimitedLog:
    """What a logger gets at most once a minute for each kind; kinds are few and fixed."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float]) -> None:
        self._logger = logger
        self._clock = clock
        self._kinds: dict[str, _Suppressed] = {}

    def warning(self, kind: str, message: str, *arguments: object) -> None:
        """Log a warning, unless one of this kind was logged within the last minute."""
        last = self._kinds.setdefault(kind, _Suppressed())
        now = self._clock()
        if now - last.at < _INTERVAL:
            last.count += 1
            return
        more = f" ({last.count} more like this since the last time)" if last.count else ""
        self._kinds[kind] = _Suppressed(now)
        self._logger.warning(message + more, *arguments)
