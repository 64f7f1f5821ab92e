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
from collections.abc import Awaitable, Callable

import anyio

from ...drivers.kit import own_load
from ..metrics.protection import BulkheadCounts
from ..metrics.served import AsgiApp, Receive, Scope, Send
from .checked import checked_count, checked_name, checked_seconds, checked_service
from .limits import Limit, shared_by
from .load import OwnLoad
from .once import PerLoop
from .refusals import Refusal, no_place
from .stores import Store
from .waiting import WaitingRequest

__all__ = ["Bulkhead", "RateLimit", "client_address"]


class _Came(enum.Enum):
    """What came first to a request."""

    PLACE = "a place"
    NO_PLACE = "the end of its wait"
    HANG_UP = "the end of its client's"


class Bulkhead:
    """Lets so many requests at a time into `app`; the others wait, and are refused if that takes too long.

    A refused request is answered with 503, ``Retry-After``, and ``X-Doudou-Not-Processed`` with the name of the
    service: our clients then send it to another member, whatever its method. A place is held until the body of the
    answer has been sent, the application fails, or its task is cancelled; work after the answer holds none.

    Args:
        workers: places, in each process and on each of its event loops.
        longest_wait: seconds; 0: none waits.
        service: the name under which callers know this service; "" for the one that the default registry registers.
        compatible: refuse with 429, as go-doudou does.
        name: the value of the label of its metrics.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        app: AsgiApp,
        workers: int = 50,
        longest_wait: float = 0.1,
        *,
        service: str = "",
        compatible: bool = False,
        name: str = "default",
    ) -> None:
        self.app = app
        checked_count("workers", workers)
        self._longest_wait = checked_seconds("longest_wait", longest_wait, zero=True)
        self._service, self._compatible = checked_service(service), compatible
        self._counts = BulkheadCounts(checked_name("name", name), workers)
        self._load = OwnLoad(self._counts, workers)
        own_load.add_source(self._load)
        self._places = PerLoop(lambda: anyio.CapacityLimiter(workers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        places, request = self._places.get(), WaitingRequest(receive)
        came = _Came.PLACE if self._enters(places, request) else await self._wait(places, request)
        if came is _Came.NO_PLACE:
            await _refuse(no_place(self._service, self._longest_wait, self._compatible), send)
        if came is not _Came.PLACE:
            return
        held = True

        def leave() -> None:
            nonlocal held
            if held:
                held = False
                places.release_on_behalf_of(request)
                self._counts.leave()

        async def send_last(message: Scope) -> None:
            await send(message)
            leave()

        # Plain functions where there is nothing to wait for: a coroutine in between costs a microsecond.
        def sending(message: Scope) -> Awaitable[None]:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            return send_last(message) if last else send(message)

        try:
            await self.app(scope, request.receive, sending)
        finally:
            leave()

    def _enters(self, places: anyio.CapacityLimiter, request: WaitingRequest) -> bool:
        """Whether there is a place for it at once."""
        try:
            places.acquire_on_behalf_of_nowait(request)
        except anyio.WouldBlock:
            return False
        self._counts.enter(waited=False)
        return True

    async def _wait(self, places: anyio.CapacityLimiter, request: WaitingRequest) -> _Came:
        came = _Came.NO_PLACE
        self._counts.wait()
        try:
            if self._longest_wait:
                came = await self._first_to_come(places, request)
        except BaseException:
            self._counts.give_up()
            raise
        finally:
            if came is not _Came.PLACE:
                # Both may come together; and some versions of anyio leave a place with whom it came too late.
                with contextlib.suppress(RuntimeError):
                    places.release_on_behalf_of(request)
        if came is _Came.PLACE:
            self._counts.enter(waited=True)
        elif came is _Came.NO_PLACE:
            self._counts.refuse(waited=True)
        else:
            self._counts.give_up()
        return came

    async def _first_to_come(self, places: anyio.CapacityLimiter, request: WaitingRequest) -> _Came:
        came = _Came.NO_PLACE
        async with anyio.create_task_group() as tasks:

            async def hang_up() -> None:
                nonlocal came
                await request.gone()
                came = _Came.HANG_UP
                tasks.cancel_scope.cancel()

            tasks.start_soon(hang_up)
            with anyio.move_on_after(self._longest_wait):
                await places.acquire_on_behalf_of(request)
                came = _Came.PLACE
            tasks.cancel_scope.cancel()
        return came


class RateLimit:
    """Lets requests into `app` as often as `rate` says, for each key; the others get 429 with ``Retry-After``.

    Args:
        rate: such as "50/s", "1000/h", "100/5m", "10/s burst 30"; without a burst, a whole period's at once.
        store: where they are counted: `RedisStore`, or `MemoryStore` for this process alone, which is the default.
        key: of a request, from its scope; requests with one key share the rate, and those with None are not limited.
        compatible: count together with go-doudou's limiter in Redis, which has the key and nothing else for a name.
        name: limits of one name, rate and store count together; it is the value of the label of its metrics too.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        app: AsgiApp,
        rate: str,
        *,
        store: Store | None = None,
        key: Callable[[Scope], str | None] | None = None,
        compatible: bool = False,
        name: str = "default",
    ) -> None:
        self.app = app
        self._limit = Limit(rate, store, client_address if key is None else key, name, compatible)

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
