"""requests, as the tests call it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import requests
from support.caller import URL, Answer, Caller, Opened

from pydoudou import Balancer, Member
from pydoudou.contrib import requests as integration

__all__ = ["RequestsCaller"]


class RequestsCaller(Caller):
    """requests"""

    connection_error = requests.ConnectionError
    broken = requests.ConnectionError
    timed_out = requests.Timeout
    library_error = requests.RequestException
    attempts_of = staticmethod(integration.attempts_of)

    def __init__(self, picker: Balancer, *, backend: str = "asyncio", **options: Any) -> None:
        self.session = requests.Session()
        self.adapter = integration.mount(self.session, "orders", picker, **options)

    @classmethod
    def trusting(cls, certificate: Path, picker: Balancer, **options: Any) -> Self:
        made = cls(picker, **options)
        made.session.verify = str(certificate)
        # With it, REQUESTS_CA_BUNDLE would win over what was just said.
        made.session.trust_env = False
        return made

    @property
    def integration(self) -> Any:
        return self.adapter

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
        member = integration.member_of(response)
        return Answer(response.status_code, response.headers, response.content, response.url, member, response)

    @contextlib.contextmanager
    def opened(self, method: str = "GET", url: str = URL, *, timeout: float | None = 5.0) -> Iterator[Opened]:
        with self.session.request(method, url, timeout=timeout, stream=True) as response:
            yield _Opened(response)

    def dropped(self) -> None:
        self.session.get(URL, stream=True)

    def cookies(self) -> dict[str, str]:
        return self.session.cookies.get_dict()

    def close(self) -> None:
        self.session.close()


class _Opened:
    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status: int = response.status_code
        self.member: Member = integration.member_of(response)

    def pieces(self, size: int) -> Iterator[bytes]:
        return self._response.iter_content(size)

    def read(self) -> bytes:
        return self._response.content
