"""aiohttp: ``await session.get("http://orders/items")`` goes to a member of the service ``orders``.

    session = aiohttp.ClientSession(middlewares=(discovery_middleware(),))

A client middleware, and not a resolver: the key of aiohttp's connection pool is the host in the URL, so that a resolver
would balance connections instead of requests. The request has the member's URL only while it is sent, and its response
keeps the caller's; so redirects, cookies, `response.url` and `response.request_info` stay in terms of the service.

The middleware has to be the last one in `middlewares`, or those after it see the member's URL, once per attempt.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import weakref
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

try:
    import aiohttp
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.aiohttp needs aiohttp: pip install 'pydoudou[aiohttp]'") from error

from aiohttp.payload import BytesPayload
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ..balancers.calls.policy import CallPolicy, shorter
from ..balancers.calls.service import CalledService, ClientErrors
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.urls import UnusableAddress, member_scheme
from ..balancers.memory.pick import Pick
from ..drivers.members import Member, Reached
from .aiohttp_internals import drop_connections, failed_before, not_to_be_repeated
from .service_hosts import GivenBalancers, ServiceHosts, chosen_policy

__all__ = ["DiscoveryMiddleware", "DiscoveryResponse", "NoMemberError", "discovery_middleware", "member_of"]

logger = logging.getLogger(__name__)

_SWITCHED = 101
"""The status of an answer after which the connection is a WebSocket, which ends when it is closed."""
_SECURE = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""The schemes of aiohttp, and the scheme of the connection."""
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


def member_of(response: aiohttp.ClientResponse) -> Member:
    """The member that answered; the same as ``response.member``, which type checkers do not know of.

    Raises:
        LookupError: the response did not come through a `DiscoveryMiddleware`.
    """
    member = getattr(response, "member", None)
    if not isinstance(member, Member):
        raise LookupError(f"{response!r} did not come from a member of a service")
    return member


class DiscoveryMiddleware:
    """Sends requests for services to their members, and every other request on as it is.

    A host is a service if it is named in `services`, or if it has one label and is neither ``localhost`` nor a number.
    A port in the URL of a service is ignored: the members have their own. With ``https://`` the connection is TLS
    whatever the member registered, and the certificate must carry the name in the URL. No proxy is used to a member.
    Several sessions may share one middleware.

    Args:
        services: host name in the URL to service name, for names that a URL cannot carry: URLs have lower-case hosts.
        balancer: makes the balancer of a service from its name (`WeightedRandom`, say), or balancers by service name.
            By default, and for services that the mapping lacks, `RoundRobin` on the default registry.
        attempts: the most members that one request tries; by default 3.
        deadline: seconds from the start of a request to the head of its answer, over all attempts. None: the session's
            timeouts decide, and all connecting together takes 30 s at most.
        policy: all of this and more, in place of `attempts` and `deadline`.

    Raises, from a request:
        NoMemberError: there is no member to send it to. Any other error is the one of the last attempt.

    The response is a `DiscoveryResponse`, and tells who answered: ``response.member``, a `Member`.
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
        chosen = chosen_policy(policy, attempts, deadline)
        self._hosts: ServiceHosts[_Origin] = ServiceHosts(
            services, balancer, chosen, _ERRORS, _origin, logger, _SECURE, self._retire
        )
        self._connectors: weakref.WeakKeyDictionary[aiohttp.BaseConnector, asyncio.AbstractEventLoop]
        self._connectors = weakref.WeakKeyDictionary()
        self._present: dict[str, set[tuple[str, int]]] = {}

    @property
    def policy(self) -> CallPolicy:
        """How far a call may go; one that is set holds for the calls that begin after it."""
        return self._hosts.policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        self._hosts.policy = policy

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Called by `aiohttp.ClientSession`."""
        service = self._hosts.of(request.url.scheme, request.url.host or "")
        if service is None:
            return await handler(request)
        failed = failed_before(request)
        if failed is not None:
            raise failed
        connector = request.session.connector
        if connector is not None and connector not in self._connectors:
            self._connectors[connector] = request.loop
        exchange = _Exchange(request, service)
        if not service.ready:
            await service.wait_async(monotonic())
        attempt = service.first(exchange.call, request, monotonic())
        while True:
            try:
                if attempt.delay:
                    await asyncio.sleep(attempt.delay)
                response = await exchange.sent(attempt, handler)
                following = exchange.answered(attempt, response)
                if following is None:
                    return response
            except BaseException as error:
                following = service.after(exchange.call, attempt, error, monotonic())
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

_Origin = tuple[str, str, str]
"""Scheme, host with port, and root path."""


def _origin(base: str) -> _Origin:
    parts = urlsplit(base)
    return parts.scheme, parts.netloc, parts.path


