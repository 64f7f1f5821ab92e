"""The responses of aiohttp, in the caller's terms, and telling when they end."""

from __future__ import annotations

from time import monotonic
from typing import Any

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from ..balancers import Balancer
from ..balancers.calls.call import Call
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.trail import Attempt, only_attempt
from ..balancers.calls.urls import member_scheme
from ..balancers.memory.pick import Pick
from ..drivers.members import Member
from .aiohttp_internals import has_cookies, replace_cookies

__all__ = ["SCHEMES", "DiscoveryResponse", "responses"]

_SWITCHED = 101
"""The status of an answer after which the connection is a WebSocket, which ends when it is closed."""
_TRANSLATED = tuple(istr(name) for name in TRANSLATED)

SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Those of aiohttp, and the scheme of the connection."""


class DiscoveryResponse(aiohttp.ClientResponse):
    """The answer of a member, in the caller's terms. It tells when its body ends.

    (`raw_headers` are what the member sent. The response class of a session is kept: one is made that is both.)

    Attributes:
        member: who answered.
    """

    member: Member
    _balanced_by: Balancer | None = None
    _balanced_call: Call | None = None
    _balanced_pick: Pick
    _balanced_attempt: Pick | None = None
    _balanced_headers: CIMultiDictProxy[str] | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts of the call, this one included."""
        if self._balanced_call is not None:
            return self._balanced_call.trail
        return () if self._balanced_by is None else (only_attempt(self._balanced_pick),)

    @property
    def request_info(self) -> aiohttp.RequestInfo:
        """What was asked for, in the caller's terms."""
        return super().request_info._replace(url=self.url)

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers, in the caller's terms."""
        if self._balanced_headers is None:
            headers, balancer = super().headers, self._balanced_by
            if balancer is None:  # it is no answer of a call, or not yet
                return headers
            self._balanced_headers = self._translated(headers, balancer) if _are_translated(headers) else headers
        return self._balanced_headers

    def is_answer(self, balancer: Balancer, attempt: Pick, call: Call | None, now: float) -> None:
        """Called once, when this is the answer of the call: tell `attempt` when the body ends, which may be now.

        Args:
            balancer: knows the members.
            call: whose attempts there were; None if there was this one, which has not been told of the head either.
        """
        self.member, self._balanced_by, self._balanced_pick, self._balanced_call = (
            attempt.member,
            balancer,
            attempt,
            call,
        )
        if has_cookies(self):
            replace_cookies(self, self.headers.getall(hdrs.SET_COOKIE, ()))
        content, status = self.content, self.status
        if content.is_eof() and status != _SWITCHED:
            attempt.answered_whole(status, now) if call is None else attempt.ended(now, True)
            return
        if call is None:
            attempt.answered(status, now)
        self._balanced_attempt = attempt
        if status != _SWITCHED:
            content.on_eof(self._complete)

    def _translated(self, headers: CIMultiDictProxy[str], balancer: Balancer) -> CIMultiDictProxy[str]:
        scheme = member_scheme(SCHEMES[self.url.scheme], self.member)
        terms = Terms(str(self.url), self.member, scheme, balancer.members)
        return CIMultiDictProxy(
            CIMultiDict(
                (name, terms.header(name.lower(), value) if name.lower() in TRANSLATED else value)
                for name, value in headers.items()
            )
        )

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


def _are_translated(headers: CIMultiDictProxy[str]) -> bool:
    """Whether any of the headers may be another in the caller's terms."""
    return any(name in headers for name in _TRANSLATED)


class _Kinds(dict[type[aiohttp.ClientResponse], type[DiscoveryResponse]]):
    """A dictionary, because every request looks here, and finds the class without a call of a function."""

    def __missing__(self, of: type[aiohttp.ClientResponse]) -> type[DiscoveryResponse]:
        both = (DiscoveryResponse, of)
        kind = of if issubclass(of, DiscoveryResponse) else type(f"Discovery{of.__name__}", both, {})
        self[of] = kind
        return kind


responses = _Kinds({aiohttp.ClientResponse: DiscoveryResponse})
"""The class for responses of a session, by the session's own class for them."""
