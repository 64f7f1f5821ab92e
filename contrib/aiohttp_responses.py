"""The responses of aiohttp, in the caller's terms, and telling when they end."""

from __future__ import annotations

from time import monotonic
from typing import Any

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from ..balancers.calls.call import Call
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.trail import Attempt, only_attempt
from ..balancers.calls.urls import member_scheme
from ..balancers.memory.pick import Pick
from ..drivers.members import Member
from .aiohttp_internals import has_cookies, replace_cookies
from .aiohttp_origins import SCHEMES

__all__ = ["DiscoveryResponse", "responses"]

_SWITCHED = 101
"""The status of an answer after which the connection is a WebSocket, which ends when it is closed."""
_TRANSLATED = tuple(istr(name) for name in TRANSLATED)


class DiscoveryResponse(aiohttp.ClientResponse):
    """The answer of a member, in the caller's terms. It tells when its body ends.

    (`raw_headers` are what the member sent. The response class of a session is kept: one is made that is both.)
    """

    # The last attempt, and the call that it was of unless no rule had to be asked.
    _balanced: Pick | None = None
    _balanced_call: Call | None = None
    _balanced_headers: CIMultiDictProxy[str] | None = None
    # What `super().headers` would be, which takes twice as long: aiohttp asks for the headers of every answer.
    _received_headers = aiohttp.ClientResponse.headers

    @property
    def member(self) -> Member:
        """Who answered."""
        if self._balanced is None:
            raise AttributeError("the response is not the answer of a member")
        return self._balanced.member

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts of the call, this one included."""
        if self._balanced_call is not None:
            return self._balanced_call.trail
        return () if self._balanced is None else (only_attempt(self._balanced),)

    @property
    def request_info(self) -> aiohttp.RequestInfo:
        """What was asked for, in the caller's terms."""
        return super().request_info._replace(url=self.url)

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers, in the caller's terms."""
        attempt = self._balanced
        if attempt is None:  # it is no answer of a call, or not yet
            return self._received_headers
        if self._balanced_headers is None:
            headers = self._received_headers
            self._balanced_headers = self._translated(headers, attempt) if _are_translated(headers) else headers
        return self._balanced_headers

    def is_answer(self, attempt: Pick, call: Call | None, now: float) -> None:
        """Called once, when this is the answer of the call: tell `attempt` when the body ends, which may be now.

        Args:
            call: whose attempts there were; None if there was this one, which has not been told of the head either.
        """
        self._balanced, status, content = attempt, self.status, self.content
        if has_cookies(self):
            replace_cookies(self, self.headers.getall(hdrs.SET_COOKIE, ()))
        if call is not None:
            self._balanced_call = call
        if content.is_eof() and status != _SWITCHED:
            attempt.answered_whole(status, now) if call is None else attempt.ended(now, True)
            return
        if call is None:
            attempt.answered(status, now)
        answer: Any = self  # an object that changes its class is more than type checkers know
        answer.__class__ = _open_responses[answer.__class__]
        answer.tell_end(attempt)

    def _translated(self, headers: CIMultiDictProxy[str], attempt: Pick) -> CIMultiDictProxy[str]:
        member, view = attempt.member, attempt.source.view
        scheme = member_scheme(SCHEMES[self.url.scheme], member)
        terms = Terms(str(self.url), member, scheme, lambda: () if view is None else view.members)
        return CIMultiDictProxy(
            CIMultiDict(
                (name, terms.header(name.lower(), value) if name.lower() in TRANSLATED else value)
                for name, value in headers.items()
            )
        )


class _OpenResponse(DiscoveryResponse):
    """One whose body has not come with its head: it tells when that ends. The others are spared these methods, which
    take longer than counting a call.
    """

    _balanced_body: Pick | None = None

    def tell_end(self, attempt: Pick) -> None:
        """Tell this attempt of the end of the body."""
        self._balanced_body = attempt
        if self.status != _SWITCHED:
            self.content.on_eof(self._complete)

    def close(self) -> None:
        super().close()
        self._ended(self.status == _SWITCHED)

    def release(self) -> Any:
        released = super().release()
        self._ended(self.status == _SWITCHED)
        return released

    def _complete(self) -> None:
        self._ended(True)

    def _ended(self, complete: bool) -> None:
        attempt, self._balanced_body = self._balanced_body, None
        if attempt is not None:
            attempt.ended(monotonic(), complete)


def _are_translated(headers: CIMultiDictProxy[str]) -> bool:
    """Whether any of the headers may be another in the caller's terms."""
    return any(name in headers for name in _TRANSLATED)


class _Responses(dict[type[aiohttp.ClientResponse], type[DiscoveryResponse]]):
    """A dictionary, because every request looks here, and finds the class without a call of a function."""

    def __missing__(self, of: type[aiohttp.ClientResponse]) -> type[DiscoveryResponse]:
        both, received = (DiscoveryResponse, of), {"_received_headers": of.headers}
        made = of if issubclass(of, DiscoveryResponse) else type(f"Discovery{of.__name__}", both, received)
        self[of] = made
        return made


class _OpenResponses(dict[type[DiscoveryResponse], type[_OpenResponse]]):
    """The same classes for responses whose body has not come with the head."""

    def __missing__(self, of: type[DiscoveryResponse]) -> type[_OpenResponse]:
        made = of if issubclass(of, _OpenResponse) else type(of.__name__, (_OpenResponse, of), {})
        self[of] = made
        return made


responses = _Responses({aiohttp.ClientResponse: DiscoveryResponse})
"""The class for responses of a session, by the session's own class for them."""

_open_responses = _OpenResponses()
