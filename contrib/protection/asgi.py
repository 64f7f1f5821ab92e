"""Places and rates for ASGI applications, on any event loop: FastAPI, Starlette, Django's, or any other.

::

    from pydoudou.contrib.protection.asgi import Bulkhead, RateLimit

    app = FastAPI()
    app.add_middleware(RateLimit, rate="50/s")
    app.add_middleware(Bulkhead, workers=50, longest_wait=0.1)

WebSockets and the server's lifespan pass through. What is added last is asked first.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Awaitable

import anyio

from ..metrics.served import AsgiApp, Receive, Scope, Send
from .guards import BulkheadBase, RateLimitBase
from .limits import shared_by
from .once import PerLoop
from .refusals import Refusal
from .waiting import WaitingRequest

__all__ = ["Bulkhead", "RateLimit", "client_address"]


class _Came(enum.Enum):
    """What came first to a request."""

    PLACE = "a place"
    NO_PLACE = "the end of its wait"
    HANG_UP = "the end of its client's"


class Bulkhead(BulkheadBase[AsgiApp, PerLoop[anyio.CapacityLimiter]]):
    """Lets so many requests at a time into `app`; the others wait, and are refused if that takes too long.

    A refused request is answered with 503, ``Retry-After``, and ``X-Doudou-Not-Processed`` with the name of the
    service: our clients then send it to another member, whatever its method. A place is held until the body of the
    answer has been sent, the application fails, or its task is cancelled; work after the answer holds none.
    """

    @staticmethod
    def _make_places(workers: int) -> PerLoop[anyio.CapacityLimiter]:
        return PerLoop(lambda: anyio.CapacityLimiter(workers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        places, holder = self._places.get(), object()
        if not self._enters(places, holder):
            request = WaitingRequest(receive)
            came = await self._wait(places, holder, request)
            if came is _Came.NO_PLACE:
                await _refuse(self._refusal(), send)
            if came is not _Came.PLACE:
                return
            receive = request.receive
        held = True

        def leave() -> None:
            nonlocal held
            if held:
                held = False
                places.release_on_behalf_of(holder)
                self._counts.leave()

        async def send_last(message: Scope) -> None:
            await send(message)
            leave()

        # Plain functions where there is nothing to wait for: a coroutine in between costs a microsecond.
        def sending(message: Scope) -> Awaitable[None]:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            return send_last(message) if last else send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            leave()

    def _enters(self, places: anyio.CapacityLimiter, holder: object) -> bool:
        """Whether there is a place for it at once."""
        try:
            places.acquire_on_behalf_of_nowait(holder)
        except anyio.WouldBlock:
            return False
        self._counts.enter(waited=False)
        return True

    async def _wait(self, places: anyio.CapacityLimiter, holder: object, request: WaitingRequest) -> _Came:
        came = _Came.NO_PLACE
        self._counts.wait()
        try:
            if self._longest_wait:
                came = await self._first_to_come(places, holder, request)
        except BaseException:
            self._counts.give_up()
            raise
        finally:
            if came is not _Came.PLACE:
                # Both may come together; and some versions of anyio leave a place with whom it came too late.
                with contextlib.suppress(RuntimeError):
                    places.release_on_behalf_of(holder)
        if came is _Came.PLACE:
            self._counts.enter(waited=True)
        elif came is _Came.NO_PLACE:
            self._counts.refuse(waited=True)
        else:
            self._counts.give_up()
        return came

    async def _first_to_come(self, places: anyio.CapacityLimiter, holder: object, request: WaitingRequest) -> _Came:
        came = _Came.NO_PLACE
        async with anyio.create_task_group() as tasks:

            async def hang_up() -> None:
                nonlocal came
                await request.gone()
                came = _Came.HANG_UP
                tasks.cancel_scope.cancel()

            tasks.start_soon(hang_up)
            with anyio.move_on_after(self._longest_wait):
                await places.acquire_on_behalf_of(holder)
                came = _Came.PLACE
            tasks.cancel_scope.cancel()
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
