"""httpx and httpx2, as the tests call them."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

import anyio
import httpx
import httpx2
from anyio.from_thread import start_blocking_portal
from support.caller import URL, Answer, Caller, Opened, asynchronous

from pydoudou import Balancer, Member
from pydoudou.contrib import httpx as of_httpx
from pydoudou.contrib import httpx2 as of_httpx2

__all__ = ["AsyncHttpx2Caller", "AsyncHttpxCaller", "Httpx2Caller", "HttpxCaller"]


class _EitherCaller(Caller):
    """What is the same for `Client` and `AsyncClient`, of httpx and of httpx2.

    Attributes:
        library: one of the two.
        binding: our module for it.
    """

    library: ClassVar[ModuleType]
    binding: ClassVar[ModuleType]

    def __init_subclass__(cls) -> None:
        library = getattr(cls, "library", None)
        if library is not None:
            cls.connection_error, cls.broken = library.ConnectError, library.TransportError
            cls.timed_out, cls.library_error = library.TimeoutException, library.HTTPError
            cls.attempts_of = staticmethod(cls.binding.attempts_of)

    @classmethod
    def trusting(cls, certificate: Path, picker: Balancer, **options: Any) -> Self:
        made, context = cls.transport_class(), ssl.create_default_context(cafile=str(certificate))
        return cls(picker, transport=lambda: made(verify=context), **options)

    @classmethod
    def over(cls, picker: Balancer, **transport: Any) -> Self:
        """One whose connections are made with these options of the library's transport."""
        made = cls.transport_class()
        return cls(picker, transport=lambda: made(**transport))

    @classmethod
    def transport_class(cls) -> Any:
        """That of the library for this flavour of client."""
        return cls.library.AsyncHTTPTransport if cls.cancels else cls.library.HTTPTransport

    @property
    def integration(self) -> Any:
        return self.transport

    def cookies(self) -> dict[str, str]:
        return dict(self.client.cookies)

    transport: Any
    client: Any


class _SyncCaller(_EitherCaller):
    def __init__(self, picker: Balancer, *, backend: str = "asyncio", **options: Any) -> None:
        self.transport = self.binding.DiscoveryTransport(balancer={"orders": picker}, **options)
        self.client = self.library.Client(mounts={"all://orders": self.transport})

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
        return _answer(
            self.client.request(method, url, content=content, timeout=timeout, follow_redirects=follow, **more)
        )

    @contextlib.contextmanager
    def opened(self, method: str = "GET", url: str = URL, *, timeout: float | None = 5.0) -> Iterator[Opened]:
        with self.client.stream(method, url, timeout=timeout) as response:
            yield _SyncOpened(response)

    def dropped(self) -> None:
        self.client.send(self.client.build_request("GET", URL), stream=True)

    def close(self) -> None:
        self.client.close()


class _AsyncCaller(_EitherCaller):
    cancels = True
    has_backends = True
    hedges = True

    def __init__(self, picker: Balancer, *, backend: str = "asyncio", **options: Any) -> None:
        self._stack = ExitStack()
        self.portal = self._stack.enter_context(start_blocking_portal(backend))
        self.transport = self.binding.DiscoveryTransport(balancer={"orders": picker}, **options)
        self.client = self.library.AsyncClient(mounts={"all://orders": self.transport})

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
        async def request() -> Any:
            body = asynchronous(content) if isinstance(content, Iterator) else content
            return await self.client.request(
                method, url, content=body, timeout=timeout, follow_redirects=follow, **more
            )

        return _answer(self.portal.call(request))

    @contextlib.contextmanager
    def opened(self, method: str = "GET", url: str = URL, *, timeout: float | None = 5.0) -> Iterator[Opened]:
        with self.portal.wrap_async_context_manager(self.client.stream(method, url, timeout=timeout)) as response:
            yield _AsyncOpened(response, self)

    def dropped(self) -> None:
        async def send() -> None:
            await self.client.send(self.client.build_request("GET", URL), stream=True)

        self.portal.call(send)

    def cancelled(self, after: float) -> None:
        async def call() -> None:
            with anyio.move_on_after(after) as scope:
                await self.client.get(URL)
            assert scope.cancelled_caught

        self.portal.call(call)

    def together(self, count: int) -> list[Answer]:
        async def all_of_them() -> list[Any]:
            responses: list[Any] = []

            async def call() -> None:
                responses.append(await self.client.get(URL))

            async with anyio.create_task_group() as tasks:
                for _ in range(count):
                    tasks.start_soon(call)
            return responses

        return [_answer(response) for response in self.portal.call(all_of_them)]

    def close(self) -> None:
        self.portal.call(self.client.aclose)
        self._stack.close()


class HttpxCaller(_SyncCaller):
    """httpx"""

    library, binding = httpx, of_httpx


class AsyncHttpxCaller(_AsyncCaller):
    """httpx-async"""

    library, binding = httpx, of_httpx


class Httpx2Caller(_SyncCaller):
    """httpx2"""

    library, binding = httpx2, of_httpx2


class AsyncHttpx2Caller(_AsyncCaller):
    """httpx2-async"""

    library, binding = httpx2, of_httpx2


class _SyncOpened:
    def __init__(self, response: Any) -> None:
        self._response = response
        self.status: int = response.status_code
        self.member: Member = response.extensions["member"]

    def pieces(self, size: int) -> Iterator[bytes]:
        return self._response.iter_bytes(size)

    def read(self) -> bytes:
        return self._response.read()


class _AsyncOpened:
    def __init__(self, response: Any, caller: _AsyncCaller) -> None:
        self._response, self._portal = response, caller.portal
        self.status: int = response.status_code
        self.member: Member = response.extensions["member"]

    def pieces(self, size: int) -> Iterator[bytes]:
        pieces = self._response.aiter_bytes(size)
        while (piece := self._portal.call(anext, pieces, None)) is not None:
            yield piece

    def read(self) -> bytes:
        return self._portal.call(self._response.aread)


def _answer(response: Any) -> Answer:
    member = response.extensions["member"]
    return Answer(response.status_code, response.headers, response.content, str(response.url), member, response)
