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
from .moves import Moves, still_to_try
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
        hedges: whether `hedge_after` may say that there is to be a second attempt beside one.
    """

    hedges = False
    _shared: SharedCalls
    _present: Pick | None = None
    _passage: Passage | None = None
    _moves: Moves | None = None

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
        self._policy = policy
        self._balancer = balancer
        self._log = log
        self.method = method
        self.url = url
        self._replayable = replayable
        self._until = started + (CONNECT_BUDGET if policy.deadline is None else policy.deadline)
        if policy.hedge is not None:
            self.hedges = True

    def first(self, now: float) -> Pick:
        """The first attempt.

        Raises:
            NoMemberAvailable: there is no member.
            CircuitOpen: the circuit breaker lets no call through.
            DeadlineOver: finding a member took all the time there was.
        """
        policy = self._policy
        left = self._until - now
        if left <= 0:
            raise DeadlineOver(f"the deadline of {policy.deadline} s was over before a member could be called")
        if policy.breaker is not None:
            self._passage = self._balancer.calls.let_through(policy.breaker, "breaker" in policy.dry_run, now)
        try:
            pick = self._balancer.begin()
        except BaseException:
            self.cancelled(now)
            raise
        pick.started = now
        self.take(pick)
        pick.budget_left = self._shared.began(now, policy)
        return pick

    def take(self, first: Pick) -> None:
        """`first` is the first attempt, which has begun already."""
        policy, left = self._policy, self._until - first.started
        self._present, self._shared = first, self._balancer.calls
        most = policy.attempts
        if len(first.source.eligible) < most:
            most = still_to_try(first, [first.member], most)
        first.connect_limit = left / most
        if policy.deadline is not None or policy.attempt_timeout is not None:
            self._limit_answer(first, left)

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
        policy, shared = self._policy, self._shared
        if policy.attempt_timeout is not None and self._attempt_timeout is None:
            self._dry_run("attempt_timeout", now - present.started >= policy.attempt_timeout)
        if self._moves is not None:
            self._settle_loan()
            self._present = present
        if status < 400:
            if policy.hedge is not None:
                shared.head(now - present.started)
            if shared.budget.watching:
                shared.answered(now)
            if self._passage is not None:
                self._end(True, now)
            return None
        present.retry_after = wait = retry_after(header, shared.wall)
        head = present.head
        seconds = now - present.started if head is None else head[1]
        outcome = Outcome(present.member, Reached.ANSWERED, status, seconds, seconds, False, wait)
        named = header(NOT_PROCESSED) if status == 503 else None
        move = after_answer(outcome, policy, self.method, self._replayable, named)
        if move.rule in policy.dry_run:
            self._dry_run(move.rule, self.begun < policy.attempts and now < self._until)
            by_status = status_moves(outcome, policy, self.method, self._replayable)
            move = by_status if by_status.rule not in policy.dry_run else Move.STAY
        following = self._following(present, outcome, move, str(status), None, now)
        if following is not None:
            present.done(outcome, last=False)
            return following
        if status < 500:
            shared.answered(now)
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
        hedge, policy, present = self._policy.hedge, self._policy, self._present
        if hedge is None or present is None or self._hedged or self.begun >= policy.attempts or self._until <= now:
            return None
        moves = self._going_on(present)
        moves.hedged = True
        if not self._shared.hedge(now, policy.retry_ratio, policy.retry_reserve, hedge.most_extra):
            return None
        pick = None if self._dry_run("hedge", "hedge" in policy.dry_run) else self._begin(moves.tried)
        if pick is None:
            self._shared.give_back()
            return None
        self._shared.count("hedges")
        self._limit(moves, pick, now, 0.0)
        pick.before, pick.budget_left = present.before + now - present.started, present.budget_left
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
    def begun(self) -> int:
        """Attempts so far."""
        return 1 if self._moves is None else self._moves.begun

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
        left, present = () if self._moves is None else tuple(self._moves.left), self._present
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
        moves = self._going_on(present)
        if move.repeats:
            moves.ready[outcome.member.key] = now + (outcome.retry_after or 0.0)
        else:
            moves.ready.pop(outcome.member.key, None)
        budget_left = self._pay(moves, move, now)
        if budget_left is None:
            if error is not None:
                error.add_note("It was not sent to another member: the retry budget of the service is used up.")
            return None
        pick, delay = self._another(moves, move, now)
        if pick is None:
            self._refund(moves)
            return None
        self._leave(present, f"{outcome.reached} ({reason})", outcome)
        pick.budget_left = budget_left
        self._shared.count("moves")
        self._limit(moves, pick, now, delay)
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

    def _another(self, moves: Moves, move: Move, now: float) -> tuple[Pick | None, float]:
        """Somebody who was not tried, or somebody who may be tried again, and the seconds to wait before."""
        random = self._balancer.random
        pick = self._begin(moves.tried)
        if pick is not None:
            jitter = random.random() * (FIRST_JITTER if move is Move.UNSENT and moves.begun == 1 else JITTER)
            return pick, jitter if now + jitter < self._until else 0.0
        if not moves.ready:
            return None, 0.0
        delay = max(backoff(moves.repeats + 1, random.random()), min(moves.ready.values()) - now)
        longest = LONGEST_WAIT if self._policy.deadline is None else self._until - now
        if delay >= longest:
            return None, 0.0
        busy = [member for member in moves.tried if moves.ready.get(member.key, math.inf) > now + delay]
        try:
            pick = self._balancer.begin(exclude=busy)
        except NoMemberAvailable:
            return None, 0.0
        moves.repeats += 1
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

    def _limit(self, moves: Moves, pick: Pick, now: float, delay: float) -> None:
        """Give an attempt that is not the first its share of the time that is left."""
        tried = moves.tried
        if not moves.repeats or all(pick.member.key != member.key for member in tried):
            tried.append(pick.member)
        moves.begun += 1
        pick.started, pick.delay = now + delay, delay
        if delay > 0.0:
            pick.put_off()
        left = self._until - pick.started
        pick.connect_limit = left / still_to_try(pick, tried, self._policy.attempts - moves.begun + 1)
        self._limit_answer(pick, left)
        self._present = pick

    def _limit_answer(self, pick: Pick, left: float) -> None:
        pick.answer_limit = None if self._policy.deadline is None else left
        own = self._attempt_timeout
        if own is not None:
            pick.connect_limit = min(pick.connect_limit, own)
            pick.answer_limit = own if pick.answer_limit is None else min(pick.answer_limit, own)

    @property
    def _attempt_timeout(self) -> float | None:
        """The time for an attempt, if that rule acts."""
        return None if "attempt_timeout" in self._policy.dry_run else self._policy.attempt_timeout

    @property
    def _hedged(self) -> bool:
        return self._moves is not None and self._moves.hedged

    def _had_its_time(self, seconds: float) -> bool:
        own = self._attempt_timeout
        return own is not None and seconds >= own - _TIMER_SLACK

    def _going_on(self, present: Pick) -> Moves:
        """What is remembered from now on, because the call does not stay with its first attempt."""
        if self._moves is None:
            self._moves = Moves([present.member])
        return self._moves

    # -- the budget, the breaker, the trail ----------------------------------------------------------------------------

    def _pay(self, moves: Moves, move: Move, now: float) -> float | None:
        """What is left of the budget after one more attempt; None if there is none for it."""
        shared, ratio, reserve = self._shared, self._policy.retry_ratio, self._policy.retry_reserve
        left = shared.left(now, ratio, reserve)
        if shared.withdraw(now, ratio, reserve):
            return left - 1
        if move.transparent and shared.lend(now):
            moves.lent = now
            return left
        if self._dry_run("budget", "budget" in self._policy.dry_run):
            return left
        shared.count("budget_refused")
        return None

    def _refund(self, moves: Moves) -> None:
        if moves.lent is None:
            self._shared.give_back()
        self._settle_loan()

    def _settle_loan(self) -> None:
        moves = self._moves
        if moves is not None and moves.lent is not None:
            self._shared.settle(moves.lent)
            moves.lent = None

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
        self._going_on(pick).left.append(self._as_attempt(pick, why, outcome.status, outcome.seconds))

    def _as_attempt(self, pick: Pick, left: str, status: int | None, seconds: float) -> Attempt:
        before = () if self._moves is None else self._moves.left
        again = any(attempt.member.key == pick.member.key for attempt in before)
        why = "tried again, as nobody else is left" if again else pick.why
        return Attempt(pick.member, why, left, status, seconds, pick.delay, pick.budget_left)
