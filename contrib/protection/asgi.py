"""Places and rates for ASGI applications, on any event loop: FastAPI, Starlette, Django's, or any other.

::

    from pydoudou.contrib.protection.asgi import Bulkhead, RateLimit

    app = FastAPI()
    app.add_middleware(RateLimit, rate="50/s")
    app.add_middleware(Bulkhead, workers=50, longest_wait=0.1)

WebSockets and the server's lifespan pass through. What is added last is asked first.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable

import anyio

from ..asgi_answers import Answer, AnsweringLayer, AsgiApp, Receive, Send
from ..asgi_answers import Message as Scope
from .guards import BulkheadBase, RateLimitBase
from .limits import shared_by
from .once import PerLoop
from .places import LoopPlaces
from .refusals import Refusal
from .waiting import WaitingRequest

__all__ = ["Bulkhead", "RateLimit", "client_address"]


class _Came(enum.Enum):
    """What came first to a request."""

    PLACE = "a place"
    NO_PLACE = "the end of its wait"
    HANG_UP = "the end of its client's"


class Bulkhead(AnsweringLayer, BulkheadBase[AsgiApp, PerLoop[LoopPlaces]]):
    """Lets so many requests at a time into `app`; the others wait, and are refused if that takes too long.

    A refused request is answered with 503, ``Retry-After``, and ``X-Doudou-Not-Processed`` with the name of the
    service: our clients then send it to another member, whatever its method. A place is held until the last part of the
    answer is handed to the server, the application fails, or its task is cancelled; work after the answer holds none.
    """

    def _make_places(self, workers: int) -> PerLoop[LoopPlaces]:
        counts = self._counts

        def make() -> LoopPlaces:
            places = LoopPlaces(workers)
            counts.begin(places)
            return places

        return PerLoop(make, counts.end)

    def inside(self, scope: Scope, receive: Receive, answer: Answer) -> Awaitable[None]:
        """For a layer of ours directly around this one; see `AnsweringLayer`."""
        places = self._places.get()
        if not places.take():
            return self._in_turn(places, scope, receive, answer)
        answer.places = places
        return self.app(scope, receive, answer.send)

    async def _in_turn(self, places: LoopPlaces, scope: Scope, receive: Receive, answer: Answer) -> None:
        request = WaitingRequest(receive)
        came = await self._wait(places, request)
        if came is _Came.PLACE:
            answer.places = places
            await self.app(scope, request.receive, answer.send)
        elif came is _Came.NO_PLACE:
            await _refuse(self._refusal(), answer.send)

    async def _wait(self, places: LoopPlaces, request: WaitingRequest) -> _Came:
        came = _Came.NO_PLACE
        self._counts.wait()
        try:
            if self._longest_wait:
                came = await self._first_to_come(places, request)
        except BaseException:
            self._counts.wait_no_more()
            raise
        if came is _Came.NO_PLACE:
            self._counts.refuse(waited=True)
        else:
            self._counts.wait_no_more()
        if came is _Came.PLACE:
            places.enter()
        return came

    async def _first_to_come(self, places: LoopPlaces, request: WaitingRequest) -> _Came:
        came, has_place = _Came.NO_PLACE, False
        try:
            async with anyio.create_task_group() as tasks:

                async def hang_up() -> None:
                    nonlocal came
                    await request.gone()
                    came = _Came.HANG_UP
                    tasks.cancel_scope.cancel()

                tasks.start_soon(hang_up)
                with anyio.move_on_after(self._longest_wait):
                    await places.take_in_turn()
                    has_place = True
                tasks.cancel_scope.cancel()
            if has_place and came is _Came.NO_PLACE:
                came = _Came.PLACE
        finally:
            if has_place and came is not _Came.PLACE:  # it came together with another end of the wait
                places.give_back()
        return came


class RateLimit(RateLimitBase[AsgiApp, Scope]):
    """Lets requests into `app` as often as `rate` says, for each key; the others get 429 with ``Retry-After``.

    The key of a request is made from its scope.
    """

    @staticmethod
    def _client_address(request: Scope) -> str:
        return client_address(request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            refusal = await self._limit.refusal_async(scope)
            if refusal is not None:
                await _refuse(refusal, send)
                return
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._limit.close_async()


def client_address(scope: Scope) -> str:
    """The address that a request came from; with IPv6, the network of 64 bits that a client has for itself."""
    client = scope.get("client")
    return shared_by(client[0]) if client else ""


async def _refuse(refusal: Refusal, send: Send) -> None:
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})