class _Exchange:
    """One request of the session, out and in."""

    def __init__(self, request: aiohttp.ClientRequest, service: CalledService[_Origin]) -> None:
        self.request, self.service = request, service
        self.asked, self.scheme = request.url, ""
        self._kind = _responses(request.response_class)
        self.call = service.call(request.method, request.url, _replayable(request.body), monotonic())

    async def sent(self, attempt: Pick, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """The answer of the member of this attempt."""
        request, asked, kind = self.request, self.asked, self._kind
        before = request.server_hostname, request.response_class
        request.url = self._url(attempt.member)
        request.proxy = request.proxy_auth = request.proxy_headers = None
        if self.scheme == "https" and request.server_hostname is None:
            request.server_hostname = self.service.host
        now, loop = monotonic(), request.loop
        limit = shorter(attempt.connect_limit, attempt.answer_limit)
        timer = asyncio.timeout_at(None if limit is None else loop.time() + limit - (now - attempt.started))
        answer_by = None if attempt.answer_limit is None else loop.time() + attempt.answer_limit
        leaving = _Leaving(self, attempt, timer, answer_by)
        request.response_class = functools.partial(kind, leaving)  # type: ignore[assignment]
        try:
            async with timer:
                return await handler(request)
        except TimeoutError as error:
            if not timer.expired():
                raise
            if leaving.left:
                raise aiohttp.SocketTimeoutError(f"No answer from {attempt.member.address} in time") from error
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to {attempt.member.address}") from error
        finally:
            request.url = asked
            request.server_hostname, request.response_class = before

    def answered(self, attempt: Pick, response: aiohttp.ClientResponse) -> Pick | None:
        """What follows the head of an answer: nothing, or another attempt."""
        try:
            following = self.service.answered(
                self.call, attempt, response.status, response.headers.get, self.request, monotonic()
            )
        except BaseException:
            response.close()
            raise
        if following is not None:
            response.close()
        elif isinstance(response, DiscoveryResponse):
            response.tell_end(attempt)
        else:  # of a middleware behind this one
            attempt.ended(monotonic(), True)
        return following

    def _url(self, member: Member) -> URL:
        asked, service = self.asked, self.service
        self.scheme = member_scheme(_SECURE[asked.scheme], member)
        try:
            scheme, authority, root = service.origins.of(member, self.scheme, service.view)
            return URL.build(
                scheme=scheme,
                authority=authority,
                path=root + asked.raw_path,
                query_string=asked.raw_query_string,
                encoded=True,
            )
        except (UnusableAddress, ValueError) as error:
            raise aiohttp.ClientConnectorError(self.request.connection_key, OSError(0, str(error))) from error


class _Leaving:
    """What the response of one attempt is made with. It is made as soon as there is a connection."""

    def __init__(self, exchange: _Exchange, attempt: Pick, timer: asyncio.Timeout, answer_by: float | None) -> None:
        self.exchange, self.member, self._timer, self._answer_by = exchange, attempt.member, timer, answer_by
        self.left = False

    def leaves(self) -> None:
        """The request leaves: from now on the time for the answer counts."""
        self.left = True
        if not self._timer.expired():
            self._timer.reschedule(self._answer_by)


class DiscoveryResponse(aiohttp.ClientResponse):
    """The answer of a member, in the caller's terms. It tells when its body ends.

    (`raw_headers` are what the member sent. The response class of a session is kept: one is made that is both.)

    Attributes:
        member: who answered.
    """

    def __init__(self, leaving: _Leaving, *args: Any, **kwargs: Any) -> None:
        exchange = leaving.exchange
        self.member = leaving.member
        self._balanced_exchange, self._balanced_scheme = exchange, exchange.scheme
        self._balanced_attempt: Pick | None = None
        self._balanced_headers: CIMultiDictProxy[str] | None = None
        kwargs["request_info"] = kwargs["request_info"]._replace(url=exchange.asked)
        super().__init__(*args, **kwargs)
        leaving.leaves()

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers, in the caller's terms."""
        headers = self._balanced_headers
        if headers is None:
            headers = super().headers
            if any(name in headers for name in TRANSLATED):
                headers = self._translated(headers)
            self._balanced_headers = headers
        return headers

    def _translated(self, headers: CIMultiDictProxy[str]) -> CIMultiDictProxy[str]:
        exchange = self._balanced_exchange
        terms = Terms(str(exchange.asked), self.member, self._balanced_scheme, exchange.service.balancer.members)
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
            self.content.on_eof(functools.partial(self._ended, True))

    def _ended(self, complete: bool) -> None:
        attempt, self._balanced_attempt = self._balanced_attempt, None
        if attempt is not None:
            attempt.ended(monotonic(), complete)

    def close(self) -> None:
        super().close()
        self._ended(self.status == _SWITCHED)

    def release(self) -> Any:
        released = super().release()
        self._ended(False)
        return released


_kinds: dict[type[aiohttp.ClientResponse], type[DiscoveryResponse]] = {aiohttp.ClientResponse: DiscoveryResponse}


def _responses(of: type[aiohttp.ClientResponse]) -> type[DiscoveryResponse]:
    """The class for responses of a session whose own class for them is `of`."""
    if of not in _kinds:
        both = (DiscoveryResponse, of)
        _kinds[of] = of if issubclass(of, DiscoveryResponse) else type(f"Discovery{of.__name__}", both, {})
    return _kinds[of]


def _replayable(body: object) -> bool:
    """Whether a body is in memory: none, bytes, text, JSON, a form, or a form of several such parts."""
    if isinstance(body, aiohttp.MultipartWriter):
        return all(isinstance(part, BytesPayload) for part, _, _ in body)
    return body == b"" or isinstance(body, BytesPayload)


def _reached(error: BaseException) -> Reached | None:
    """How far the attempt got, None if the member has nothing to do with what failed."""
    if isinstance(error, _UNCONNECTED):
        return Reached.UNCONNECTED
    if isinstance(error, aiohttp.ServerTimeoutError):
        return Reached.TIMED_OUT
    return Reached.BROKEN if isinstance(error, aiohttp.ClientConnectionError) else None


def _no_member(text: str, *, request: aiohttp.ClientRequest) -> NoMemberError:
    return NoMemberError(request.connection_key, OSError(0, text))


def _timed_out(text: str, *, request: aiohttp.ClientRequest) -> aiohttp.SocketTimeoutError:
    return aiohttp.SocketTimeoutError(text)


_ERRORS = ClientErrors(_no_member, _timed_out, _reached)
