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

from typing import Any

import attrs

from ...drivers.members import Reached
from .breaker import CircuitBreaker
from .checks import a_kind, a_number, a_whole_number, an_option, seconds
from .hedging import Hedging

__all__ = ["CONNECT_BUDGET", "IDEMPOTENT_METHODS", "RETRY_ON", "RULES", "CallPolicy", "may_move", "shorter"]

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

CONNECT_BUDGET = 30.0
"""Seconds that all connection attempts of one call take together when no deadline is set.

Without it a caller who sets no timeout waits for the kernel to give up, two minutes per member on Linux.
"""


RETRY_ON = frozenset({502, 503, 504})
"""Statuses of a gateway or of a member that is overloaded: another member may well have the answer."""

RULES = frozenset({"attempt_timeout", "retry_on", "not_processed", "budget", "breaker", "hedge"})
"""The rules of a call that can be tried out without acting (`CallPolicy.dry_run`)."""


def _as_frozenset(value: Any) -> Any:
    return frozenset(value) if isinstance(value, (set, frozenset, list, tuple, range)) else value


def _checked_statuses(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, frozenset) or not all(
        isinstance(status, int) and 400 <= status <= 599 and status != 429 for status in value
    ):
        raise ValueError(
            f"retry_on is {value!r}; accepted: a set of statuses from 400 to 599, without 429, which is an answer to "
            "this caller"
        )


def _checked_rules(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, frozenset) or not value <= RULES:
        raise ValueError(f"dry_run is {value!r}; accepted: a set of {', '.join(sorted(RULES))}")


@attrs.frozen
class CallPolicy:
    """How far one call may go, the same for all clients. Times are seconds.

    Attributes:
        attempts: the most attempts of one call, 1 or more.
        deadline: from the start of the call to the head of the answer, over all attempts. None: the caller's own
            timeouts decide, and connecting takes `CONNECT_BUDGET` at most.
        attempt_timeout: from the start of an attempt to the head of its answer. None: what is left of the deadline.
        retry_on: the statuses that move an idempotent call.
        retry_ratio: retries allowed per call, over ten seconds and all clients of the service.
        retry_reserve: retries allowed per second besides, however few calls there are.
        breaker: the circuit breaker; None: there is none.
        hedge: when a second attempt is made while the first one waits; None: never.
        retry_after_zero: take a 503 with ``Retry-After: 0`` for proof that nothing was done. Only where all members
            are known to mean it so.
        dry_run: the rules that only count what they would have done: ``attempt_timeout``,
            ``retry_on``, ``not_processed``, ``budget``, ``breaker``, ``hedge``.
        health: whom the service's balancers leave out for how they answered; set for all clients of the process.

    Raises:
        ValueError: a policy that cannot work; it names the argument and what is accepted.
    """

    attempts: int = attrs.field(default=3, validator=a_whole_number(1))
    deadline: float | None = attrs.field(default=None, validator=seconds(optional=True))
    attempt_timeout: float | None = attrs.field(default=None, validator=seconds(optional=True), kw_only=True)
    retry_on: frozenset[int] = attrs.field(
        default=RETRY_ON, converter=_as_frozenset, validator=_checked_statuses, kw_only=True
    )
    retry_ratio: float = attrs.field(default=0.2, validator=a_number(0), kw_only=True)
    retry_reserve: float = attrs.field(default=1.0, validator=a_number(0), kw_only=True)
    breaker: CircuitBreaker | None = attrs.field(
        default=None, validator=a_kind(CircuitBreaker, "a CircuitBreaker"), kw_only=True
    )
    hedge: Hedging | None = attrs.field(default=None, validator=a_kind(Hedging, "a Hedging"), kw_only=True)
    retry_after_zero: bool = attrs.field(default=False, validator=an_option, kw_only=True)
    dry_run: frozenset[str] = attrs.field(
        default=frozenset(), converter=_as_frozenset, validator=_checked_rules, kw_only=True
    )
    health: Any = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.deadline is not None and self.attempt_timeout is not None and self.deadline < self.attempt_timeout:
            raise ValueError(
                f"deadline is {self.deadline!r}; accepted: at least the attempt_timeout, which is "
                f"{self.attempt_timeout!r}, or None"
            )
        if self.hedge is not None and self.attempts < 2:
            raise ValueError(f"hedge is {self.hedge!r}; accepted: None when attempts is 1, there is no second one")

    def change(self, **fields: Any) -> CallPolicy:
        """The same policy but for these fields."""
        return attrs.evolve(self, **fields)


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
