"""What one process remembers of one member."""

from __future__ import annotations

import attrs

from ...drivers.members import Outcome, Reached

__all__ = ["MemberRecord"]


@attrs.define(eq=False)
class MemberRecord:
    """The calls to one member so far. It outlives snapshots: a member that comes back soon is known again.

    Attributes:
        first_seen: when the member was first a candidate here, by the clock of this process.
        last_seen: when it last was.
        in_flight: attempts that have begun and not ended.
        answered: attempts that got an answer.
        failed: how many others ended, by how far they got.
        incomplete: how many of the answers broke off, were closed early, or were dropped.
        cancelled: attempts that ended without saying anything about the member.
    """

    first_seen: float
    last_seen: float
    in_flight: int = 0
    answered: int = 0
    failed: dict[Reached, int] = attrs.field(factory=dict)
    incomplete: int = 0
    cancelled: int = 0

    def end(self, outcome: Outcome | None) -> None:
        """An attempt has ended; None says nothing about the member (the caller cancelled it, say)."""
        self.in_flight -= 1
        if outcome is None:
            self.cancelled += 1
        elif outcome.reached is Reached.ANSWERED:
            self.answered += 1
            self.incomplete += not outcome.complete
        else:
            self.failed[outcome.reached] = self.failed.get(outcome.reached, 0) + 1

    @property
    def outcomes(self) -> dict[Reached, int]:
        """How many attempts ended, by how far they got."""
        return {**self.failed, **({Reached.ANSWERED: self.answered} if self.answered else {})}
