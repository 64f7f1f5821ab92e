"""A request of aiohttp that goes to one member after the other, as the rules of its call say."""

from __future__ import annotations

import asyncio
import copy
import functools
import weakref
from time import monotonic
from typing import Any

import aiohttp

from ..balancers.calls.call import Call
from ..balancers.calls.urls import UnusableAddress
from ..balancers.memory.pick import Pick
from .aiohttp_internals import has_idle_connection, not_to_be_repeated
from .aiohttp_origins import AskedUrl, AskedUrls, Route
from .aiohttp_responses import DiscoveryResponse, responses
from .hedged import Ended, sent_with_a_hedge

__all__ = ["Connectors", "Exchange", "send_to"]

Connectors = weakref.WeakKeyDictionary[aiohttp.BaseConnector, asyncio.AbstractEventLoop]
"""Those that may have connections to members, and their event loops."""


def send_to(request: aiohttp.ClientRequest, asked: AskedUrl, attempt: Pick, urls: AskedUrls) -> Route:
    """The request is to go to the member of this attempt; returns its way there."""
    try:
        route = urls.route(asked, attempt.member)
    except (UnusableAddress, ValueError) as error:
        raise aiohttp.ClientConnectorError(request.connection_key, OSError(0, str(error))) from error
    request.url = route.url
    if attempt.watched is not None:
        request.headers = request.headers.copy()  # which an attempt beside this one has too
        request.headers.update(attempt.watched.headers)
    if request.proxy is not None:
        request.proxy = request.proxy_auth = request.proxy_headers = None
    if route.encrypted and request.server_hostname is None:
        request.server_hostname = asked.service.host
    request.response_class = responses[request.response_class]
    return route


class Exchange:
    """One request of the session, out and in, by the rules of its call.

    Nothing that the request holds, such as its response, holds this object: a cycle costs more, when it is collected,
    than all of it.
    """

    __slots__ = (
        "_before",
        "_connectors",
        "_timer",
        "_urls",
        "answer_by",
        "asked",
        "call",
        "left",
        "request",
        "service",
    )

    _timer: asyncio.Timeout
    answer_by: float | None
    left: bool

    def __init__(
        self,
        request: aiohttp.ClientRequest,
        asked: AskedUrl,
        call: Call,
        urls: AskedUrls,
        connectors: Connectors,
    ) -> None:
        self.request, self.asked, self.service, self.call = request, asked, asked.service, call
        self._urls, self._connectors = urls, connectors
        self._before = request.server_hostname, request.response_class, request.headers

    async def answer(
        self,
        attempt: Pick,
        handler: aiohttp.ClientHandlerType,
        response: aiohttp.ClientResponse | None = None,
        failure: BaseException | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer to the call.

        Args:
            attempt: its first.
            response: what came of that already.
            failure: with what it failed already.
        """
        service, call, request = self.service, self.call, self.request
        while True:
            try:
                if failure is not None:
                    try:
                        raise failure
                    finally:
                        failure = None  # which holds this frame by its traceback
                if response is None:
                    ended = await self._sent(attempt, handler)
                    attempt, response = ended.attempt, ended.response
                    if response is None:
                        raise ended.error or AssertionError("neither an answer nor an error")
                following = self._answered(attempt, response)
                if following is None:
                    return response
            except BaseException as error:
                self._restore()
                following = service.after(call, attempt, error, monotonic())
                if following is None:
                    final = not_to_be_repeated(request, error)
                    if final is error:
                        raise
                    raise final from error
            attempt, response = following, None
            await request.close()  # what is left of writing the body to the last member

    async def _sent(self, attempt: Pick, handler: aiohttp.ClientHandlerType) -> Ended[aiohttp.ClientResponse]:
        """How this attempt ended, or one beside it with which the call stays."""
        if attempt.delay:
            await asyncio.sleep(attempt.delay)
        after = self.call.hedge_after(monotonic()) if self.call.hedges else None
        if after is None:
            route = send_to(self.request, self.asked, attempt, self._urls)
            if attempt.answer_limit is None and has_idle_connection(self.request, route.keys):
                return Ended(attempt, await handler(self.request))
            return Ended(attempt, await self.in_time(attempt, handler))
        return await self.hedged(attempt, handler, after)

    def _restore(self) -> None:
        """The request is what it was: another middleware may use it once more."""
        request, request.url = self.request, self.asked.url
        request.server_hostname, request.response_class, request.headers = self._before

    async def in_time(self, attempt: Pick, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """The answer, within the limits of the attempt."""
        request = self.request
        connector = request.session.connector
        if connector is not None:
            self._connectors[connector] = request.loop
        started = request.loop.time() - (monotonic() - attempt.started)
        connect_limit, answer_limit, self.left = attempt.connect_limit, attempt.answer_limit, False
        self.answer_by = None if answer_limit is None else started + answer_limit
        self._timer = timer = asyncio.timeout_at(started + min(connect_limit, answer_limit or connect_limit))
        request.response_class = functools.partial(self._leaves, request.response_class)  # type: ignore[assignment]
        try:
            async with timer:
                return await handler(request)
        except TimeoutError as error:
            if not timer.expired():
                raise
            if self.left:
                raise aiohttp.SocketTimeoutError(f"No answer from {attempt.member.address} in time") from error
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to {attempt.member.address}") from error

    async def hedged(
        self, attempt: Pick, handler: aiohttp.ClientHandlerType, after: float
    ) -> Ended[aiohttp.ClientResponse]:
        """Send an attempt, and another one beside it if it is silent for `after` seconds."""

        async def send(one: Pick) -> aiohttp.ClientResponse:
            own = copy.copy(self)
            own.request = copy.copy(self.request)  # each has a URL and a connection of its own
            send_to(own.request, self.asked, one, self._urls)
            return await own.in_time(one, handler)

        return await sent_with_a_hedge(self.service, self.call, attempt, after, send, _discard)

    def _leaves(self, made: type[aiohttp.ClientResponse], *args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        """Called to make a response, which is as soon as there is a connection, and the request leaves: from now on the
        time for the answer counts.
        """
        self.left = True
        if not self._timer.expired():
            self._timer.reschedule(self.answer_by)
        return made(*args, **kwargs)

    def _answered(self, attempt: Pick, response: aiohttp.ClientResponse) -> Pick | None:
        """What follows the head of an answer: nothing, or another attempt."""
        self._restore()
        service, call, request, now = self.service, self.call, self.request, monotonic()
        try:
            following = service.answered(
                call, attempt, response.status, lambda name: response.headers.get(name), request, now
            )
        except BaseException:
            response.close()
            raise
        if following is not None:
            response.close()
        elif isinstance(response, DiscoveryResponse):
            response.is_answer(attempt, call, now)
        else:  # of a middleware behind this one
            attempt.ended(now, True)
        return following


async def _discard(response: aiohttp.ClientResponse) -> None:
    response.close()
