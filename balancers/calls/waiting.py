"""How long a call waits before its next attempt; pure, chance is passed in.

1. Another member is tried at once: after 0 to 25 ms, so that a thousand callers of a member that died do not fall upon
   the next one in one instant; after 0 to 5 ms the first time, if no connection was made, which costs nobody anything.
2. A member that was tried before is tried again after a random part of 25 ms, 75 ms, 175 ms, and so on to 250 ms
   (Envoy's full jitter); after its `Retry-After` if that is longer.
"""

from __future__ import annotations

__all__ = ["FIRST_JITTER", "JITTER", "LONGEST_WAIT", "backoff"]

FIRST_JITTER = 0.005
JITTER = 0.025
LONGEST_WAIT = 0.25
"""Seconds. Also the longest that a call without a deadline waits: nobody said that the answer is worth more."""

_BASE = 0.025


def backoff(repeat: int, chance: float) -> float:
    """Seconds before a member is tried again, for the `repeat`-th time of this call, from 1 on."""
    return chance * min(LONGEST_WAIT, _BASE * ((1 << min(repeat, 16)) - 1))
