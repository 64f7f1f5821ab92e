"""One way to call for all HTTP clients, so that one test says what holds for each of them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from types import SimpleNamespace, TracebackType
from typing import Any

import aiohttp
import attrs
import httpx
import requests
from anyio.from_thread import start_blocking_portal

from pydoudou import Balancer, Member
from pydoudou.contrib.aiohttp import discovery_middleware, member_of
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount

__all__ = ["CALLERS", "AiohttpCaller", "Answer", "AsyncHttpxCaller", "Caller", "HttpxCaller", "RequestsCaller"]

URL = "http://orders/items"


@attrs.frozen
class Answer:
    """What came back, in words that the clients share."""

    status: int
    headers: Any
    content: bytes
    url: str
    member: Member
    response: Any

    def json(self) -> Any:
        return self.response.json()


class RequestsCaller:
    """requests"""

    connection_error: type[Exception] = requests.ConnectionError
    broken: type[Exception] = requests.ConnectionError
    timed_out: type[Exception] = requests.Timeout
    library_error: type[Exception] = requests.RequestException
    knows_lb = True

    def __init__(self, picker: Balancer, **options: Any) -> None:
        self.session = requests.Session()
        self.adapter = mount(self.session, "orders", picker, **options)

    def call(
        self,
        method: str = "GET",
        url: str = URL,
        *,
        content: Any = None,
        timeout: float | None = 5.0,
        follow: bool = False,
        **more: Any,
    ) -> Answer:
        response = self.session.request(method, url, data=content, timeout=timeout, allow_redirects=follow, **more)
        member = response.member  # type: ignore[attr-defined]
        return Answer(response.status_code, response.headers, response.content, response.url, member, response)

    def cookies(self) -> dict[str, str]:
        return self.session.cookies.get_dict()

    def __enter__(self) -> RequestsCaller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()


class HttpxCaller:
    """httpx"""

    connection_error: type[Exception] = httpx.ConnectError
    broken: type[Exception] = httpx.TransportError
    timed_out: type[Exception] = httpx.TimeoutException
    library_error: type[Exception] = httpx.HTTPError
    knows_lb = True

    def __init__(self, picker: Balancer, **options: Any) -> None:
        self.transport = DiscoveryTransport(balancer={"orders": picker}, **options)
        self.client = httpx.Client(mounts={"all://orders": self.transport})

    def call(
        self,
        method: str = "GET",
        url: str = URL,
        *,
        content: Any = None,
        timeout: float | None = 5.0,
        follow: bool = False,
        **more: Any,
    ) -> Answer:
        response = self.client.request(method, url, content=content, timeout=timeout, follow_redirects=follow, **more)
        return _answer(response)

    def cookies(self) -> dict[str, str]:
        return dict(self.client.cookies)

    def __enter__(self) -> HttpxCaller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()


class AsyncHttpxCaller:
    """httpx-async"""

    connection_error: type[Exception] = httpx.ConnectError
    broken: type[Exception] = httpx.TransportError
    timed_out: type[Exception] = httpx.TimeoutException
    library_error: type[Exception] = httpx.HTTPError
    knows_lb = True

    def __init__(self, picker: Balancer, *, backend: str = "asyncio", **options: Any) -> None:
        self._stack = ExitStack()
        self.portal = self._stack.enter_context(start_blocking_portal(backend))
        self.transport = DiscoveryTransport(balancer={"orders": picker}, **options)
        self.client = httpx.AsyncClient(mounts={"all://orders": self.transport})

    def call(
        self,
        method: str = "GET",
        url: str = URL,
        *,
        content: Any = None,
        timeout: float | None = 5.0,
        follow: bool = False,
        **more: Any,
    ) -> Answer:
        async def request() -> httpx.Response:
            body = _asynchronous(content) if isinstance(content, Iterator) else content
            return await self.client.request(
                method, url, content=body, timeout=timeout, follow_redirects=follow, **more
            )

        return _answer(self.portal.call(request))

    def cookies(self) -> dict[str, str]:
        return dict(self.client.cookies)

    def __enter__(self) -> AsyncHttpxCaller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.portal.call(self.client.aclose)
        self._stack.close()


class AiohttpCaller:
    """aiohttp"""

    connection_error: type[Exception] = aiohttp.ClientConnectorError
    broken: type[Exception] = aiohttp.ClientConnectionError
    timed_out: type[Exception] = aiohttp.ServerTimeoutError
    library_error: type[Exception] = aiohttp.ClientError
    knows_lb = False

    def __init__(self, picker: Balancer, **options: Any) -> None:
        self._stack = ExitStack()
        self.portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        self.middleware = discovery_middleware(balancer={"orders": picker}, **options)
        self.ssl: ssl.SSLContext | bool = True
        self.session = self.portal.call(self._open)

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(middlewares=(self.middleware,), trust_env=True)

    def call(
        self,
        method: str = "GET",
        url: str = URL,
        *,
        content: Any = None,
        timeout: float | None = 5.0,
        follow: bool = False,
        **more: Any,
    ) -> Answer:
        async def request() -> Answer:
            body = _asynchronous(content) if isinstance(content, Iterator) else content
            times = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
            async with self.session.request(
                method, url, data=body, timeout=times, allow_redirects=follow, ssl=self.ssl, **more
            ) as response:
                content_read = await response.read()
                parsed = await response.json() if response.content_type == "application/json" else None
            asked = SimpleNamespace(url=str(response.request_info.url))
            shown = SimpleNamespace(json=lambda: parsed, request=asked, aiohttp=response)
            member = member_of(response)
            return Answer(response.status, response.headers, content_read, str(response.url), member, shown)

        return self.portal.call(request)

    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self.session.cookie_jar}

    def __enter__(self) -> AiohttpCaller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.portal.call(self.session.close)
        self._stack.close()


Caller = RequestsCaller | HttpxCaller | AsyncHttpxCaller | AiohttpCaller
CALLERS: tuple[type[Caller], ...] = (RequestsCaller, HttpxCaller, AsyncHttpxCaller, AiohttpCaller)


def _answer(response: httpx.Response) -> Answer:
    member = response.extensions["member"]
    return Answer(response.status_code, response.headers, response.content, str(response.url), member, response)


async def _asynchronous(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
