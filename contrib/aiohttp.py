"""aiohttp: ``await session.get("http://orders/items")`` goes to a member of the service ``orders``.

    session = aiohttp.ClientSession(middlewares=(discovery_middleware(),))

A client middleware, and not a resolver: the key of aiohttp's connection pool is the host in the URL, so that a resolver
would balance connections instead of requests. The request has the member's URL only while it is sent, and its response
keeps the caller's; so redirects, cookies, `response.url` and `response.request_info` stay in terms of the service.

The middleware has to be the last one in `middlewares`, or those after it see the member's URL, once per attempt.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Iterable, Mapping
from math import inf
from time import monotonic

try:
    import aiohttp
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.aiohttp needs aiohttp: pip install 'pydoudou[aiohttp]'") from error

from aiohttp.payload import BytesPayload

from ..balancers.calls.given_policy import given_policy
from ..balancers.calls.policy import CallPolicy
from ..balancers.calls.service import ClientErrors
from ..balancers.calls.trail import Attempt, attempts_on, member_found
from ..drivers.members import Member, Reached
from .aiohttp_exchange import Connectors, Exchange, send_to
from .aiohttp_internals import drop_connections, failed_before, has_idle_connection, last_failure
from .aiohttp_origins import SCHEMES, AskedUrls, Origin
from .aiohttp_responses import DiscoveryResponse, responses
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
        self._connectors: Connectors = weakref.WeakKeyDictionary()
        self._asked = AskedUrls()
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
        url = request.url
        asked = self._asked.get(url)
        if asked is None:
            service = self._hosts.of(url.scheme, url.host or "")
            if service is None:
                return await handler(request)
            asked = self._asked.add(url, service)
        service = asked.service
        if last_failure.get() is not None and (failed := failed_before(request)) is not None:
            raise failed
        now = monotonic()
        attempt = service.plain_attempt(request, now)
        if attempt is None:
            call = service.call(request.method, url, _replayable(request.body), now)
            if not service.ready:
                await service.wait_async(now)
                now = monotonic()
            attempt = service.first(call, request, now)
            exchange = Exchange(request, asked, call, self._asked, self._connectors)
            return await exchange.answer(attempt, handler)
        # Nearly all requests go out over a connection that is there and are answered. As little as possible is done,
        # and as few objects are made, for them: aiohttp takes 100 µs for one.
        memory = attempt.source.memory
        if memory is not None and now >= memory.settle_from:
            memory.settle_from = inf
            request.loop.call_soon(service.balancer.settle)  # while the answer is waited for
        failure: BaseException | None = None
        response: aiohttp.ClientResponse | None = None
        hostname, response_class = request.server_hostname, request.response_class
        try:
            route = asked.routes.get(id(attempt.member))
            if route is None or route.encrypted or request.proxy is not None:
                route = send_to(request, asked, attempt, self._asked)
            else:
                request.url, request.response_class = route.url, responses[response_class]
            if has_idle_connection(request, route.keys):
                response = await handler(request)
        except BaseException as error:
            failure = error
        request.url, request.server_hostname, request.response_class = url, hostname, response_class
        if isinstance(response, DiscoveryResponse) and response.status < 400:
            now = monotonic()
            if service.budget.watching:
                service.plain_answer(now)
            response.is_answer(attempt, None, now)
            return response
        call = service.call_of(attempt, request.method, url, _replayable(request.body))
        exchange = Exchange(request, asked, call, self._asked, self._connectors)
        try:
            return await exchange.answer(attempt, handler, response, failure)
        finally:
            failure = None  # which holds this frame by its traceback

    def _retire(self, host: str, members: Iterable[Member]) -> None:
        """Of the service that URLs call `host`, only these members are left."""
        self._asked.clear()
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


def _replayable(body: object) -> bool:
    """Whether a body is in memory: none, bytes, text, JSON, a form, or a form of several such parts."""
    if not body or isinstance(body, BytesPayload):
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
