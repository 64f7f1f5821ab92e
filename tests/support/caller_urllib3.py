"""urllib3, as the tests call it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import urlencode, urljoin

import urllib3
from support.caller import URL, Answer, Caller, Opened

from pydoudou import Balancer, Member
from pydoudou.contrib import urllib3 as integration

__all__ = ["Urllib3Caller"]


class Urllib3Caller(Caller):
    """urllib3"""

    connection_error = urllib3.exceptions.HTTPError
    broken = urllib3.exceptions.ProtocolError
    timed_out = urllib3.exceptions.TimeoutError
    library_error = urllib3.exceptions.HTTPError
    errors_name_requests = False
    keeps_cookies = False
    attempts_of = staticmethod(integration.attempts_of)

    def __init__(self, picker: Balancer, *, backend: str = "asyncio", **options: Any) -> None:
        self.pool = integration.DiscoveryPoolManager(balancer={"orders": picker}, **options)

    @classmethod
    def trusting(cls, certificate: Path, picker: Balancer, **options: Any) -> Self:
        return cls(picker, ca_certs=str(certificate), **options)

    @property
    def integration(self) -> Any:
        return self.pool

    def call(
        self,
        method: str = "GET",
        url: str = URL,
        *,
        content: Any = None,
        timeout: float | None = 5.0,
        follow: bool = False,
        params: Any = None,
        **more: Any,
    ) -> Answer:
        asked = f"{url}?{urlencode(params)}" if params else url
        response = self.pool.request(method, asked, body=content, timeout=timeout, redirect=follow, **more)
        last = urljoin(asked, response.geturl())
        request = SimpleNamespace(url=last)
        shown = SimpleNamespace(json=response.json, request=request, attempts=response.attempts)  # type: ignore[attr-defined]
        return Answer(response.status, response.headers, response.data, last, integration.member_of(response), shown)

    @contextlib.contextmanager
    def opened(self, method: str = "GET", url: str = URL, *, timeout: float | None = 5.0) -> Iterator[Opened]:
        response = self.pool.request(method, url, timeout=timeout, preload_content=False)
        try:
            yield _Opened(response)
        finally:
            response.close()

    def dropped(self) -> None:
        self.pool.request("GET", URL, preload_content=False)

    def close(self) -> None:
        self.pool.clear()


class _Opened:
    def __init__(self, response: Any) -> None:
        self._response = response
        self.status: int = response.status
        self.member: Member = integration.member_of(response)

    def pieces(self, size: int) -> Iterator[bytes]:
        return self._response.stream(size)

    def read(self) -> bytes:
        return self._response.read()
