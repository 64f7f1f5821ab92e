"""When a failed call moves to another member, and how long all of it may take.

The rules, the same for every client:

1. Nothing was sent (no connection could be made): the call moves, whatever its method and its body. The member proved
   that it did nothing (HTTP/2 REFUSED_STREAM, or rule 5): it moves if the body can be sent twice, for a part of it may
   be gone. A generator cannot: its second run is empty, and an empty body sent in its place is worse than an error.
2. Something was sent and the connection broke before an answer came: the member may have acted. The call moves if
   acting twice is harmless (an idempotent method, RFC 9110 section 9.2.2, unless the policy names others) and the body
   can be sent twice.
3. The policy's time for an attempt is over and no answer began: as 2. A timeout that is shorter than that, or of a
   policy that has none, is the caller's: it is final. The caller said how long the answer is worth waiting for, the
   member may be at work still, and asking the next one as well doubles the load when there is already too much of it.
4. A status of `retry_on` (502, 503, 504): as 2; when the call cannot move, that is its answer. Any other status is the
   answer. A 429 is one to this very caller, and never moves.
5. A 503 whose header ``X-Doudou-Not-Processed`` names the service that was called: any method moves if its body can be
   sent twice. ``Retry-After: 0`` is proof of nothing: any application may send it after it has acted.
6. At most `attempts` attempts, none after the deadline; each but the first is paid from the retry budget of the service
   (`budget`). When there is nobody left, no time, or no budget, the last outcome is that of the call.
7. A member that was not tried goes first, at once (`waiting`). When all have been tried, one that answered by rule 4 or
   5, refused, or took too long may be tried again, after a wait; who cannot be reached or breaks connections is not: a
   moment later nothing is different, and gossip will tell. Nobody waits longer than the deadline allows, or without one
   for more than 250 ms, and nothing waits after the last attempt.
8. An attempt may use its share of the time that is left for connecting, so that a member that swallows packets leaves
   time for the others; the last member there is may use all of it.
"""

from __future__ import annotations

import enum
from typing import Any

import attrs

from ...drivers.members import Outcome, Reached
from ..checks import a_kind, a_number, a_whole_number, an_option, seconds
from ..memory.policy import HealthPolicy
from .breaker import CircuitBreaker
from .budget import SLOTS
from .hedging import Hedging

__all__ = [
    "CONNECT_BUDGET",
    "IDEMPOTENT_METHODS",
    "RETRY_ON",
    "RULES",
    "CallPolicy",
    "Move",
    "after_answer",
    "after_failure",
    "shorter",
    "status_moves",
]

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


def _in_order(values: frozenset[Any]) -> str:
    """A set that is shown in the same way in every process."""
    return f"{{{', '.join(map(repr, sorted(values)))}}}"


def _checked_statuses(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, frozenset) or not all(
        isinstance(status, int) and 400 <= status <= 599 and status != 429 for status in value
    ):
        raise ValueError(
            f"retry_on is {value!r}; accepted: a set of statuses from 400 to 599, without 429, which is an answer to "
            "this caller"
        )


def _as_methods(value: Any) -> Any:
    methods = _as_frozenset(value)
    if isinstance(methods, frozenset):
        return frozenset(method.upper() if isinstance(method, str) else method for method in methods)
    return methods


