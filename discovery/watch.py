"""A stream of member events, for `for` and for `async for`, in asyncio, in trio and in plain threads.

Events are put in by whatever thread a driver reports from; that thread never waits. A watcher that is slow, or not
reading at all, must not make memory grow without end, nor lose what matters: beyond `kept` events, those about the
same member are folded into one with the same outcome (`coalesced`). So a reader may miss that a member went and came
back in the meantime, but whoever applies the events one by one always arrives at the view as it is, and there are never
more events waiting than twice the larger of `kept` and the number of members.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType

from ..drivers.kit.service_names import plain_name
from .merging.events import MemberEvent, coalesced
from .running_loop import from_any_thread

__all__ = ["Watch"]


class Watch:
    """The changes of one service, or of all, from now on. Ends when it is closed or when the registry stops.

    ::

        with registry.watch("orders") as events:
            for event in events:
                print(event.kind.value, event.member.address)

    In an asynchronous program it is ``async for``, and ``async with``. An event goes to one reader, whoever reads.
    """

    def __init__(self, service: str | None, forget: Callable[[Watch], None], *, kept: int = 1024) -> None:
        self._service = service
        self._names = None if service is None else {service, plain_name(service)}
        self._forget = forget
        self._changed = threading.Condition()
        self._events: deque[MemberEvent] = deque()
        self._kept = self._fold_above = kept
        self._ended = False
        self._error: Exception | None = None
        self._wakers: set[Callable[[], None]] = set()

    def __repr__(self) -> str:
        what = "all services" if self._service is None else repr(self._service)
        return f"<Watch of {what}{', ended' if self._ended else ''}>"

    # -- for the registry ----------------------------------------------------------------------------------------------

    def publish(self, events: Iterable[MemberEvent]) -> None:
        """Queue those of `events` that are asked for."""
        wanted = [event for event in events if self._names is None or event.member.service in self._names]
        if not wanted:
            return
        with self._changed:
            if self._ended:
                return
            self._events.extend(wanted)
            if len(self._events) > self._fold_above:
                self._events = deque(coalesced(self._events))
                self._fold_above = max(self._kept, 2 * len(self._events))
            self._wake()

    def end(self) -> None:
        """Let readers take what is queued, and then no more."""
        with self._changed:
            self._ended = True
            self._wake()

    def abandon(self, error: Exception) -> None:
        """In a forked child: drop the locks and readers of threads that are gone, and raise `error` to any other."""
        self._changed, self._wakers = threading.Condition(), set()
        self._events.clear()
        self._ended, self._error = True, error

    def _wake(self) -> None:
        self._changed.notify_all()
        wakers, self._wakers = self._wakers, set()
        for wake in wakers:
            wake()

    # -- for the reader ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the stream at once, for all its readers. Safe to call twice, and from any thread."""
        self._forget(self)
        with self._changed:
            self._events.clear()
        self.end()

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> MemberEvent:
        with self._changed:
            while not self._events:
                if self._ended:
                    raise self._error or StopIteration
                self._changed.wait()
            return self._events.popleft()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> MemberEvent:
        import anyio
        from anyio.lowlevel import checkpoint

        await checkpoint()
        while True:
            with self._changed:
                if self._events:
                    return self._events.popleft()
                if self._ended:
                    raise self._error or StopAsyncIteration
                arrived = anyio.Event()
                wake = from_any_thread(arrived.set)
                self._wakers.add(wake)
            try:
                await arrived.wait()
            finally:
                with self._changed:
                    self._wakers.discard(wake)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
