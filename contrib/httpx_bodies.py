"""The bodies of answers that come through httpx or httpx2, which tell the attempt when they end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from time import monotonic
from typing import Any

from ..balancers.memory.pick import Pick

__all__ = ["AsyncBody", "SyncBody"]


class _Body:
    """The body of an answer, which tells the attempt when it ends, and then keeps nothing of it.

    httpx ties a response and its body into a knot that only the garbage collector undoes.
    """

    def __init__(self, stream: Any, attempt: Pick) -> None:
        self._stream, self._attempt = stream, attempt

    def _ended(self, complete: bool) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.ended(monotonic(), complete)

    _attempt: Pick | None


class SyncBody(_Body):
    """For a library's `Client`; `Library` makes it one of the library's streams."""

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except BaseException:
            self._ended(False)
            raise
        self._ended(True)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            if self._attempt is not None:
                self._ended(False)


class AsyncBody(_Body):
    """For a library's `AsyncClient`."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        # An asynchronous generator would be shorter; the event loop keeps a record of each one, which costs more than
        # all the rest of this class.
        self._parts = self._stream.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._parts.__anext__()  # type: ignore[no-any-return]
        except BaseException as error:
            self._ended(isinstance(error, StopAsyncIteration))
            raise

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            if self._attempt is not None:
                self._ended(False)
