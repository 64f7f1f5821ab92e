"""The attempts of a call, as the caller may read them: who was called, why, and why the call went on."""

from __future__ import annotations

import attrs

from ...drivers.members import Member

__all__ = ["Attempt", "attempts_of_error", "reason_of"]


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


def attempts_of_error(error: BaseException) -> tuple[Attempt, ...]:
    """The attempts of the call that ended with this error of a client's library; empty if it is of something else."""
    attempts = getattr(error, "attempts", ())
    return attempts if isinstance(attempts, tuple) else ()


def reason_of(error: BaseException) -> str:
    """What happened, without what a client writes into its errors: URLs with tokens in them."""
    system: BaseException | None = error
    for _ in range(8):
        if system is None or (isinstance(system, OSError) and system.strerror):
            break
        system = system.__cause__ or system.__context__
    text = getattr(system, "strerror", None)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
