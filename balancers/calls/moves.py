"""What there is to remember of a call that does not stay with its first attempt, as nearly all calls do."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ...drivers.members import Member
from ..memory.pick import Pick
from .trail import Attempt

__all__ = ["Moves", "still_to_try"]


@attrs.define(eq=False)
class Moves:
    """One call's.

    Attributes:
        tried: the members, each once.
        begun: attempts so far.
        repeats: how many of them went to a member that had been tried before.
        ready: from when on a member that was tried may be tried again, by the key of the member.
        lent: when the budget lent the present attempt; None if it did not.
        hedged: whether there was a second attempt beside another one.
        left: the attempts that the call did not stay with.
    """

    tried: list[Member]
    begun: int = 1
    repeats: int = 0
    ready: dict[tuple[str, str, int], float] = attrs.field(factory=dict)
    lent: float | None = None
    hedged: bool = False
    left: list[Attempt] = attrs.field(factory=list)


def still_to_try(pick: Pick, tried: Sequence[Member], attempts: int) -> int:
    """How many of so many attempts, of which this is one, there may be: of the members that are left each is tried
    once. Each gets its share of the time.
    """
    if len(pick.source.eligible) - len(tried) + 1 >= attempts:
        return attempts
    keys = {member.key for member in tried}
    return max(1, min(attempts, 1 + sum(member.key not in keys for member in pick.source.eligible)))
