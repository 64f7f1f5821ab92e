"""urllib3: ``pool.request("GET", "http://orders/items")`` goes to a member of the service ``orders``.

    pool = DiscoveryPoolManager()

A pool manager asks itself for the connections to a host, and follows redirects on top of them. For a service it gets
something that sends each request to a member; so a redirect is balanced again, as is every other request.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

try:
    import urllib3
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.urllib3 needs urllib3: pip install 'pydoudou[urllib3]'") from error

from urllib3 import BaseHTTPResponse, HTTPHeaderDict, PoolManager, Retry, Timeout
from urllib3.exceptions import (
    EmptyPoolError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)

from ..balancers.calls.given_policy import given_policy
from ..balancers.calls.policy import CallPolicy, shorter
from ..balancers.calls.service import CalledService, ClientErrors
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.trail import Attempt, attempts_on, member_found
from ..balancers.calls.urls import LOGICAL_SCHEME, UnusableAddress, member_scheme
from ..balancers.memory.pick import Pick
from ..drivers.members import Member, Reached
from .service_hosts import GivenBalancers, ServiceHosts
from .urllib3_internals import drop_pools, never_connected, tell_end, translate_headers
from .urllib3_shared import close_unread, phases

__all__ = ["CircuitOpenError", "DiscoveryPoolManager", "NoMemberError", "attempts_of", "member_of"]

logger = logging.getLogger(__name__)


class _NotSentError(NewConnectionError):
    """There is no connection that it could be told of."""

    def __init__(self, text: str, *, request: object = None) -> None:
        HTTPError.__init__(self, text)

    def __reduce__(self) -> Any:
        return type(self), (str(self),)


class NoMemberError(_NotSentError):
    """No member of the service can be picked; the `NoMemberAvailable` that says why is the ``__cause__``."""


class CircuitOpenError(_NotSentError):
    """The circuit breaker of the service lets no call through; the `CircuitOpen` is the ``__cause__``."""


def member_of(response: BaseHTTPResponse) -> Member:
    """The member that answered; the same as ``response.member``, which type checkers do not know of.

    Raises:
        LookupError: the response did not come through a `DiscoveryPoolManager`.
    """
    return member_found(getattr(response, "member", None), response)


def attempts_of(of: BaseHTTPResponse | BaseException) -> tuple[Attempt, ...]:
    """The attempts of the call that ended with this response or this error, the last one included.

    The same as ``response.attempts``. Empty if it did not come through a `DiscoveryPoolManager`.
    """
    return attempts_on(of)


class DiscoveryPoolManager(PoolManager):
    """Sends requests for services to their members, and every other request on as it is.

    A host is a service if it is named in `services`, if it has one label and is neither ``localhost`` nor a number, or
    if the scheme is ``lb``. A port in the URL of a service is ignored: the members have their own. With ``https://``
    the connection is TLS whatever the member registered, and the certificate must carry the name in the URL.

    Args:
        num_pools: the most hosts that are no members and whose connections are kept; those to members are kept for as
            long as there is the member.
        headers: of every request that has none of its own.
        services: host name in the URL to service name, for names that a URL cannot carry: URLs have lower-case hosts.
        balancer: makes the balancer of a service from its name (`WeightedRandom`, say), or balancers by service name.
            By default, and for services that the mapping lacks, `LeastLatency` on the default registry.
        attempts: the most attempts of one request; 3 by default.
        deadline: seconds from the start of a request to the head of its answer, over all attempts; what is left at the
            head is also the longest gap in the body. None: ``timeout=`` decides, and all connecting together takes
            30 s at most.
        policy: these two and all else about how far a request goes, in place of them.
        connection_pool_kw: of `urllib3.PoolManager`, for all connections. Of ``retries=``, for a service, only what it
            says about redirects counts: a failed request moves to another member, or it does not, by the policy.

    Raises, from a request:
        NoMemberError: there is no member to send it to.
        CircuitOpenError: the policy has a circuit breaker, and it is open.

    Any other error is the one of the last attempt itself, as with ``retries=False``, and no `MaxRetryError`.

    The response tells who answered, ``response.member``, and of all attempts at it (`attempts_of`).
    """

    def __init__(
        self,
        num_pools: int = 10,
        headers: Mapping[str, str] | None = None,
        *,
        services: Mapping[str, str] | None = None,
        balancer: GivenBalancers = None,
        attempts: int | None = None,
        deadline: float | None = None,
        policy: CallPolicy | None = None,
        **connection_pool_kw: Any,
    ) -> None:
        super().__init__(num_pools, headers, **connection_pool_kw)
        # A pool per member, however many there are: with a limit, round robin over one more finds each just dropped.
        self._members = PoolManager(sys.maxsize, **connection_pool_kw)
        self._hosts: ServiceHosts[urllib3.util.Url] = ServiceHosts(
            services,
            balancer,
            given_policy(policy, attempts, deadline),
            _ERRORS,
            urllib3.util.parse_url,
            logger,
            ("http", "https", LOGICAL_SCHEME),
            self._retire,
        )
        self._present: dict[str, set[tuple[str, int]]] = {}
        self._lock = threading.Lock()

    @property
    def policy(self) -> CallPolicy:
        """How far a call may go; may be changed at any time, for the calls that begin after that."""
        return self._hosts.policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        self._hosts.policy = policy

    def connection_from_host(
        self,
        host: str | None,
        port: int | None = None,
        scheme: str | None = "http",
        pool_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Called by `urlopen`: the connections to a host, or what sends requests to the members of a service."""
        service = self._hosts.of(scheme or "http", (host or "").lower())
        if service is None:
            return super().connection_from_host(host, port, scheme, pool_kwargs)
        return _Members(service, scheme or "http", port, self._members)

    def clear(self) -> None:
        """Close all connections; the next request makes new ones."""
        super().clear()
        self._members.clear()

    def _retire(self, host: str, members: Iterable[Member]) -> None:
        """Of the service that URLs call `host`, only these members are left."""
        with self._lock:
            self._present[host] = {(member.host.lower(), member.port) for member in members}
            everybody = set().union(*self._present.values())
        drop_pools(self._members, everybody)


