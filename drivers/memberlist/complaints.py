"""Logging of what strangers can cause: each kind once a minute, with the number of those that were not logged."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import attrs

__all__ = ["Complaints"]

_SAY_AGAIN_AFTER = 60.0


@attrs.define
class _Said:
    at: float = -math.inf
    unsaid: int = 0


class Complaints:
    """What a logger is told at most once a minute for each kind; kinds are few and fixed."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float]) -> None:
        self._logger = logger
        self._clock = clock
        self._kinds: dict[str, _Said] = {}

    def say(self, kind: str, message: str, *arguments: object) -> None:
        """Log a warning, unless one of this kind was logged within the last minute."""
        said = self._kinds.setdefault(kind, _Said())
        now = self._clock()
        if now - said.at < _SAY_AGAIN_AFTER:
            said.unsaid += 1
            return
        more = f" ({said.unsaid} more like this since the last time)" if said.unsaid else ""
        self._kinds[kind] = _Said(now)
        self._logger.warning(message + more, *arguments)
