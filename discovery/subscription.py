"""A subscription: what somebody holds who wants to know the members of a service.

Waiting for the first answer has two colours: `wait` blocks a thread, `wait_async` a task of asyncio or trio. Those who
only want to give the backends a moment, once, call `first_answer` or `first_answer_async`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from .merging.snapshot import Snapshot
from .running_loop import from_any_thread, in_event_loop

if TYPE_CHECKING:
    from .subscriptions import Subscriptions, Wanted

__all__ = ["Subscription", "give_it_a_moment"]


class Subscription:
    """Keeps the backends reporting a service, until it is closed; `Registry.subscribe` makes one.

    ::

        with registry.subscribe("orders") as orders:
            orders.wait(5)
            print(orders.snapshot().members)

    It outlives stops and starts of its registry. One that nobody refers to any more counts as closed.
    """

    def __init__(
        self,
        service: str,
        subscriptions: Subscriptions,
        snapshot: Callable[[str], Snapshot],
        first_answer_timeout: float,
    ) -> None:
        self.service = service
        self._subscriptions = subscriptions
        self._snapshot = snapshot
        self._first_answer_timeout = first_answer_timeout
        self._wanted: Wanted | None = subscriptions.hold(service)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "answered" if self.answered else "not answered yet"
        return f"<Subscription of {self.service!r}: {state}>"

    def snapshot(self) -> Snapshot:
        """The members now; see `Registry.snapshot`."""
        return self._snapshot(self.service)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._wanted is None

    @property
    def answered(self) -> bool:
        """Whether a member is known, or every backend that has to be asked has told what it knows."""
        wanted = self._wanted
        return (wanted is not None and wanted.answered) or bool(self.snapshot().members)

    def wait(self, timeout: float) -> bool:
        """Block this thread until `answered`, for at most `timeout` seconds; whether it is.

        Not to be called where an event loop runs: there it is `wait_async`.
        """
        wanted = self._wanted
        if self.answered or wanted is None:
            return self.answered
        _block(self._subscriptions, wanted, timeout)
        return self.answered

    async def wait_async(self, timeout: float) -> bool:  # noqa: ASYNC109 (the twin of `wait`)
        """The same for a task of asyncio or trio."""
        import anyio

        wanted = self._wanted
        if self.answered or wanted is None:
            return self.answered
        arrived = anyio.Event()
        wake = from_any_thread(arrived.set)
        if self._subscriptions.add_waker(wanted, wake):
            try:
                with anyio.move_on_after(timeout):
                    await arrived.wait()
            finally:
                self._subscriptions.remove_waker(wanted, wake)
        return self.answered

    def first_answer(self) -> bool:
        """Wait for the first answer: half a second at most for each service, whoever waits and how often; and never in
        a thread that runs an event loop. Whether it is there.
        """
        if not self.answered and (wanted := self._wanted) is not None:
            give_it_a_moment(self._subscriptions, wanted, self._first_answer_timeout)
        return self.answered

    async def first_answer_async(self) -> bool:
        """The same for a task of asyncio or trio, which does wait."""
        if not self.answered and (wanted := self._wanted) is not None:
            left = _left(self._subscriptions, wanted, self._first_answer_timeout)
            if left > 0:
                await self.wait_async(left)
        return self.answered

    def close(self) -> None:
        """Want the service no more. Safe to call twice, and from any thread."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self._subscriptions.release(wanted)

    def __del__(self) -> None:
        wanted = getattr(self, "_wanted", None)
        if wanted is not None:
            self._subscriptions.abandon(wanted)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def give_it_a_moment(subscriptions: Subscriptions, wanted: Wanted, timeout: float) -> None:
    """Wait for the first answer about a service, at most `timeout` seconds in all; not where an event loop runs."""
    if not in_event_loop():
        left = _left(subscriptions, wanted, timeout)
        if left > 0:
            _block(subscriptions, wanted, left)


def _left(subscriptions: Subscriptions, wanted: Wanted, timeout: float) -> float:
    """The seconds that are left for the first answer, from when somebody waited first."""
    if wanted.answered or not subscriptions.running:
        return 0.0
    now = time.monotonic()
    if wanted.first_until is None:
        wanted.first_until = now + timeout
    return wanted.first_until - now


def _block(subscriptions: Subscriptions, wanted: Wanted, timeout: float) -> None:
    # A bare lock, which nobody but this thread acquires: a signal handler that interrupts the wait may wake it.
    arrived = threading.Lock()
    arrived.acquire()
    wake = arrived.release
    if subscriptions.add_waker(wanted, wake):
        try:
            arrived.acquire(timeout=min(max(0.0, timeout), threading.TIMEOUT_MAX))
        finally:
            subscriptions.remove_waker(wanted, wake)
