"""One call over several members: who has been tried, who is next, the time that is left, and how each attempt ended."""

from __future__ import annotations

import logging

import attrs

from ...drivers.errors import NoMemberAvailable
from ...drivers.members import Member, Outcome, Reached
from ..balancer import ReportingBalancer
from ..memory.pick import Pick
from .policy import CONNECT_BUDGET, CallPolicy, may_move
from .urls import without_secrets

__all__ = ["Attempt", "Call", "DeadlineOver"]


class DeadlineOver(Exception):
    """No time is left for an attempt. Clients raise their library's own timeout error in its place."""


@attrs.define(eq=False)
class Attempt:
    """One member being tried. Times are of a monotonic clock, the limits in seconds, all greater than 0.

    Attributes:
        connect_limit: how long connecting may take: this attempt's share of what is left.
        answer_limit: how long until the head of the answer; None when no deadline is set.
    """

    pick: Pick
    member: Member
    started: float
    connect_limit: float
    answer_limit: float | None
    _head: tuple[int, float] | None = attrs.field(default=None, init=False)
    _over: bool = attrs.field(default=False, init=False)

    def late(self, now: float) -> bool:
        """Whether the deadline is over. A head that comes now has missed it: the timers of sockets are coarse."""
        return self.answer_limit is not None and now - self.started >= self.answer_limit

    def answered(self, status: int, now: float) -> None:
        """The head of the answer came."""
        self._head = head = (status, now - self.started)
        self.pick.answered(*head)

    def ended(self, now: float, complete: bool) -> None:
        """The answer has ended: its body was read to the end (`complete`), closed early, or broke off.

        Only the first call counts.
        """
        if self._over:
            return
        self._over = True
        status, head_seconds = self._head or (None, None)
        self.pick.done(Outcome(self.member, Reached.ANSWERED, status, head_seconds, now - self.started, complete))

    def failed(self, reached: Reached, now: float) -> Outcome:
        """It ended without an answer."""
        outcome = Outcome(self.member, reached, seconds=now - self.started)
        self.pick.done(outcome, last=False)
        return outcome

    def cancelled(self) -> None:
        """The caller gave it up, or something failed that is not the member's."""
        self.pick.cancel()


@attrs.define(eq=False)
class Call:
    """One balanced call.

    Attributes:
        method: of the request.
        url: what was asked for, text or an object whose text it is; logged, without its secrets, when the call moves.
        replayable: whether the body can be sent a second time.
        started: when the call began.
        log: where a move is told, at level INFO.
    """

    policy: CallPolicy
    balancer: ReportingBalancer
    method: str
    url: object
    replayable: bool
    started: float
    log: logging.Logger
    _tried: list[Member] = attrs.field(factory=list, init=False)
    _until: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        deadline = self.policy.deadline
        self._until = self.started + (CONNECT_BUDGET if deadline is None else deadline)

    def first(self, now: float) -> Attempt:
        """The first attempt.

        Raises:
            NoMemberAvailable: there is no member.
            DeadlineOver: finding one took all the time there was.
        """
        if self._until - now <= 0:
            raise DeadlineOver(f"the deadline of {self.policy.deadline} s was over before a member could be called")
        return self._begin(self.balancer.begin(), now)

    def next(self, present: Attempt, reached: Reached, error: BaseException, now: float) -> Attempt | None:
        """The attempt after `present`, which failed with `error`, or None: then that is the outcome of the call."""
        outcome = present.failed(reached, now)
        following = self._following(reached, now)
        if following is None:
            present.pick.call_over(outcome)
        elif self.log.isEnabledFor(logging.INFO):
            self.log.info(
                "%s %s: %s %s (%s), trying %s",
                self.method,
                without_secrets(str(self.url)),
                present.member.address,
                reached,
                _reason(error),
                following.member.address,
            )
        return following

    def _following(self, reached: Reached, now: float) -> Attempt | None:
        if (
            not may_move(reached, self.method, self.replayable)
            or len(self._tried) >= self.policy.attempts
            or self._until - now <= 0
        ):
            return None
        try:
            pick = self.balancer.begin(exclude=self._tried)
        except NoMemberAvailable:
            return None
        # A balancer that would rather repeat a member than return none does not make this one worth a second try.
        if any(pick.member.key == tried.key for tried in self._tried):
            pick.cancel()
            return None
        return self._begin(pick, now)

    def _begin(self, pick: Pick, now: float) -> Attempt:
        self._tried.append(pick.member)
        left = self._until - now
        return Attempt(pick, pick.member, now, left / self._sharers(), None if self.policy.deadline is None else left)

    def _sharers(self) -> int:
        """Among how many members the rest of the time is shared: those that are left and may still be tried."""
        most = self.policy.attempts - len(self._tried) + 1
        eligible = self.balancer.eligible()
        if len(eligible) - len(self._tried) + 1 >= most:
            return most
        tried = {member.key for member in self._tried}
        return max(1, min(most, 1 + sum(member.key not in tried for member in eligible)))


def _reason(error: BaseException) -> str:
    """What happened, without what a client writes into its errors: URLs with tokens in them."""
    system: BaseException | None = error
    for _ in range(8):
        if system is None or (isinstance(system, OSError) and system.strerror):
            break
        system = system.__cause__ or system.__context__
    text = getattr(system, "strerror", None)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
