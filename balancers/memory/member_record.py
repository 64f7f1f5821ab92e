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
        outcomes: how many attempts ended, by how far they got.
        incomplete: how many of the answers broke off, were closed early, or were dropped.
        cancelled: attempts that ended without saying anything about the member.
    """

    first_seen: float
    last_seen: float
    in_flight: int = 0
    outcomes: dict[Reached, int] = attrs.field(factory=dict)
    incomplete: int = 0
    cancelled: int = 0

    def begin(self) -> None:
        """An attempt begins."""
        self.in_flight += 1

    def end(self, outcome: Outcome | None) -> None:
        """An attempt has ended; None says nothing about the member (the caller cancelled it, say)."""
        self.in_flight -= 1
        if outcome is None:
            self.cancelled += 1
            return
        self.outcomes[outcome.reached] = self.outcomes.get(outcome.reached, 0) + 1
        if outcome.reached is Reached.ANSWERED and not outcome.complete:
            self.incomplete += 1
