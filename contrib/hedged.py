"""Two attempts of one call at once, for clients that can wait for both: the first that is answered is the answer.

When a second attempt is worth it is decided in `balancers.calls.hedging`. Here are only the two tasks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Generic, TypeVar

import anyio
import attrs

from ..balancers.calls.call import Call
from ..balancers.calls.service import CalledService
from ..balancers.memory.pick import Pick

__all__ = ["Ended", "sent_with_a_hedge"]

R = TypeVar("R")


@attrs.frozen
class Ended(Generic[R]):
    """How the attempt ended that the call stays with.

    Attributes:
        error: what it ended with; None if it was answered.
    """

    attempt: Pick
    response: R | None = None
    error: Exception | None = None


async def sent_with_a_hedge(
    service: CalledService[Any],
    call: Call,
    first: Pick,
    after: float,
    send: Callable[[Pick], Awaitable[R]],
    discard: Callable[[R], Awaitable[None]],
) -> Ended[R]:
    """Send `first`, and after so many seconds a second attempt beside it, if there is one.

    Args:
        send: makes an attempt; it is cancelled if the other one is answered first.
        discard: closes an answer that came in the same moment as the other one.
    """
    begun, ended = [first], list[Ended[R]]()
    changed = anyio.Event()

    async def run(attempt: Pick) -> None:
        nonlocal changed
        try:
            ended.append(Ended(attempt, await send(attempt)))
        except Exception as error:
            ended.append(Ended(attempt, None, error))
        changed.set()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, first)
            with anyio.move_on_after(max(after, 0.0)):
                await changed.wait()
            if not ended and (second := service.hedge(call, monotonic())) is not None:
                begun.append(second)
                tasks.start_soon(run, second)
            while not any(one.error is None for one in ended) and len(ended) < len(begun):
                changed = anyio.Event()
                await changed.wait()
            tasks.cancel_scope.cancel()
    except BaseException:  # the caller gave up: what was answered meanwhile nobody reads
        for attempt in begun[1:]:
            service.lost(call, attempt, None, monotonic())
        with anyio.CancelScope(shield=True):
            for one in ended:
                if one.response is not None:
                    await discard(one.response)
        raise
    # The one that was answered; if none was, the one that failed last, which the call goes on after.
    kept = next((one for one in ended if one.error is None), ended[-1])
    for attempt in begun:
        if attempt is not kept.attempt:
            other = next((one for one in ended if one.attempt is attempt), Ended[R](attempt))
            service.lost(call, attempt, other.error, monotonic())
            if other.response is not None:
                await discard(other.response)
    return kept
