"""aiohttp: ``await session.get("http://orders/items")`` goes to a member of the service ``orders``.

    session = aiohttp.ClientSession(middlewares=(discovery_middleware(),))

A client middleware, and not a resolver: the key of aiohttp's connection pool is the host in the URL, so that a resolver
would balance connections instead of requests. The request has the member's URL only while it is sent, and its response
keeps the caller's; so redirects, cookies, `response.url` and `response.request_info` stay in terms of the service.

The middleware has to be the last one in `middlewares`, or those after it see the member's URL, once per attempt.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import weakref
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

try:
    import aiohttp
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.aiohttp needs aiohttp: pip install 'pydoudou[aiohttp]'") from error

from aiohttp.payload import BytesPayload
from yarl import URL

from ..balancers.calls.call import Call
from ..balancers.calls.given_policy import given_policy
from ..balancers.calls.policy import CallPolicy
from ..balancers.calls.service import CalledService, ClientErrors
from ..balancers.calls.trail import Attempt, attempts_on, member_found
from ..balancers.calls.urls import UnusableAddress
from ..balancers.memory.pick import Pick
from ..drivers.members import Member, Reached
from .aiohttp_internals import drop_connections, failed_before, has_idle_connection, not_to_be_repeated
from .aiohttp_origins import Origin
from .aiohttp_responses import SCHEMES, DiscoveryResponse, responses
from .hedged import Ended, sent_with_a_hedge
from .service_hosts import GivenBalancers, ServiceHosts

__all__ = [
    "CircuitOpenError",
    "DiscoveryMiddleware",
    "DiscoveryResponse",
    "NoMemberError",
    "attempts_of",
    "discovery_middleware",
    "member_of",
]

logger = logging.getLogger(__name__)

_UNCONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    # The connection that was taken from the pool is closed, and nothing could be written. While a body is written,
    # aiohttp makes another exception of it.
    aiohttp.ClientConnectionResetError,
)


class NoMemberError(aiohttp.ClientConnectorError):
    """No member of the service can be picked; the `NoMemberAvailable` that says why is the ``__cause__``."""

    def __str__(self) -> str:
        return str(self.strerror)


class CircuitOpenError(aiohttp.ClientConnectorError):
    """The circuit breaker of the service lets no call through; the `CircuitOpen` is the ``__cause__``."""

    def __str__(self) -> str:
        return str(self.strerror)


def member_of(response: aiohttp.ClientResponse) -> Member:
    """The member that answered; the same as ``response.member``, which type checkers do not know of.

    Raises:
        LookupError: the response did not come through a `DiscoveryMiddleware`.
    """
    return member_found(getattr(response, "member", None), response)


def attempts_of(of: aiohttp.ClientResponse | BaseException) -> tuple[Attempt, ...]:
    """The attempts of the call that ended with this response or this error, the last one included.

    The same as ``response.attempts``. Empty if it did not come through a `DiscoveryMiddleware`.
    """
    return attempts_on(of)


class DiscoveryMiddleware:
    """Sends requests for services to their members, and every other request on as it is.

    A host is a service if it is named in `services`, or if it has one label and is neither ``localhost`` nor a number.
    A port in the URL of a service is ignored: the members have their own. With ``https://`` the connection is TLS
    whatever the member registered, and the certificate must carry the name in the URL. No proxy is used to a member.
    Several sessions may share one middleware.

    Args:
        services: host name in the URL to service name, for names that a URL cannot carry: URLs have lower-case hosts.
        balancer: makes the balancer of a service from its name (`WeightedRandom`, say), or balancers by service name.
            By default, and for services that the mapping lacks, `LeastLatency` on the default registry.
        attempts: the most attempts of one request; 3 by default.
        deadline: seconds from the start of a request to the head of its answer, over all attempts. None: the session's
            timeouts decide, and all connecting together takes 30 s at most.
        policy: these two and all else about how far a request goes, in place of them.

    Raises, from a request:
        NoMemberError: there is no member to send it to.
        CircuitOpenError: the policy has a circuit breaker, and it is open.

    Any other error is the one of the last attempt.

    The response is a `DiscoveryResponse`: it tells who answered, and of all attempts at it (`attempts_of`).
    """

    def __init__(
        self,
        *,
        services: Mapping[str, str] | None = None,
        balancer: GivenBalancers = None,
        attempts: int | None = None,
        deadline: float | None = None,
        policy: CallPolicy | None = None,
    ) -> None:
        chosen = given_policy(policy, attempts, deadline)
        self._hosts: ServiceHosts[Origin] = ServiceHosts(
            services, balancer, chosen, _ERRORS, Origin, logger, SCHEMES, self._retire
        )
        self._connectors: _Connectors = weakref.WeakKeyDictionary()
        self._present: dict[str, set[tuple[str, int]]] = {}

    @property
    def policy(self) -> CallPolicy:
        """How far a call may go; may be changed at any time, for the calls that begin after that."""
        return self._hosts.policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        self._hosts.policy = policy

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Called by `aiohttp.ClientSession`."""
        asked = request.url
        service = self._hosts.of(asked.scheme, asked.host or "")
        if service is None:
            return await handler(request)
        failed = failed_before(request)
        if failed is not None:
            raise failed
        now = monotonic()
        body = request.body
        call = service.call(request.method, asked, not body or _replayable(body), now)
        if not service.ready:
            await service.wait_async(now)
            now = monotonic()
        attempt = service.first(call, request, now)
        exchange = _Exchange(request, asked, service, call, self._connectors)
        while True:
            try:
                if attempt.delay:
                    await asyncio.sleep(attempt.delay)
                after = call.hedge_after(monotonic()) if call.hedges else None
                if after is None:
                    origin = exchange.begins(attempt)
                    if attempt.answer_limit is None and has_idle_connection(request, origin.keys):
                        response = await handler(request)
                    else:
                        response = await exchange.in_time(attempt, handler)
                else:
                    ended = await exchange.hedged(attempt, handler, after)
                    attempt = ended.attempt
                    if ended.error is not None:
                        raise ended.error
                    assert ended.response is not None
                    response = ended.response
                following = exchange.answered(attempt, response)
                if following is None:
                    return response
            except BaseException as error:
                exchange.restore()
                following = service.after(call, attempt, error, monotonic())
                if following is None:
                    final = not_to_be_repeated(request, error)
                    if final is error:
                        raise
                    raise final from error
            attempt = following
            await request.close()  # what is left of writing the body to the last member

    def _retire(self, host: str, members: Iterable[Member]) -> None:
        """Of the service that URLs call `host`, only these members are left."""
        present = {(member.host.lower(), member.port) for member in members}
        gone = self._present.get(host, set()) - present
        self._present[host] = present
        if not gone:
            return
        for connector, loop in list(self._connectors.items()):
            if loop is asyncio.get_running_loop():
                drop_connections(connector, gone)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(drop_connections, connector, gone)


