"""What a start does about a server that does not answer: one attempt, and then what the user's join policy says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..errors import JoinError
from ..members import JoinPolicy

__all__ = ["first_attempt"]


async def first_attempt(
    attempt: Callable[[], Awaitable[object]],
    *,
    policy: JoinPolicy,
    variable: str,
    passing: type[Exception] | tuple[type[Exception], ...],
) -> Exception | None:
    """Make one attempt to reach the others, before the driver counts as started.

    Args:
        variable: where the user set `policy`; named in the error.
        passing: the errors that may pass. All others end the start.

    Returns:
        None if it worked; else the error, and the caller tries again in the background.

    Raises:
        JoinError: the attempt failed, and the policy makes that an error.
    """
    try:
        await attempt()
    except passing as error:
        if policy is JoinPolicy.REQUIRED:
            raise JoinError(
                f"{error} ({variable}=required makes that an error; without it the start goes on and keeps trying)"
            ) from error
        return error
    return None