class _Members:
    """The members of a service, in the place of a connection pool."""

    def __init__(
        self, service: CalledService[urllib3.util.Url], scheme: str, port: int | None, pools: PoolManager
    ) -> None:
        self._service, self._scheme, self._pools = service, scheme, pools
        self._authority = service.host if port is None else f"{service.host}:{port}"

    def __repr__(self) -> str:
        return f"members of {self._service.host!r}"

    def is_same_host(self, url: str) -> bool:
        """Whether a redirect stays within the service."""
        parts = urlsplit(url)
        return not parts.netloc or (parts.scheme, parts.hostname) == (self._scheme, self._service.host)

    def urlopen(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retries: Any = None,
        **more: Any,
    ) -> BaseHTTPResponse:
        """Called by the pool manager.

        Args:
            url: the path and the query.
        """
        service, asked = self._service, f"{self._scheme}://{self._authority}{url}"
        sent = HTTPHeaderDict(
            {} if any(name.lower() == "host" for name in headers or ()) else {"Host": self._authority}
        )
        sent.extend(headers or {})
        preload, timeout = more.pop("preload_content", True), more.pop("timeout", None)
        call = service.call(method, asked, body is None or isinstance(body, (bytes, str)), monotonic())
        if not service.ready:
            service.wait(monotonic())
        attempt = service.first(call, asked, monotonic())
        response: Any = None
        while True:
            try:
                if response is not None:  # of the attempt before, which nobody reads
                    close_unread(response)
                    response = None
                if attempt.delay:
                    sleep(attempt.delay)
                if attempt.watched is not None:
                    for name, value in attempt.watched.headers.items():
                        sent[name] = value  # in the place of the last attempt's
                pool, root = self._pool(attempt)
                response = pool.urlopen(
                    method,
                    root + url,
                    body=body,
                    headers=sent,
                    retries=False,
                    preload_content=False,
                    timeout=self._cut(timeout, attempt),
                    **more,
                )
                following = service.answered(call, attempt, response.status, response.headers.get, asked, monotonic())
                if following is None:
                    break
            except BaseException as error:
                if response is not None:
                    close_unread(response)
                    response = None
                following = service.after(call, attempt, error, monotonic())
                if following is None:
                    raise
            attempt = following
        self._in_callers_terms(response, asked, attempt)
        response.url, response.retries = url, Retry.DEFAULT if retries is None else Retry.from_int(retries)
        response.member, response.attempts = attempt.member, call.trail
        if preload:
            response.read(decode_content=more.get("decode_content", True), cache_content=True)
        return response  # type: ignore[no-any-return]

    def _pool(self, attempt: Pick) -> tuple[Any, str]:
        """The connections to the member of this attempt, and what stands before the path there."""
        service, member = self._service, attempt.member
        scheme = member_scheme(self._scheme, member)
        own: dict[str, Any] = {}
        if scheme == "https":
            given = self._pools.connection_pool_kw
            own = {name: given.get(name, service.host) for name in ("server_hostname", "assert_hostname")}
        try:
            base = service.origins.of(member, scheme, service.view)
        except UnusableAddress as error:
            raise LocationValueError(str(error)) from error
        return self._pools.connection_from_host(base.host, base.port, scheme, own), (base.path or "").rstrip("/")

    def _cut(self, timeout: Any, attempt: Pick) -> Timeout:
        """The ``timeout=`` of a request, or of the pool manager, cut to what is left."""
        asked = self._pools.connection_pool_kw.get("timeout") if timeout is None else timeout
        if not isinstance(asked, Timeout):
            asked = Timeout(connect=asked, read=asked)
        total, connect, read = phases(asked)
        return Timeout(
            total=shorter(total, attempt.answer_limit), connect=shorter(connect, attempt.connect_limit), read=read
        )

    def _in_callers_terms(self, response: Any, asked: str, attempt: Pick) -> None:
        """Translate the headers, and tell of the end of the body."""
        members: Callable[[], Iterable[Member]] = self._service.balancer.members
        terms = Terms(asked, attempt.member, member_scheme(self._scheme, attempt.member), members)
        translate_headers(response, TRANSLATED, terms.header)
        tell_end(response, lambda complete: attempt.ended(monotonic(), complete))


def _reached(error: BaseException) -> Reached | None:
    """How far the attempt got, None if the member has nothing to do with what failed."""
    if isinstance(error, (LocationValueError, EmptyPoolError)) or (
        isinstance(error, HTTPError) and never_connected(error)
    ):
        return Reached.UNCONNECTED
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return Reached.TIMED_OUT
    return Reached.BROKEN if isinstance(error, (ProtocolError, SSLError)) else None


def _timed_out(text: str, *, request: object) -> urllib3.exceptions.TimeoutError:
    return urllib3.exceptions.TimeoutError(text)


_ERRORS = ClientErrors(NoMemberError, _timed_out, _reached, CircuitOpenError)
