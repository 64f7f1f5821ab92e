"""When a failed call moves to another member, and how long all of it may take. No I/O, no clock.

The rules, the same for every HTTP client:

1. Nothing was sent (no connection could be made): the call moves, whatever its method and its body.
2. Something was sent and the connection broke before an answer came: the member may have acted. The call moves if
   acting twice is harmless (an idempotent method, RFC 9110 section 9.2.2) and the body can be sent twice. A generator
   cannot: its second run is empty, and an empty body sent in its place is worse than an error.
3. A timeout while waiting for the answer is final. The caller said how long the answer is worth waiting for, the
   member may be at work still, and asking the next one as well doubles the load when there is already too much of it.
4. A call tries a member once, at most `attempts` members, and starts no attempt after the deadline. When nobody is
   left to try, the last failure is the outcome.
5. An attempt may use its share of the time that is left for connecting, so that a member that swallows packets leaves
   time for the others.

A status is an answer: 502 and 503 are returned like any other.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Iterable
from typing import Protocol

import attrs

from ...drivers.errors import NoMemberAvailable
from ...drivers.members import Member

__all__ = ["CONNECT_BUDGET", "IDEMPOTENT_METHODS", "Call", "Failure", "Picker", "Policy", "shorter"]

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

CONNECT_BUDGET = 30.0
"""Seconds that all connection attempts of one call take together when no deadline is set.

Without it a caller who sets no timeout waits for the kernel to give up, two minutes per member on Linux.
"""


class Picker(Protocol):
    """What a client needs of a balancer; those of `pydoudou.balancers` have it."""

    def pick(self, exclude: Collection[Member] = ()) -> Member:
        """One member that is not in `exclude`; `NoMemberAvailable` when there is none."""

    def members(self) -> Iterable[Member]:
        """The members of the service now."""


class Failure(enum.Enum):
    """How far an attempt got."""

    UNSENT = "no connection was made, and no byte of the request left"
    UNANSWERED = "the connection broke after the request began to leave and before the answer began"
    FINAL = "a timeout after sending, or an error that another member would give as well"


def _checked_attempts(value: int) -> int:
    if value < 1:
        raise ValueError(f"attempts is {value!r}; accepted: a whole number from 1")
    return value


def _checked_deadline(value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"deadline is {value!r}; accepted: seconds greater than 0, or None")
    return value


@attrs.frozen
class Policy:
    """How far one call may go.

    Attributes:
        attempts: the most members that one call tries, 1 or more.
        deadline: seconds from the start of the call to the head of the answer, over all attempts. None: the caller's
            own timeouts decide, and connecting takes `CONNECT_BUDGET` at most.
    """

    attempts: int = attrs.field(default=3, converter=_checked_attempts)
    deadline: float | None = attrs.field(default=None, converter=_checked_deadline)


@attrs.define
class Call:
    """One balanced call: who has been tried, who is next, and the time that is left. Times are of a monotonic clock.

    Attributes:
        replayable: whether the body can be sent a second time.
        started: when the call began.
    """

    policy: Policy
    balancer: Picker
    method: str
    replayable: bool
    started: float
    _tried: list[Member] = attrs.field(factory=list, init=False)

    def first(self) -> Member:
        """The member to try first. Raises `NoMemberAvailable`."""
        member = self.balancer.pick()
        self._tried.append(member)
        return member

    def next(self, failure: Failure, now: float) -> Member | None:
        """The member to try after `failure`, or None: then the failure is the outcome of the call."""
        if not self._may_move(failure) or len(self._tried) >= self.policy.attempts or self._connect_left(now) <= 0:
            return None
        try:
            member = self.balancer.pick(exclude=self._tried)
        except NoMemberAvailable:
            return None
        # A balancer that would rather repeat a member than return none does not make this one worth a second try.
        if any(member.key == tried.key for tried in self._tried):
            return None
        self._tried.append(member)
        return member

    def connect_limit(self, now: float) -> float:
        """Seconds that the present attempt may take to connect: its share of what is left, greater than 0."""
        return self._connect_left(now) / (self.policy.attempts - len(self._tried) + 1)

    def answer_limit(self, now: float) -> float | None:
        """Seconds until the head of the answer must be there; None when no deadline is set."""
        return None if self.policy.deadline is None else self.started + self.policy.deadline - now

    def _connect_left(self, now: float) -> float:
        budget = CONNECT_BUDGET if self.policy.deadline is None else self.policy.deadline
        return self.started + budget - now

    def _may_move(self, failure: Failure) -> bool:
        if failure is Failure.UNANSWERED:
            return self.replayable and self.method in IDEMPOTENT_METHODS
        return failure is Failure.UNSENT


def shorter(asked: float | None, limit: float | None) -> float | None:
    """The shorter of two timeouts in seconds, where None is none at all."""
    if asked is None:
        return limit
    return asked if limit is None or asked <= limit else limit
