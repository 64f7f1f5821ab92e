"""A member that was picked for a call whose end will be told."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ...drivers.members import Member, Outcome, Reached
from .member_record import MemberRecord

__all__ = ["Ended", "Pick", "Told"]

Ended = tuple[MemberRecord, Outcome | None, bool]
"""Whose attempt ended, how, and whether an observer has to be told of it still."""


class Told(Protocol):
    """Who is told of outcomes; the observers of a registry are."""

    def attempt_failed(self, service: str, outcome: Outcome) -> None:
        """An attempt got no answer."""

    def call_ended(self, service: str, outcome: Outcome) -> None:
        """A call is over, with the outcome of its last attempt."""


class Pick:
    """One attempt at a member: a balancer's `begin` gives it, `done` or `cancel` ends it.

    One that is dropped counts as ended when it is collected. That may be at any place in any thread, in the middle of
    our own code too, so the finalizer does nothing but append to a deque, which the next pick empties.

    Attributes:
        member: who was picked.
    """

    __slots__ = ("_ended", "_head", "_record", "_told", "member")

    def __init__(
        self,
        member: Member,
        record: MemberRecord | None = None,
        ended: deque[Ended] | None = None,
        told: Told | None = None,
    ) -> None:
        self.member = member
        self._record, self._ended, self._told = record, ended, told
        self._head: tuple[int, float] | None = None

    def answered(self, status: int, seconds: float) -> None:
        """The head of an answer came, after so many seconds; `done` is still to come, at the end of the body."""
        self._head = (status, seconds)

    def done(self, outcome: Outcome, *, last: bool = True) -> None:
        """The attempt has ended like this. Only the first call counts.

        Args:
            last: whether the call is over with it; else `call_over` says so, unless there is another attempt.
        """
        if self._end(outcome) and self._told is not None:
            if outcome.reached is not Reached.ANSWERED:
                self._told.attempt_failed(self.member.service, outcome)
            if last:
                self.call_over(outcome)

    def call_over(self, outcome: Outcome) -> None:
        """The call is over with the outcome of this attempt."""
        if self._told is not None:
            self._told.call_ended(self.member.service, outcome)

    def cancel(self) -> None:
        """The attempt has ended, and that says nothing about the member."""
        self._end(None)

    def _end(self, outcome: Outcome | None) -> bool:
        record, self._record = self._record, None
        if record is not None and self._ended is not None:
            self._ended.append((record, outcome, False))
        return record is not None

    def __del__(self) -> None:
        record, self._record = self._record, None
        if record is None or self._ended is None:
            return
        outcome = None
        if self._head is not None:
            status, seconds = self._head
            outcome = Outcome(self.member, Reached.ANSWERED, status, seconds, seconds)
        self._ended.append((record, outcome, self._told is not None))