discovery_middleware = DiscoveryMiddleware
"""The name by which it reads like what aiohttp calls it: ``middlewares=(discovery_middleware(),)``."""

_Connectors = weakref.WeakKeyDictionary[aiohttp.BaseConnector, asyncio.AbstractEventLoop]
"""Those that may have connections to members, and their event loops."""


class _Exchange:
    """One request of the session, out and in.

    As little as possible is done, and as few objects are made, for a request that goes out over a connection that is
    there: aiohttp takes 100 µs for it. And nothing that the request holds, such as its response, holds this object: a
    cycle costs more, when it is collected, than all of it.
    """

    __slots__ = (
        "_before",
        "_connectors",
        "_timer",
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
        asked: URL,
        service: CalledService[Origin],
        call: Call,
        connectors: _Connectors,
    ) -> None:
        self.request, self.asked, self.service, self.call, self._connectors = request, asked, service, call, connectors
        self._before = request.server_hostname, request.response_class, request.headers

    def begins(self, attempt: Pick) -> Origin:
        """The request is to go to the member of this attempt; returns where that is."""
        request, service, asked = self.request, self.service, self.asked
        try:
            origin = service.origins.of(attempt.member, SCHEMES[asked.scheme], service.view)
            url = origin.urls.get(asked)
            request.url = origin.moved(asked) if url is None else url
        except (UnusableAddress, ValueError) as error:
            raise aiohttp.ClientConnectorError(request.connection_key, OSError(0, str(error))) from error
        if attempt.watched is not None:
            request.headers = request.headers.copy()  # which an attempt beside this one has too
            request.headers.update(attempt.watched.headers)
        if request.proxy is not None:
            request.proxy = request.proxy_auth = request.proxy_headers = None
        if origin.encrypted and request.server_hostname is None:
            request.server_hostname = service.host
        request.response_class = responses[request.response_class]
        return origin

    def restore(self) -> None:
        """The request is what it was: another middleware may use it once more."""
        request, request.url = self.request, self.asked
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
            own.begins(one)
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

    def answered(self, attempt: Pick, response: aiohttp.ClientResponse) -> Pick | None:
        """What follows the head of an answer: nothing, or another attempt. The request is what it was."""
        service, call, request, now = self.service, self.call, self.request, monotonic()
        request.url = self.asked
        request.server_hostname, request.response_class, request.headers = self._before
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
            response.is_answer(call, attempt, now)
        else:  # of a middleware behind this one
            attempt.ended(now, True)
        return following


async def _discard(response: aiohttp.ClientResponse) -> None:
    response.close()


def _replayable(body: object) -> bool:
    """Whether a body is in memory: bytes, text, JSON, a form, or a form of several such parts."""
    if isinstance(body, BytesPayload):
        return True
    return isinstance(body, aiohttp.MultipartWriter) and all(isinstance(part, BytesPayload) for part, _, _ in body)


def _reached(error: BaseException) -> Reached | None:
    """How far the attempt got, None if the member has nothing to do with what failed."""
    if isinstance(error, _UNCONNECTED):
        return Reached.UNCONNECTED
    if isinstance(error, TimeoutError):
        return Reached.TIMED_OUT
    return Reached.BROKEN if isinstance(error, aiohttp.ClientConnectionError) else None


def _no_member(text: str, *, request: aiohttp.ClientRequest) -> NoMemberError:
    return NoMemberError(request.connection_key, OSError(0, text))


def _circuit_open(text: str, *, request: aiohttp.ClientRequest) -> CircuitOpenError:
    return CircuitOpenError(request.connection_key, OSError(0, text))


def _timed_out(text: str, *, request: aiohttp.ClientRequest) -> aiohttp.SocketTimeoutError:
    return aiohttp.SocketTimeoutError(text)


_ERRORS = ClientErrors(_no_member, _timed_out, _reached, _circuit_open)
