"""The attempts of a call, as the caller may read them: who was called, why, and why the call went on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import attrs

from ...drivers.members import Member
from ..memory.pick import Pick

if TYPE_CHECKING:
    from .call import Call

__all__ = ["Attempt", "Trail", "attempts_on", "member_found", "only_attempt", "reason_of"]


@attrs.frozen
class Attempt:
    """One attempt of a call.

    Attributes:
        why: why this member was chosen.
        left: why the call did not stay with it; "" for the attempt that is the outcome of the call, if it answered.
        status: of the answer; None if no head of an answer came.
        seconds: from the start of the attempt to the head of its answer, or to its end if there was none.
        delay: seconds that the call waited before the attempt.
        budget_left: retries that the service's budget allowed when the attempt began.
    """

    member: Member
    why: str
    left: str
    status: int | None
    seconds: float
    delay: float
    budget_left: float


def only_attempt(pick: Pick) -> Attempt:
    """The attempt of a call that was answered at once."""
    status, seconds = pick.head or (None, 0.0)
    return Attempt(pick.member, pick.why, "", status, seconds, pick.delay, pick.budget_left)


class Trail(Sequence[Attempt]):
    """The attempts of a call that is over, in order: what a tuple of them is, and equal to one.

    They are made when somebody looks: nearly all calls are answered at once, and nobody asks how.

    Args:
        of: the call, or its only attempt.
    """

    __slots__ = ("_made", "_of")

    def __init__(self, of: Call | Pick) -> None:
        self._of: Call | Pick | None = of
        self._made: tuple[Attempt, ...] = ()

    def _all(self) -> tuple[Attempt, ...]:
        of = self._of
        if of is not None:
            self._made, self._of = (only_attempt(of),) if isinstance(of, Pick) else of.trail, None
        return self._made

    @overload
    def __getitem__(self, place: int, /) -> Attempt: ...

    @overload
    def __getitem__(self, place: slice, /) -> tuple[Attempt, ...]: ...

    def __getitem__(self, place: int | slice, /) -> Attempt | tuple[Attempt, ...]:
        return self._all()[place]

    def __len__(self) -> int:
        return len(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == tuple(other) if isinstance(other, (Trail, tuple, list)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


def attempts_on(ended: object) -> tuple[Attempt, ...]:
    """The attempts of the call that ended with this error or response of a client's library, which has them as an
    attribute; empty if it is of something else.
    """
    attempts = getattr(ended, "attempts", ())
    return tuple(attempts) if isinstance(attempts, (Trail, tuple)) else ()


def member_found(found: object, response: object) -> Member:
    """What was found on a response of a client's library where its member is kept.

    Raises:
        LookupError: it is no member, because the response is of something else.
    """
    if not isinstance(found, Member):
        raise LookupError(f"{response!r} did not come from a member of a service")
    return found


def reason_of(error: BaseException) -> str:
    """What happened, without what a client writes into its errors: URLs with tokens in them."""
    system: BaseException | None = error
    for _ in range(8):
        if system is None or (isinstance(system, OSError) and system.strerror):
            break
        system = system.__cause__ or system.__context__
    text = getattr(system, "strerror", None)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
