"""What a client is to the tests that hold for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import attrs

from pydoudou import Balancer, Member
from pydoudou.balancers.calls.trail import Attempt

__all__ = ["URL", "Answer", "Caller", "Opened", "asynchronous"]

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


class Opened(Protocol):
    """An answer whose body is still to be read. Leaving the block that opened it closes it."""

    status: int
    member: Member

    def pieces(self, size: int) -> Iterator[bytes]:
        """The body, so many bytes at a time, as it arrives."""

    def read(self) -> bytes:
        """All that is left of the body."""


class Caller:
    """A client that calls the service ``orders``. `with` closes it.

    Args:
        picker: the balancer of the service.
        backend: the event loop, for a client that has one.
        options: of the integration, ``attempts=``, ``deadline=`` and ``policy=`` among them.

    Attributes:
        connection_error: what is raised when there is no connection, or nobody to connect to.
        broken, timed_out: what is raised when a connection breaks, and when an answer does not come in time.
        library_error: what all exceptions of the library are.
        cancels: whether a call can be cancelled while it waits.
        has_backends: whether it runs on asyncio and on trio.
        hedges: whether it can make two attempts beside each other.
        knows_lb: whether it takes URLs with the scheme ``lb``.
        errors_name_requests: whether its exceptions have the request.
        keeps_cookies: whether it keeps cookies, and sends the credentials in a URL.
        reads_ahead: whether a short body has ended when it arrived, although nobody read it.
    """

    connection_error: ClassVar[type[Exception]]
    broken: ClassVar[type[Exception]]
    timed_out: ClassVar[type[Exception]]
    library_error: ClassVar[type[Exception]]
    cancels: ClassVar[bool] = False
    has_backends: ClassVar[bool] = False
    hedges: ClassVar[bool] = False
    knows_lb: ClassVar[bool] = True
    errors_name_requests: ClassVar[bool] = True
    keeps_cookies: ClassVar[bool] = True
    reads_ahead: ClassVar[bool] = False

    def __init__(self, picker: Balancer, *, backend: str = "asyncio", **options: Any) -> None:
        raise NotImplementedError

    @classmethod
    def trusting(cls, certificate: Path, picker: Balancer, **options: Any) -> Self:
        """One that trusts the certificate, and no other."""
        raise NotImplementedError

    @property
    def integration(self) -> Any:
        """What has the property ``policy``."""
        raise NotImplementedError

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
        """Call, and read the answer.

        Args:
            content: bytes, or an iterator of bytes.
            follow: whether redirects are followed.
            more: ``headers=`` and ``params=``.
        """
        raise NotImplementedError

    def opened(
        self, method: str = "GET", url: str = URL, *, timeout: float | None = 5.0
    ) -> AbstractContextManager[Opened]:
        """Call, and do not read the body."""
        raise NotImplementedError

    def dropped(self) -> None:
        """Call, and forget the answer without reading or closing it."""
        raise NotImplementedError

    def cancelled(self, after: float) -> None:
        """Call, and cancel that after so many seconds; only a client that `cancels`."""
        raise NotImplementedError

    def together(self, count: int) -> list[Answer]:
        """So many calls at the same time; only a client that `cancels`: others have threads for that."""
        raise NotImplementedError

    def cookies(self) -> dict[str, str]:
        """Those that the client keeps."""
        raise NotImplementedError

    @staticmethod
    def attempts_of(of: Any) -> tuple[Attempt, ...]:
        """The trail of a response of the library, or of an error."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the client."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def asynchronous(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """An iterator for a client that wants an asynchronous one."""
    for part in parts:
        yield part
