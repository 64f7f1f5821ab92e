"""Telling one's own cancellation from somebody else's.

asyncio has one exception for both: a coroutine that waits for a future which somebody else cancels sees the same
`CancelledError` as one that is cancelled itself. gRPC ends the calls of a channel so that is closed, and a loop at its
end what still runs on it. Whoever passes that on ends without having been asked to: a task group cancels everything
that is in it, and nobody is told why.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

__all__ = ["others_cancellation_as"]


@contextlib.contextmanager
def others_cancellation_as(error: Exception) -> Iterator[None]:
    """Raise `error` in place of a cancellation within that is not the current task's own. For tasks of asyncio.

    asyncio counts how often a task was cancelled, and anyio's scopes cancel by the same door. What was counted before
    does not matter: who cleans up behind a shield has been cancelled already.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    except asyncio.CancelledError as cancelled:
        if task is None or task.cancelling() > before:
            raise
        raise error from cancelled