def _checked_methods(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, frozenset) or not all(isinstance(method, str) and method.isalpha() for method in value):
        raise ValueError(f"idempotent_methods is {value!r}; accepted: a set of methods, such as IDEMPOTENT_METHODS")


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
        idempotent_methods: the methods whose calls may be made twice: those of RFC 9110. A POST belongs to them where
            the service does nothing twice, because the request carries a key by which it knows it, say.
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
        default=RETRY_ON, converter=_as_frozenset, validator=_checked_statuses, repr=_in_order, kw_only=True
    )
    idempotent_methods: frozenset[str] = attrs.field(
        default=IDEMPOTENT_METHODS, converter=_as_methods, validator=_checked_methods, repr=_in_order, kw_only=True
    )
    retry_ratio: float = attrs.field(default=0.2, validator=a_number(0), kw_only=True)
    retry_reserve: float = attrs.field(default=1.0, validator=a_number(0), kw_only=True)
    breaker: CircuitBreaker | None = attrs.field(
        default=None, validator=a_kind(CircuitBreaker, "a CircuitBreaker"), kw_only=True
    )
    hedge: Hedging | None = attrs.field(default=None, validator=a_kind(Hedging, "a Hedging"), kw_only=True)
    retry_after_zero: bool = attrs.field(default=False, validator=an_option, kw_only=True)
    dry_run: frozenset[str] = attrs.field(
        default=frozenset(), converter=_as_frozenset, validator=_checked_rules, repr=_in_order, kw_only=True
    )
    health: HealthPolicy | None = attrs.field(
        default=None, validator=a_kind(HealthPolicy, "a HealthPolicy"), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if self.deadline is not None and self.attempt_timeout is not None and self.deadline < self.attempt_timeout:
            raise ValueError(
                f"deadline is {self.deadline!r}; accepted: at least the attempt_timeout, which is "
                f"{self.attempt_timeout!r}, or None"
            )
        if self.hedge is not None and self.attempts < 2:
            raise ValueError(f"hedge is {self.hedge!r}; accepted: None when attempts is 1, there is no second one")

    @property
    def plain(self) -> bool:
        """Whether no rule has to be asked about an answer below 400, whenever it comes."""
        return (
            self.deadline is None
            and self.attempt_timeout is None
            and self.breaker is None
            and self.hedge is None
            and self.health is None
        )

    def allowance(self, calls: int) -> float:
        """Retries that so many calls in ten seconds allow, if none was made."""
        return self.retry_ratio * calls + self.retry_reserve * SLOTS

    def change(self, **fields: Any) -> CallPolicy:
        """The same policy but for these fields."""
        return attrs.evolve(self, **fields)


class Move(enum.Enum):
    """Why an attempt may be followed by another one, or that it may not."""

    STAY = enum.auto()
    UNSENT = enum.auto()
    """No byte of the request left."""
    REFUSED = enum.auto()
    """The member proved that it did nothing."""
    BROKEN = enum.auto()
    TIMED_OUT = enum.auto()
    STATUS = enum.auto()

    @property
    def transparent(self) -> bool:
        """Whether nothing can have been done."""
        return self in (Move.UNSENT, Move.REFUSED)

    @property
    def repeats(self) -> bool:
        """Whether the member may be tried again when all others have been."""
        return self in (Move.REFUSED, Move.TIMED_OUT, Move.STATUS)

    @property
    def rule(self) -> str:
        """By which name of `RULES` an answer moves."""
        return {Move.REFUSED: "not_processed", Move.STATUS: "retry_on"}.get(self, "")


def after_failure(outcome: Outcome, policy: CallPolicy, method: str, replayable: bool) -> Move:
    """What an attempt that was not answered allows, by rules 1 to 3.

    Args:
        replayable: whether the body can be sent a second time.
    """
    if outcome.reached is Reached.UNCONNECTED:
        return Move.UNSENT
    if outcome.reached is Reached.REFUSED:
        return Move.REFUSED if replayable else Move.STAY
    if not replayable or method not in policy.idempotent_methods or outcome.callers_time:
        return Move.STAY
    return {Reached.BROKEN: Move.BROKEN, Reached.TIMED_OUT: Move.TIMED_OUT}.get(outcome.reached, Move.STAY)


def after_answer(outcome: Outcome, policy: CallPolicy, method: str, replayable: bool, named: str | None) -> Move:
    """What an answer allows, by rules 4 and 5.

    Args:
        replayable: whether the body can be sent a second time.
        named: the service that a 503 says has done nothing.
    """
    if not replayable:
        return Move.STAY
    if outcome.status == 503:
        named_here = named is not None and named.strip() == outcome.member.service
        if named_here or (policy.retry_after_zero and outcome.retry_after == 0):
            return Move.REFUSED
    return status_moves(outcome, policy, method, replayable)


def status_moves(outcome: Outcome, policy: CallPolicy, method: str, replayable: bool) -> Move:
    """What an answer allows by its status alone, rule 4."""
    may = replayable and outcome.status in policy.retry_on and method in policy.idempotent_methods
    return Move.STATUS if may else Move.STAY


def shorter(asked: float | None, limit: float | None) -> float | None:
    """The shorter of two timeouts in seconds, where None is none at all."""
    if asked is None:
        return limit
    return asked if limit is None or asked <= limit else limit
