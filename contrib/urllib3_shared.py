"""What the adapter for requests, which sends through urllib3, and the pool manager of urllib3 have in common."""

from __future__ import annotations

import contextlib
from typing import Any

from urllib3 import Timeout

__all__ = ["close_unread", "phases"]


def close_unread(response: Any) -> None:
    """Close an answer of urllib3 that nobody reads, with its connection. That it fails concerns nobody."""
    with contextlib.suppress(Exception):
        response.close()
        response.release_conn()


def phases(timeout: Timeout) -> tuple[float | None, float | None, float | None]:
    """The seconds for all of it, for connecting and for the answer, as they are when it begins; None: no limit."""
    started = timeout.clone()
    started.start_connect()
    return _seconds(timeout.total), _seconds(started.connect_timeout), _seconds(started.read_timeout)


def _seconds(part: object) -> float | None:
    """A part of a `Timeout`, which has a marker of its own for what was not said."""
    return part if isinstance(part, (int, float)) else None
