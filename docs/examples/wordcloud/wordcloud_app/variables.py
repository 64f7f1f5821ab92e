"""The system's own variables, which begin with BIZ_; those that begin with GDD_ are pydoudou's."""

from __future__ import annotations

import os

__all__ = ["number", "secret", "text"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def text(name: str, default: str = "") -> str:
    """The variable, or `default` if it is not set or empty."""
    return os.environ.get(name) or default


def number(name: str, default: float, least: float = 0.0) -> float:
    """The same as a number.

    Raises:
        SystemExit: it is none, or less than `least`.
    """
    given = text(name, str(default))
    try:
        value = float(given)
    except ValueError:
        value = least - 1
    if value < least:
        raise SystemExit(f"{name} is {given!r}; accepted: a number of {least:g} or more")
    return value


def secret(name: str, default: str) -> str:
    """A secret, which has a default only where nobody but this machine gets in.

    Raises:
        SystemExit: it is not set, and the service can be reached from elsewhere.
    """
    host = text("GDD_REGISTER_HOST")
    if not text(name) and host not in _LOOPBACK:
        raise SystemExit(f"{name} must be set: the service registers at {host or 'the address of this machine'}")
    return text(name, default)
