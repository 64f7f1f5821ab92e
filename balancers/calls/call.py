"""One call over several members: who has been tried, who is next, and the time that is left."""

from __future__ import annotations

import logging

from ...drivers.errors import NoMemberAvailable
from ...drivers.members import Member, Outcome, Reached
from ..balancer import ReportingBalancer
from ..memory.pick import Pick
from .policy import CONNECT_BUDGET, CallPolicy, may_move
from .trail import Attempt
from .urls import without_secrets

__all__ = ["Call", "DeadlineOver"]


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
    """

    __slots__ = ("_balancer", "_log", "_method", "_policy", "_replayable", "_tried", "_until", "_url")

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
        self._method, self._url, self._replayable = method, url, replayable
        self._until = started + (CONNECT_BUDGET if policy.deadline is None else policy.deadline)
        self._tried: list[Member] = []

    def first(self, now: float) -> Pick:
        """The first attempt.

        Raises:
            NoMemberAvailable: there is no member.
            DeadlineOver: finding one took all the time there was.
        """
        if self._until <= now:
            raise DeadlineOver(f"the deadline of {self._policy.deadline} s was over before a member could be called")
        pick = self._balancer.begin()
        self._limit(pick, now)
        return pick

    def next(self, present: Pick, reached: Reached, error: BaseException, now: float) -> Pick | None:
        """The attempt after `present`, which failed with `error`, or None: then that is the outcome of the call."""
        outcome = Outcome(present.member, reached, seconds=now - present.started)
        present.done(outcome, last=False)
        following = self._following(reached, now)
        if following is None:
            present.call_over(outcome)
        elif self._log.isEnabledFor(logging.INFO):
            self._log.info(
                "%s %s: %s %s (%s), trying %s",
                self._method,
                without_secrets(str(self._url)),
                present.member.address,
                reached,
                _reason(error),
                following.member.address,
            )
        return following

    @property
    def trail(self) -> tuple[Attempt, ...]:
        """The attempts so far."""
        return ()

    def _following(self, reached: Reached, now: float) -> Pick | None:
        if (
            not may_move(reached, self._method, self._replayable)
            or len(self._tried) >= self._policy.attempts
            or self._until <= now
        ):
            return None
        try:
            pick = self._balancer.begin(exclude=self._tried)
        except NoMemberAvailable:
            return None
        # A balancer that would rather repeat a member than return none does not make this one worth a second try.
        if any(pick.member.key == tried.key for tried in self._tried):
            pick.cancel()
            return None
        self._limit(pick, now)
        return pick

    def _limit(self, pick: Pick, now: float) -> None:
        """Give the attempt its share of the time: that of the members that are left and may still be tried."""
        tried = self._tried
        tried.append(pick.member)
        most = self._policy.attempts - len(tried) + 1
        if len(pick.eligible) - len(tried) + 1 < most:
            keys = {member.key for member in tried}
            most = max(1, min(most, 1 + sum(member.key not in keys for member in pick.eligible)))
        left = self._until - now
        pick.started, pick.connect_limit = now, left / most
        pick.answer_limit = None if self._policy.deadline is None else left


def _reason(error: BaseException) -> str:
    """What happened, without what a client writes into its errors: URLs with tokens in them."""
    system: BaseException | None = error
    for _ in range(8):
        if system is None or (isinstance(system, OSError) and system.strerror):
            break
        system = system.__cause__ or system.__context__
    text = getattr(system, "strerror", None)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
