"""The responses of aiohttp, in the caller's terms, and telling when they end."""

from __future__ import annotations

import functools
from time import monotonic
from typing import Any, Protocol

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

from ..balancers.calls.call import Call
from ..balancers.calls.service import CalledService
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.trail import Attempt
from ..balancers.memory.pick import Pick
from ..drivers.members import Member

__all__ = ["Asked", "DiscoveryResponse", "responses"]

_SWITCHED = 101
"""The status of an answer after which the connection is a WebSocket, which ends when it is closed."""
_TRANSLATED = tuple(istr(name) for name in TRANSLATED)


class Asked(Protocol):
    """What a response is made with: which attempt at which call it answers.

    Attributes:
        asked: the URL of the caller's request.
        scheme: by which the member is reached.
    """

    member: Member
    scheme: str
    asked: URL
    service: CalledService[Any]
    call: Call

    def leaves(self) -> None:
        """Called when the response is made, which is as soon as there is a connection."""


class DiscoveryResponse(aiohttp.ClientResponse):
    """The answer of a member, in the caller's terms. It tells when its body ends.

    (`raw_headers` are what the member sent. The response class of a session is kept: one is made that is both.)

    Attributes:
        member: who answered.
    """

    _balanced_attempt: Pick | None = None

    def __init__(self, asked: Asked, *args: Any, **kwargs: Any) -> None:
        self.member, self._balanced_scheme = asked.member, asked.scheme
        self._balanced_url, self._balanced_service = asked.asked, asked.service
        self._balanced_call: Call = asked.call
        super().__init__(*args, **kwargs)
        asked.leaves()  # a response is made as soon as there is a connection

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts of the call, this one included."""
        return self._balanced_call.trail

    @property
    def request_info(self) -> aiohttp.RequestInfo:
        """What was asked for, in the caller's terms."""
        return super().request_info._replace(url=self._balanced_url)

    @functools.cached_property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers, in the caller's terms."""
        headers = super().headers
        for name in _TRANSLATED:
            if name in headers:
                return self._translated(headers)
        return headers

    def _translated(self, headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
        members = self._balanced_service.balancer.members
        terms = Terms(str(self._balanced_url), self.member, self._balanced_scheme, members)
        return CIMultiDictProxy(
            CIMultiDict(
                (name, terms.header(name.lower(), value) if name.lower() in TRANSLATED else value)
                for name, value in headers.items()
            )
        )

    def tell_end(self, attempt: Pick) -> None:
        """Called once, when this is the answer of the call: tell `attempt` when the body ends, which may be now."""
        self._balanced_attempt = attempt
        if self.status != _SWITCHED:
            self.content.on_eof(self._complete)

    def _complete(self) -> None:
        attempt, self._balanced_attempt = self._balanced_attempt, None
        if attempt is not None:
            attempt.ended(monotonic(), True)

    def close(self) -> None:
        super().close()
        if self._balanced_attempt is not None:
            self._closed_early()

    def release(self) -> Any:
        released = super().release()
        if self._balanced_attempt is not None:
            self._closed_early()
        return released

    def _closed_early(self) -> None:
        attempt, self._balanced_attempt = self._balanced_attempt, None
        if attempt is not None:
            attempt.ended(monotonic(), self.status == _SWITCHED)


_kinds: dict[type[aiohttp.ClientResponse], type[DiscoveryResponse]] = {aiohttp.ClientResponse: DiscoveryResponse}


def responses(of: type[aiohttp.ClientResponse]) -> type[DiscoveryResponse]:
    """The class for responses of a session whose own class for them is `of`."""
    if of not in _kinds:
        both = (DiscoveryResponse, of)
        _kinds[of] = of if issubclass(of, DiscoveryResponse) else type(f"Discovery{of.__name__}", both, {})
    return _kinds[of]
