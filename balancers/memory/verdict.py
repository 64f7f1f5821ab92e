"""What an outcome says about the member: whether it counts against it, and how long it is held to have taken.

1. *Against the member* are: no connection, a connection that broke before the answer, no head of an answer within the
   time that the policy gives an attempt, and the statuses 502, 503 and 504, by which a member says that it cannot
   serve. A 500 is the application's answer and comes from every member alike, 429 is meant for this caller, a refusal
   with proof (HTTP/2 REFUSED_STREAM) is a member that goes in good order, and less time than the policy's says nothing.
2. *A failure has taken 5 seconds, or as long as it took if that is longer.* A member that fails at once would else be
   the fastest of all, and the more it is called the fewer calls it has in flight: balancers by latency and by pending
   calls send it twice its share (measured; Envoy's issue 39737 and linkerd's 11669 are that). Half a second or one
   does not help, 5 seconds do, and do no harm where every member fails one call in a hundred.
3. *A 503 that names a time* (``Retry-After``) has taken that time, at most 300 seconds: linkerd's load biaser.
4. *What is neither an answer to the question nor a failure* (429, 500, a refusal, an attempt that was given less time)
   says at most that the member is slow, never that it is fast.
"""

from __future__ import annotations

from ...drivers.members import Outcome, Reached

__all__ = [
    "FAILURE_SECONDS",
    "GATEWAY_STATUSES",
    "LONGEST_RETRY_AFTER",
    "counted_seconds",
    "counts_against",
    "says_well",
]

GATEWAY_STATUSES = frozenset({502, 503, 504})

FAILURE_SECONDS = 5.0
LONGEST_RETRY_AFTER = 300.0
"""Seconds. Who asks for more gets this much: nobody is left out for a day because of one header."""

_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429
_UNAVAILABLE = 503


def says_well(status: int | None) -> bool:
    """Whether this is the status of an answer to the question, as nearly all are: nothing is against the member, and
    its time counts as it is.
    """
    return status is not None and status < _SERVER_ERROR and status != _TOO_MANY_REQUESTS


def counts_against(outcome: Outcome) -> bool:
    """Whether it is the member that failed."""
    reached = outcome.reached
    if reached is Reached.ANSWERED:
        return outcome.status in GATEWAY_STATUSES
    if reached is Reached.TIMED_OUT:
        return not outcome.callers_time
    return reached is not Reached.REFUSED


def counted_seconds(outcome: Outcome) -> tuple[float, bool]:
    """What the attempt is held to have taken, and whether that may make the member look faster, too.

    Of an answer it is the time to its head: how long the body takes depends on what was asked for, and on who reads it.
    """
    taken = outcome.seconds if outcome.head_seconds is None else outcome.head_seconds
    if counts_against(outcome):
        asked = outcome.retry_after
        if outcome.status == _UNAVAILABLE and asked is not None and asked > 0:
            return max(taken, min(asked, LONGEST_RETRY_AFTER)), True
        return max(taken, FAILURE_SECONDS), True
    return taken, says_well(outcome.status)
