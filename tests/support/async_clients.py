"""The asynchronous clients as something that many tasks call at once, in an event loop of the test's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import httpx

from pydoudou import Balancer, CallPolicy
from pydoudou.contrib.aiohttp import DiscoveryResponse, discovery_middleware
from pydoudou.contrib.httpx import DiscoveryTransport

__all__ = ["AsyncGet", "async_client"]

URL = "http://orders/items"

AsyncGet = Callable[[], Awaitable[object]]


@contextlib.asynccontextmanager
async def async_client(library: str, balancer: Balancer, policy: CallPolicy) -> AsyncIterator[AsyncGet]:
    """A GET of the service ``orders`` through ``httpx`` or ``aiohttp``, whose body is read."""
    if library == "httpx":
        transport = DiscoveryTransport(balancer={"orders": balancer}, policy=policy)
        async with httpx.AsyncClient(transport=transport) as client:
            yield lambda: client.get(URL)
    else:
        middleware = discovery_middleware(balancer={"orders": balancer}, policy=policy)
        async with aiohttp.ClientSession(middlewares=(middleware,), response_class=DiscoveryResponse) as session:

            async def get() -> None:
                async with session.get(URL) as answer:
                    await answer.read()

            yield get
