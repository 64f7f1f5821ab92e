"""The level of this library's log, where a variable sets it."""

from __future__ import annotations

import logging
import threading

from ..drivers.environment import Environment

__all__ = ["VARIABLE", "read_log_level", "set_log_level"]

VARIABLE = "GDD_LOG_LEVEL"
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "disabled": logging.CRITICAL + 1,
}
"""go-doudou's names."""

_logger = logging.getLogger(__name__.partition(".")[0])
_lock = threading.Lock()
_before: int | None = None


def read_log_level(environment: Environment) -> int | None:
    """What is asked for; None for nothing."""
    text = environment.text(VARIABLE).lower()
    if text and text not in _LEVELS:
        environment.problem(VARIABLE, f"one of {', '.join(_LEVELS)}")
    return _LEVELS.get(text)


def set_log_level(level: int | None) -> None:
    """Set it; None goes back to what the program had set before."""
    global _before
    with _lock:
        if level is not None:
            if _before is None:
                _before = _logger.level
            _logger.setLevel(level)
        elif _before is not None:
            _logger.setLevel(_before)
            _before = None
