"""What one process remembers of one member.

*Peak EWMA* (Finagle's): a longer time than the average becomes the average at once; a shorter one weighs the more the
longer ago the last was, 63 % after ten seconds. Whoever reads it lets it fall by the same law, so that a member that
was slow is tried again.
"""

from __future__ import annotations

import math

import attrs

from ...drivers.members import Member, MemberState, Outcome, Reached
from .loads import DECAY_SECONDS
from .success_window import SuccessWindow
from .verdict import FAILURE_SECONDS, counted_seconds, counts_against, says_well

__all__ = ["FIRST_GUESS", "STARVED_AFTER", "MemberRecord"]

FIRST_GUESS = 0.03
"""Seconds that a member is held to take while nothing is known about anybody: linkerd's default."""

STARVED_AFTER = 10.0
"""Seconds without a call after which a member gets one, however bad it looks."""


@attrs.define(eq=False)
class MemberRecord:
    """The calls to one member so far. It outlives snapshots: a member that comes back soon is known again.

    Attributes:
        first_seen: when the member was first a candidate here, by the clock of this process.
        last_seen: when it last was.
        place: where picks find its numbers (`Loads`).
        member: as it was last seen.
        present: whether it is in the view at present.
        shares: whether it shares the traffic at present.
        young_since: when it was new, or registered anew; None for those that were there when this process began.
        renewed: when it registered anew: calls that began before say nothing of it.
        in_flight: attempts that have begun and not ended.
        answered: attempts that got an answer.
        failed: how many others ended, by how far they got.
        incomplete: how many of the answers broke off, were closed early, or were dropped.
        cancelled: attempts that ended without saying anything about the member.
        ewma: the peak EWMA in seconds, as of `stamp`; failures count as the verdict says.
        learned: whether `ewma` comes from calls; else it is a guess.
        called: when the last call began; None before the first.
        punished_until: until when a member that failed comes after those that did not; a success ends that.
        latency: the average seconds of answers alone, with the same decay, as of `latency_stamp`; None without one.
        consecutive: calls in a row that failed and count against the member.
        unconnected: whether the last attempt got no connection.
        slow_since: since when `latency` has been above the limit for slow members; None if it is not.
        slow_answers: answers since then.
        window: how many calls of the last ten seconds failed; None without a call.
    """

    first_seen: float
    last_seen: float
    place: int = 0
    member: Member | None = None
    present: bool = False
    shares: bool = True
    young_since: float | None = None
    renewed: float = -math.inf
    in_flight: int = 0
    answered: int = 0
    failed: dict[Reached, int] = attrs.field(factory=dict)
    incomplete: int = 0
    cancelled: int = 0
    ewma: float = FIRST_GUESS
    stamp: float = attrs.field(default=attrs.Factory(lambda self: self.first_seen, takes_self=True))
    learned: bool = False
    called: float | None = None
    punished_until: float = -math.inf
    latency: float | None = None
    latency_stamp: float = 0.0
    consecutive: int = 0
    unconnected: bool = False
    slow_since: float | None = None
    slow_answers: int = 0
    window: SuccessWindow | None = None

    def end(self, outcome: Outcome | None, now: float, *, doubtful: bool = False) -> bool | None:
        """An attempt has ended; None says nothing about the member (the caller cancelled it, say).

        Args:
            doubtful: not to hold a failure against the member, because it may be this process's own.

        Returns whether it failed and counts against the member; None if it says nothing of that.
        """
        if outcome is not None and outcome.reached is Reached.ANSWERED and says_well(outcome.status):
            seconds = outcome.seconds if outcome.head_seconds is None else outcome.head_seconds
            self.end_well(seconds, outcome.complete, now)
            return False
        self.in_flight -= 1
        if outcome is None:
            self.cancelled += 1
            return None
        answered = outcome.reached is Reached.ANSWERED
        if answered:
            self.answered += 1
            self.incomplete += not outcome.complete
        else:
            self.failed[outcome.reached] = self.failed.get(outcome.reached, 0) + 1
        seconds, may_lower = counted_seconds(outcome)
        self._average(seconds, may_lower, now)
        failed = counts_against(outcome)
        if not failed and not answered:
            return None
        if failed and doubtful:
            return None
        self.unconnected = outcome.reached is Reached.UNCONNECTED
        if failed:
            self.punished_until = now + max(seconds, FAILURE_SECONDS)
            self.consecutive += 1
        else:
            self.consecutive, self.punished_until = 0, -math.inf
            self._average_answers(seconds, now)
        if self.window is None:
            self.window = SuccessWindow()
        self.window.add(failed, now)
        return failed

    def end_well(self, seconds: float, complete: bool, now: float) -> None:
        """As `end`, for an answer that says nothing against the member, whose head came after so many seconds."""
        self.in_flight -= 1
        self.answered += 1
        if not complete:
            self.incomplete += 1
        # As in `_average` and `_average_answers`, at once: both fall by the same law, mostly from the same time on.
        stamp, ewma, latency = self.stamp, self.ewma, self.latency
        kept = math.exp((stamp - now) / DECAY_SECONDS) if now > stamp else 1.0
        if latency is None or stamp != self.latency_stamp:
            self._average_answers(seconds, now)
        else:
            self.latency = latency * kept + seconds * (1.0 - kept)
            self.latency_stamp = max(now, stamp)
        if seconds > ewma or not self.learned:
            self.ewma, self.stamp, self.learned = seconds, now, True
        else:
            self.ewma = ewma * kept + seconds * (1.0 - kept)
            self.stamp = max(now, stamp)
        self.unconnected, self.consecutive, self.punished_until = False, 0, -math.inf
        if self.window is None:
            self.window = SuccessWindow()
        self.window.add(False, now)

    def slower_than(self, limit: float, now: float) -> float:
        """For how many seconds the answers have taken longer on average than `limit`; to ask after each answer."""
        if self.latency is None or self.latency <= limit:
            self.slow_since = None
            return 0.0
        if self.slow_since is None:
            self.slow_since, self.slow_answers = now, 0
        self.slow_answers += 1
        return now - self.slow_since

    def back(self, seconds: float | None, now: float) -> None:
        """It gets calls again, and is held to be so fast; None: as fast as it was."""
        self.slow_since = None
        if seconds is not None:
            self.guess(seconds, now)

    @property
    def alive(self) -> bool:
        """Whether it is in the view and no suspect."""
        return self.present and self.member is not None and self.member.state is MemberState.ALIVE

    def cost(self, now: float) -> float:
        """The peak EWMA in seconds as it has fallen by now."""
        return self.ewma * math.exp((self.stamp - now) / DECAY_SECONDS) if now > self.stamp else self.ewma

    def guess(self, seconds: float, now: float) -> None:
        """Hold the member to take so long, until calls tell."""
        self.ewma, self.stamp = seconds, now

    @property
    def outcomes(self) -> dict[Reached, int]:
        """How many attempts ended, by how far they got."""
        return {**self.failed, **({Reached.ANSWERED: self.answered} if self.answered else {})}

    def _average(self, seconds: float, may_lower: bool, now: float) -> None:
        if seconds > self.ewma or (may_lower and not self.learned):
            self.ewma, self.stamp, self.learned = seconds, now, True
        elif may_lower:
            kept = math.exp((self.stamp - now) / DECAY_SECONDS) if now > self.stamp else 1.0
            self.ewma = self.ewma * kept + seconds * (1.0 - kept)
            self.stamp = max(now, self.stamp)
        elif seconds > self.cost(now):
            self.ewma, self.stamp = seconds, now

    def _average_answers(self, seconds: float, now: float) -> None:
        if self.latency is None:
            self.latency = seconds
        else:
            kept = math.exp((self.latency_stamp - now) / DECAY_SECONDS) if now > self.latency_stamp else 1.0
            self.latency = self.latency * kept + seconds * (1.0 - kept)
        self.latency_stamp = max(now, self.latency_stamp)
