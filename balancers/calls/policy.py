"""When a failed call moves to another member, and how long all of it may take.

The rules, the same for every client:

1. Nothing was sent (no connection could be made), or the member says that it did nothing: the call moves, whatever its
   method and its body.
2. Something was sent and the connection broke before an answer came: the member may have acted. The call moves if
   acting twice is harmless (an idempotent method, RFC 9110 section 9.2.2) and the body can be sent twice. A generator
   cannot: its second run is empty, and an empty body sent in its place is worse than an error.
3. A timeout while waiting for the answer is final. The caller said how long the answer is worth waiting for, the
   member may be at work still, and asking the next one as well doubles the load when there is already too much of it.
4. A call tries a member once, at most `attempts` members, and starts no attempt after the deadline. When nobody is
   left to try, the last failure is the outcome.
5. An attempt may use its share of the time that is left for connecting, so that a member that swallows packets leaves
   time for the others; the last member there is may use all of it.

A status is an answer: 502 and 503 are returned like any other.
"""

from __future__ import annotations

import math

import attrs

from ...drivers.members import Reached

__all__ = ["CONNECT_BUDGET", "IDEMPOTENT_METHODS", "CallPolicy", "may_move", "shorter"]

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

CONNECT_BUDGET = 30.0
"""Seconds that all connection attempts of one call take together when no deadline is set.

Without it a caller who sets no timeout waits for the kernel to give up, two minutes per member on Linux.
"""


def _checked_attempts(value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"attempts is {value!r}; accepted: a whole number from 1")
    return value


def _checked_deadline(value: float | None) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value < math.inf):
        raise ValueError(f"deadline is {value!r}; accepted: seconds greater than 0, or None")
    return value


@attrs.frozen
class CallPolicy:
    """How far one call may go.

    Attributes:
        attempts: the most members that one call tries, 1 or more.
        deadline: seconds from the start of the call to the head of the answer, over all attempts. None: the caller's
            own timeouts decide, and connecting takes `CONNECT_BUDGET` at most.
    """

    attempts: int = attrs.field(default=3, converter=_checked_attempts)
    deadline: float | None = attrs.field(default=None, converter=_checked_deadline)


def may_move(reached: Reached, method: str, replayable: bool) -> bool:
    """Whether a call whose attempt got this far may be sent to another member.

    Args:
        replayable: whether the body can be sent a second time.
    """
    if reached is Reached.BROKEN:
        return replayable and method in IDEMPOTENT_METHODS
    return reached in (Reached.UNCONNECTED, Reached.REFUSED)


def shorter(asked: float | None, limit: float | None) -> float | None:
    """The shorter of two timeouts in seconds, where None is none at all."""
    if asked is None:
        return limit
    return asked if limit is None or asked <= limit else limit
