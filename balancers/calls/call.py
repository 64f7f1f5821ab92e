"""One call over several members: who has been tried, who is next, and the time that is left."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...drivers.errors import NoMemberAvailable
from ...drivers.kit.log_fields import fields
from ...drivers.members import Member, Outcome, Reached
from ..balancer import ReportingBalancer
from ..memory.pick import Pick
from .policy import CONNECT_BUDGET, CallPolicy, Move, after_answer, after_failure, status_moves
from .retry_after import NOT_PROCESSED, retry_after
from .trail import Attempt, reason_of
from .urls import without_secrets
from .waiting import FIRST_JITTER, JITTER, LONGEST_WAIT, backoff

if TYPE_CHECKING:
    from ..shared_calls import SharedCalls
    from .breaker import Passage

__all__ = ["Call", "DeadlineOver"]

_TIMER_SLACK = 0.002
"""Seconds by which a timer may be early: an attempt that ends so little before its time has had it."""


class DeadlineOver(Exception):
    """No time is left for an attempt. Clients raise their library's own timeout error in its place."""


class Call:
    """One balanced call. Times are of a monotonic clock.

    Args:
        method: of the request.
        url: what was asked for, text or an object whose text it is; logged, without its secrets, when the call moves.
        replayable: whether the body can be sent a second time.
        started: when the call began.
        log: where a move is told, at level INFO.

    Attributes:
        begun: attempts so far.
    """

    __slots__ = (
        "_attempt_timeout",
        "_balancer",
        "_budget_left",
        "_hedged",
        "_left",
        "_lent",
        "_log",
        "_passage",
        "_policy",
        "_present",
        "_ready",
        "_repeats",
        "_replayable",
        "_shared",
        "_tried",
        "_until",
        "begun",
        "method",
        "url",
    )

    _shared: SharedCalls

    def __init__(
        self,
        policy: CallPolicy,
        balancer: ReportingBalancer,
        method: str,
        url: object,
        replayable: bool,
        started: float,
        log: logging.Logger,
    ) -> None:
        self._policy, self._balancer, self._log = policy, balancer, log
        self.method, self.url, self._replayable = method, url, replayable
        self._until = started + (CONNECT_BUDGET if policy.deadline is None else policy.deadline)
        self._attempt_timeout = None if "attempt_timeout" in policy.dry_run else policy.attempt_timeout
        self._tried: list[Member] = []
        self.begun = self._repeats = 0
        self._present: Pick | None = None
        self._passage: Passage | None = None
        self._hedged = False
        # What only a call that moves needs.
        self._left: list[Attempt] | None = None
        self._ready: dict[tuple[str, str, int], float] | None = None
        self._lent: float | None = None
        self._budget_left = 0.0

    def first(self, now: float) -> Pick:
        """The first attempt.

        Raises:
            NoMemberAvailable: there is no member.
            CircuitOpen: the circuit breaker lets no call through.
            DeadlineOver: finding a member took all the time there was.
        """
        if self._until <= now:
            raise DeadlineOver(f"the deadline of {self._policy.deadline} s was over before a member could be called")
        if self._policy.breaker is not None:
            dry_run = "breaker" in self._policy.dry_run
            self._passage = self._balancer.calls.let_through(self._policy.breaker, dry_run, now)
        try:
            pick = self._balancer.begin()
        except BaseException:
            self.cancelled(now)
            raise
        self._shared = self._balancer.calls
        self._budget_left = self._shared.began(now, self._policy.retry_ratio, self._policy.retry_reserve)
        self._limit(pick, now, 0.0)
        return pick

    def next(self, present: Pick, reached: Reached, error: BaseException, now: float) -> Pick | None:
        """The attempt after `present`, which failed with `error`, or None: then that is the outcome of the call."""
        seconds = now - present.started
        in_time = reached is Reached.TIMED_OUT and not self._had_its_time(seconds)
        outcome = Outcome(present.member, reached, seconds=seconds, callers_time=in_time)
        move = after_failure(outcome, self._policy, self.method, self._replayable)
        if in_time and self._policy.attempt_timeout is not None and self._attempt_timeout is None:
            self._dry_run("attempt_timeout", seconds >= self._policy.attempt_timeout)
        present.done(outcome, last=False)
        following = self._following(present, outcome, move, reason_of(error), error, now)
        if following is None:
            would = after_failure(outcome, self._policy, self.method, True)
            if move is Move.STAY and would is not move and self.begun < self._policy.attempts:
                error.add_note("It was not sent to another member: its body cannot be sent twice.")
            self._end(False, now)
            self._leave(present, f"{reached} ({reason_of(error)})", outcome)
            self._present = None
            present.call_over(outcome)
        return following

    def answered(self, present: Pick, status: int, header: Callable[[str], str | None], now: float) -> Pick | None:
        """The attempt after `present`, which was answered with `status`; None: that is the answer to the call."""
        if self._policy.attempt_timeout is not None and self._attempt_timeout is None:
            self._dry_run("attempt_timeout", now - present.started >= self._policy.attempt_timeout)
        if self._lent is not None:
            self._settle_loan()
        self._present = present
        if status < 400:
            if self._policy.hedge is not None:
                self._shared.head(now - present.started)
            if self._shared.budget.watching:
                self._shared.answered(now)
            if self._passage is not None:
                self._end(True, now)
            return None
        present.retry_after = wait = retry_after(header, self._shared.wall)
        head = present.head
        seconds = now - present.started if head is None else head[1]
        outcome = Outcome(present.member, Reached.ANSWERED, status, seconds, seconds, False, wait)
        named = header(NOT_PROCESSED) if status == 503 else None
        move = after_answer(outcome, self._policy, self.method, self._replayable, named)
        if move.rule in self._policy.dry_run:
            self._dry_run(move.rule, self.begun < self._policy.attempts and now < self._until)
            by_status = status_moves(outcome, self._policy, self.method, self._replayable)
            move = by_status if by_status.rule not in self._policy.dry_run else Move.STAY
        following = self._following(present, outcome, move, str(status), None, now)
        if following is not None:
            present.done(outcome, last=False)
            return following
        if status < 500:
            self._shared.answered(now)
        self._end(status < 500, now)
        return None

    def hedge_after(self, now: float) -> float | None:
        """Seconds from now after which `hedge` may give a second attempt beside the present one; None: never."""
        hedge, present = self._policy.hedge, self._present
        if hedge is None or present is None or self._hedged or self.begun >= self._policy.attempts:
            return None
        if not self._replayable or self.method not in self._policy.idempotent_methods:
            return None
        usual = self._shared.head_quantile(hedge.quantile, hedge.least_answers)
        return None if usual is None or present.started + usual >= self._until else present.started + usual - now

    def hedge(self, now: float) -> Pick | None:
        """A second attempt beside the present one, at a member that was not tried; None if it is not worth it."""
        hedge, policy = self._policy.hedge, self._policy
        if hedge is None or self._hedged or self.begun >= policy.attempts or self._until <= now:
            return None
        self._hedged = True
        if not self._shared.hedge(now, policy.retry_ratio, policy.retry_reserve, hedge.most_extra):
            return None
        pick = None if self._dry_run("hedge", "hedge" in policy.dry_run) else self._begin(self._tried)
        if pick is None:
            self._shared.give_back()
            return None
        self._shared.count("hedges")
        present = self._present
        self._limit(pick, now, 0.0)
        if present is not None:
            pick.before = present.before + now - present.started
        return pick

    def lost(self, loser: Pick, reached: Reached | None, error: BaseException | None, now: float) -> None:
        """Of two attempts this one failed while the other is under way, or was given up (None) for its answer."""
        seconds = now - loser.started
        if reached is None:
            outcome, why = Outcome(loser.member, Reached.TIMED_OUT, seconds=seconds), "the other attempt answered first"
            loser.cancel()
        else:
            in_time = reached is Reached.TIMED_OUT and not self._had_its_time(seconds)
            outcome = Outcome(loser.member, reached, seconds=seconds, callers_time=in_time)
            why = str(reached) if error is None else f"{reached} ({reason_of(error)})"
            loser.done(outcome, last=False)
        self._leave(loser, why, outcome)

    def cancelled(self, now: float) -> None:
        """The caller gave the call up, which says nothing about the service."""
        self._settle_loan()
        self._end(None, now)

    @property
    def timeout(self) -> str:
        """What is over when an answer missed its time."""
        present, policy = self._present, self._policy
        if present is not None and self._attempt_timeout is not None and present.answer_limit == self._attempt_timeout:
            return f"the time of {policy.attempt_timeout} s for an attempt"
        return f"the deadline of {policy.deadline} s"

    @property
    def trail(self) -> tuple[Attempt, ...]:
        """The attempts so far. (`Trail` makes them only when somebody looks.)"""
        left, present = tuple(self._left or ()), self._present
        if present is None:
            return left
        status, seconds = present.head or (None, 0.0)
        return (*left, self._as_attempt(present, "", status, seconds))

    # -- the rules, in the order in which `policy` states them ---------------------------------------------------------

    def _following(
        self, present: Pick, outcome: Outcome, move: Move, reason: str, error: BaseException | None, now: float
    ) -> Pick | None:
        """The attempt that follows one with this outcome, limited and paid for; None if the call stays."""
        self._settle_loan()
        if move is Move.STAY or self.begun >= self._policy.attempts or self._until <= now:
            return None
        if move.repeats:
            if self._ready is None:
                self._ready = {}
            self._ready[outcome.member.key] = now + (outcome.retry_after or 0.0)
        elif self._ready is not None:
            self._ready.pop(outcome.member.key, None)
        budget_left = self._pay(move, now)
        if budget_left is None:
            if error is not None:
                error.add_note("It was not sent to another member: the retry budget of the service is used up.")
            return None
        pick, delay = self._another(move, now)
        if pick is None:
            self._refund()
            return None
        self._leave(present, f"{outcome.reached} ({reason})", outcome)
        self._budget_left = budget_left
        self._shared.count("moves")
        self._limit(pick, now, delay)
        pick.before = present.before + pick.started - present.started
        if self._log.isEnabledFor(logging.INFO):
            self._log.info(
                "%s %s: %s %s (%s), trying %s",
                self.method,
                without_secrets(str(self.url)),
                outcome.member.address,
                outcome.reached,
                reason,
                pick.member.address,
                extra=fields(service=pick.member.service, member=outcome.member.address, reason=reason),
            )
        return pick

    def _another(self, move: Move, now: float) -> tuple[Pick | None, float]:
        """Somebody who was not tried, or somebody who may be tried again, and the seconds to wait before."""
        random = self._balancer.random
        pick = self._begin(self._tried)
        if pick is not None:
            jitter = random.random() * (FIRST_JITTER if move is Move.UNSENT and self.begun == 1 else JITTER)
            return pick, jitter if now + jitter < self._until else 0.0
        if not self._ready:
            return None, 0.0
        delay = max(backoff(self._repeats + 1, random.random()), min(self._ready.values()) - now)
        longest = LONGEST_WAIT if self._policy.deadline is None else self._until - now
        if delay >= longest:
            return None, 0.0
        busy = [member for member in self._tried if self._ready.get(member.key, math.inf) > now + delay]
        try:
            pick = self._balancer.begin(exclude=busy)
        except NoMemberAvailable:
            return None, 0.0
        self._repeats += 1
        self._shared.count("waits")
        return pick, delay

    def _begin(self, exclude: list[Member]) -> Pick | None:
        try:
            pick = self._balancer.begin(exclude=exclude)
        except NoMemberAvailable:
            return None
        # A balancer that would rather repeat a member than return none does not make this one worth a second try.
        if any(pick.member.key == tried.key for tried in exclude):
            pick.cancel()
            return None
        return pick

    def _limit(self, pick: Pick, now: float, delay: float) -> None:
        """Give the attempt its share of the time: that of the members that are left and may still be tried."""
        tried, started = self._tried, now + delay
        if not self._repeats or all(pick.member.key != member.key for member in tried):
            tried.append(pick.member)
        self.begun += 1
        most = self._policy.attempts - self.begun + 1
        if len(pick.eligible) - len(tried) + 1 < most:
            keys = {member.key for member in tried}
            most = max(1, min(most, 1 + sum(member.key not in keys for member in pick.eligible)))
        left = self._until - started
        pick.started, pick.delay = started, delay
        pick.connect_limit = left / most
        pick.answer_limit = None if self._policy.deadline is None else left
        own = self._attempt_timeout
        if own is not None:
            pick.connect_limit = min(pick.connect_limit, own)
            pick.answer_limit = own if pick.answer_limit is None else min(pick.answer_limit, own)
        self._present = pick

    def _had_its_time(self, seconds: float) -> bool:
        return self._attempt_timeout is not None and seconds >= self._attempt_timeout - _TIMER_SLACK

    # -- the budget, the breaker, the trail ----------------------------------------------------------------------------

    def _pay(self, move: Move, now: float) -> float | None:
        """What is left of the budget after one more attempt; None if there is none for it."""
        shared, ratio, reserve = self._shared, self._policy.retry_ratio, self._policy.retry_reserve
        left = shared.left(now, ratio, reserve)
        if shared.withdraw(now, ratio, reserve):
            return left - 1
        if move.transparent and shared.lend(now):
            self._lent = now
            return left
        if self._dry_run("budget", "budget" in self._policy.dry_run):
            return left
        shared.count("budget_refused")
        return None

    def _refund(self) -> None:
        if self._lent is None:
            self._shared.give_back()
        self._settle_loan()

    def _settle_loan(self) -> None:
        if self._lent is not None:
            self._shared.settle(self._lent)
            self._lent = None

    def _end(self, success: bool | None, now: float) -> None:
        """Tell the breaker how the call ended."""
        passage, self._passage = self._passage, None
        if passage is not None:
            passage.ended(success, now)

    def _dry_run(self, rule: str, would_act: bool) -> bool:
        if would_act:
            self._shared.count(f"dry_run_{rule}")
        return would_act

    def _leave(self, pick: Pick, why: str, outcome: Outcome) -> None:
        if self._left is None:
            self._left = []
        self._left.append(self._as_attempt(pick, why, outcome.status, outcome.seconds))

    def _as_attempt(self, pick: Pick, left: str, status: int | None, seconds: float) -> Attempt:
        again = any(attempt.member.key == pick.member.key for attempt in self._left or ())
        why = "tried again, as nobody else is left" if again else pick.why
        return Attempt(pick.member, why, left, status, seconds, pick.delay, self._budget_left)
