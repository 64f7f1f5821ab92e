"""aiohttp, as the tests call it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
from anyio.from_thread import start_blocking_portal
from support.caller import URL, Answer, Caller, Opened, asynchronous

from pydoudou import Balancer, Member
from pydoudou.contrib import aiohttp as integration

__all__ = ["AiohttpCaller"]


class AiohttpCaller(Caller):
    """aiohttp"""

    connection_error = aiohttp.ClientConnectorError
    broken = aiohttp.ClientConnectionError
    timed_out = aiohttp.ServerTimeoutError
    library_error = aiohttp.ClientError
    cancels = True
    hedges = True
    knows_lb = False
    errors_name_requests = False
    reads_ahead = True
    attempts_of = staticmethod(integration.attempts_of)

    def __init__(self, picker: Balancer, *, backend: str = "asyncio", **options: Any) -> None:
        self._stack = ExitStack()
        self.portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        self.middleware = integration.discovery_middleware(balancer={"orders": picker}, **options)
        self.ssl: ssl.SSLContext | bool = True
        self.session = self.portal.call(self._open)

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(middlewares=(self.middleware,), trust_env=True)

    @classmethod
    def trusting(cls, certificate: Path, picker: Balancer, **options: Any) -> Self:
        made = cls(picker, **options)
        made.ssl = ssl.create_default_context(cafile=str(certificate))
        return made

    @property
    def integration(self) -> Any:
        return self.middleware

    def request(self, method: str, url: str, timeout: float | None, **more: Any) -> Any:
        """What the session makes of it; the timeout holds for each phase, as in other libraries."""
        times = aiohttp.ClientTimeout(total=None, connect=timeout, sock_read=timeout)
        return self.session.request(method, url, timeout=times, ssl=self.ssl, **more)

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
            body = asynchronous(content) if isinstance(content, Iterator) else content
            async with self.request(method, url, timeout, data=body, allow_redirects=follow, **more) as response:
                return await _answer(response)

        return self.portal.call(request)

    @contextlib.contextmanager
    def opened(self, method: str = "GET", url: str = URL, *, timeout: float | None = 5.0) -> Iterator[Opened]:
        async def request() -> Any:
            return self.request(method, url, timeout)

        with self.portal.wrap_async_context_manager(self.portal.call(request)) as response:
            yield _Opened(response, self)

    def dropped(self) -> None:
        async def request() -> None:
            await self.request("GET", URL, 5.0)

        self.portal.call(request)

    def cancelled(self, after: float) -> None:
        async def call() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(after):
                    await self.session.get(URL)
                raise AssertionError("it was not cancelled")

        self.portal.call(call)

    def together(self, count: int) -> list[Answer]:
        async def one() -> Answer:
            async with self.request("GET", URL, 5.0) as response:
                return await _answer(response)

        async def all_of_them() -> list[Answer]:
            return await asyncio.gather(*(one() for _ in range(count)))

        return self.portal.call(all_of_them)

    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self.session.cookie_jar}

    def close(self) -> None:
        self.portal.call(self.session.close)
        self._stack.close()


class _Opened:
    def __init__(self, response: aiohttp.ClientResponse, caller: AiohttpCaller) -> None:
        self._response, self._portal = response, caller.portal
        self.status: int = response.status
        self.member: Member = integration.member_of(response)

    def pieces(self, size: int) -> Iterator[bytes]:
        while piece := self._portal.call(self._response.content.read, size):
            yield piece

    def read(self) -> bytes:
        return self._portal.call(self._response.read)


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    content = await response.read()
    parsed = await response.json() if response.content_type == "application/json" else None
    asked = SimpleNamespace(url=str(response.request_info.url))
    member, attempts = integration.member_of(response), integration.attempts_of(response)
    shown = SimpleNamespace(json=lambda: parsed, request=asked, attempts=attempts)
    return Answer(response.status, response.headers, content, str(response.url), member, shown)
