"""What one process remembers of one member.

*Peak EWMA* (Finagle's): a longer time than the average becomes the average at once; a shorter one weighs the more the
longer ago the last was, 63 % after ten seconds. Whoever reads it lets it fall by the same law, so that a member that
was slow is tried again.

*Three bounds keep one answer from being remembered for too long.* On a busy machine members and callers stand still for
a moment, and with Finagle's law one answer of a second hides for half a minute that another member has become twenty
times slower, or keeps all calls from a good one.

1. An answer raises the average by half of it at most. In the time in which a slow member answers for the first time it
   has several calls, so that it is found out as soon.
2. A shorter one weighs a sixteenth at least: who has answered many calls since is as fast as those say.
3. After five seconds without an answer the first one says all there is to say: what is older is nearly forgotten, and
   the member gets a call every ten seconds only, if it was slow.

*A failure is held to have taken 5 seconds* (`verdict`), and is forgotten by Finagle's law or by the third bound: of two
members that fail one call in a hundred neither is to look better for the hundred calls in between. Five seconds take
fifty to fall to the few milliseconds of the others: whoever failed for a moment would be missing for as long, and who
is slow would get its calls.
"""

from __future__ import annotations

from math import exp, inf

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

_MOST_RISE = 1.5
_LEAST_WEIGHT = 1 / 16
_STALE = exp(-5.0 / DECAY_SECONDS)


@attrs.define(eq=False)
class MemberRecord:
    """The calls to one member so far. It outlives snapshots: a member that comes back soon is known again.

    Attributes:
        first_seen: when the member was first a candidate here, by the clock of this process.
        last_seen: when it last was; brought up to date when it goes, or is called.
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
        ewma: the peak EWMA in seconds, as of `stamp`: the larger one of the next two.
        average: that of the answers.
        penalty: that of the failures; 0.0 as soon as it is the smaller one.
        learned: whether `ewma` comes from calls; else it is a guess.
        called: when the last call began; None before the first.
        punished_until: until when a member that failed comes after those that did not; a success ends that.
        latency: the average seconds of answers alone, with the same decay, as of `latency_stamp`; None without one.
        consecutive: calls in a row that failed and count against the member.
        unconnected: whether the last attempt got no connection.
        slow_since: since when `latency` has been above the limit for slow members; None if it is not.
        slow_answers: answers since then.
        queued: whether it is among those that may have to be called because they had no call for long.
        window: how many calls of the last ten seconds failed; None without a call.
    """

    first_seen: float
    last_seen: float
    place: int = 0
    member: Member | None = None
    present: bool = False
    shares: bool = True
    young_since: float | None = None
    renewed: float = -inf
    in_flight: int = 0
    answered: int = 0
    failed: dict[Reached, int] = attrs.field(factory=dict)
    incomplete: int = 0
    cancelled: int = 0
    ewma: float = FIRST_GUESS
    average: float = FIRST_GUESS
    penalty: float = 0.0
    stamp: float = attrs.field(default=attrs.Factory(lambda self: self.first_seen, takes_self=True))
    learned: bool = False
    called: float | None = None
    punished_until: float = -inf
    latency: float | None = None
    latency_stamp: float = 0.0
    consecutive: int = 0
    unconnected: bool = False
    slow_since: float | None = None
    slow_answers: int = 0
    queued: bool = False
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
        failed = counts_against(outcome)
        if failed:
            self._punish(seconds, now)
        else:
            self._average(seconds, self._kept(now), may_lower, now)
        if not failed and not answered:
            return None
        if failed and doubtful:
            return None
        self.unconnected = outcome.reached is Reached.UNCONNECTED
        if failed:
            self.punished_until = now + max(seconds, FAILURE_SECONDS)
            self.consecutive += 1
        else:
            self.consecutive, self.punished_until = 0, -inf
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
        # What follows is `_average_answers`, `_average` and `window.add` in one piece, for nearly all calls end here.
        # Both averages fall by the same law, mostly from the same time on.
        stamp, average, latency, window = self.stamp, self.average, self.latency, self.window
        if now > stamp:
            kept = exp((stamp - now) / DECAY_SECONDS)
            self.stamp = now
        else:
            kept, now = 1.0, stamp
        if latency is not None and stamp == self.latency_stamp:
            self.latency = seconds + (latency - seconds) * kept
            self.latency_stamp = now
        else:
            self._average_answers(seconds, now)
        if kept < _STALE or self.penalty or not self.learned:
            self._average(seconds, kept, True, now)
        else:
            if seconds > average:
                most = _MOST_RISE * average
                average = most if seconds > most else seconds
            else:
                weight = 1.0 - kept
                average += (seconds - average) * (weight if weight > _LEAST_WEIGHT else _LEAST_WEIGHT)
            self.ewma = self.average = average
        if self.consecutive:
            self.unconnected, self.consecutive, self.punished_until = False, 0, -inf
        if window is None:
            window = self.window = SuccessWindow()
        if now >= window.turn_at:
            window.turn(now)
        window.calls += 1

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
        return self.ewma * exp((self.stamp - now) / DECAY_SECONDS) if now > self.stamp else self.ewma

    def guess(self, seconds: float, now: float) -> None:
        """Hold the member to take so long, until calls tell."""
        self.ewma = self.average = seconds
        self.penalty, self.stamp = 0.0, now

    @property
    def outcomes(self) -> dict[Reached, int]:
        """How many attempts ended, by how far they got."""
        return {**self.failed, **({Reached.ANSWERED: self.answered} if self.answered else {})}

    def _kept(self, now: float) -> float:
        """Which part of what is remembered is left now."""
        return exp((self.stamp - now) / DECAY_SECONDS) if now > self.stamp else 1.0

    def _average(self, seconds: float, kept: float, may_lower: bool, now: float) -> None:
        """An answer came; `kept` of what is remembered is left."""
        average = self.average
        if kept < _STALE or not self.learned:
            if may_lower:
                average, self.learned, self.penalty = seconds, True, 0.0
            elif seconds > average:
                average = seconds
        elif seconds > average:
            average = min(seconds, _MOST_RISE * average)
        elif may_lower:
            average += (seconds - average) * max(1.0 - kept, _LEAST_WEIGHT)
        else:
            average *= kept
        self.ewma = self.average = average
        if now > self.stamp:
            self.stamp = now
        if self.penalty:
            penalty = self.penalty * kept
            self.penalty, self.ewma = (penalty, penalty) if penalty > average else (0.0, average)

    def _punish(self, seconds: float, now: float) -> None:
        kept = self._kept(now)
        self.average *= kept
        self.penalty = max(seconds, self.penalty * kept)
        self.ewma, self.stamp, self.learned = max(self.penalty, self.average), max(now, self.stamp), True

    def _average_answers(self, seconds: float, now: float) -> None:
        if self.latency is None:
            self.latency = seconds
        else:
            kept = exp((self.latency_stamp - now) / DECAY_SECONDS) if now > self.latency_stamp else 1.0
            self.latency = self.latency * kept + seconds * (1.0 - kept)
        self.latency_stamp = max(now, self.latency_stamp)
