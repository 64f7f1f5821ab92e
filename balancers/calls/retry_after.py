"""What an answer says about when to come back (RFC 9110 section 10.2.3), and what it is proof of."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..memory.verdict import LONGEST_RETRY_AFTER

__all__ = ["NOT_PROCESSED", "retry_after"]

NOT_PROCESSED = "x-doudou-not-processed"
"""The header of a 503 that names the service which did nothing. Another name was forwarded from further behind."""

_SECONDS = re.compile(r"\d{1,18}(\.\d{1,18})?")


def retry_after(header: Callable[[str], str | None], wall: Callable[[], float]) -> float | None:
    """Seconds from now, at most `LONGEST_RETRY_AFTER`; None if the answer does not say, or says nonsense.

    Args:
        header: gives the value of a header by its lower-case name.
        wall: seconds since 1970, for a date in an answer that does not tell its own (``Date``).
    """
    text = (header("retry-after") or "").strip()
    if not text:
        return None
    if text.isascii() and _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER)
    until = _since_1970(text)
    if until is None:
        return None
    # The clock of the one who said it counts, if it is told: two clocks need not agree.
    said = _since_1970((header("date") or "").strip())
    return min(max(until - (wall() if said is None else said), 0.0), LONGEST_RETRY_AFTER)


def _since_1970(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    if not text or len(text) > 64:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None
