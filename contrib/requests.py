"""requests: ``session.get("http://orders/items")`` goes to a member of the service ``orders``.

    session = requests.Session()
    mount(session, "orders")

The request that the session made is never changed, and a request of its own goes out for every attempt. So redirects,
cookies, hooks and `response.url` stay in terms of the service, and connections are pooled per member.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
import weakref
from collections.abc import Iterable, Mapping
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

try:
    import requests
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.requests needs requests: pip install 'pydoudou[requests]'") from error

from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPConnectionPool, PoolManager, Timeout
from urllib3.exceptions import LocationValueError

from ..balancers import LeastLatency
from ..balancers.calls.call import Call
from ..balancers.calls.given_policy import checked_policy, given_policy
from ..balancers.calls.policy import CallPolicy, shorter
from ..balancers.calls.service import CalledService, ClientErrors
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.trail import Attempt, Trail, attempts_on, member_found
from ..balancers.calls.urls import LOGICAL_SCHEME, UnusableAddress, without_secrets
from ..balancers.memory.pick import Pick
from ..balancers.reporting import Given, reporting
from ..discovery.arguments import checked_service
from ..drivers.members import Member, Reached
from .requests_internals import outgoing_headers
from .urllib3_internals import drop_pools, never_connected, tell_end, translate_headers
from .urllib3_shared import close_unread, phases

__all__ = ["CircuitOpenError", "DiscoveryAdapter", "NoMemberError", "attempts_of", "member_of", "mount"]

logger = logging.getLogger(__name__)

_HOST = re.compile(r"[A-Za-z0-9_.-]+")


class NoMemberError(requests.ConnectionError):
    """No member of the service can be picked; the `NoMemberAvailable` that says why is the ``__cause__``."""


class CircuitOpenError(requests.ConnectionError):
    """The circuit breaker of the service lets no call through; the `CircuitOpen` is the ``__cause__``."""


def mount(
    session: requests.Session,
    service: str,
    balancer: Given | None = None,
    *,
    attempts: int | None = None,
    deadline: float | None = None,
    policy: CallPolicy | None = None,
    pool_maxsize: int = 10,
) -> DiscoveryAdapter:
    """Send what `session` requests from ``http://service/…`` (``https:``, ``lb:``) to the members of `service`.

    The arguments are those of `DiscoveryAdapter`, which is returned. Only URLs with exactly this host, no port and a
    slash after it match: requests compares prefixes, and ``http://orders`` would catch ``http://orders.example.com``.

    Raises:
        ValueError: `service` cannot be a host in a URL, or another argument has no sense.
        TypeError: `session` is none, or `balancer` is no balancer and makes none.
    """
    if not isinstance(session, requests.Session):
        raise TypeError(f"session is a {type(session).__name__}; accepted: a requests.Session")
    if not isinstance(service, str) or not _HOST.fullmatch(service):
        raise ValueError(
            f"{service!r} cannot be the host of a URL (accepted: letters, digits, '-', '_' and '.'); mount a name that "
            f'can, and name the service in its balancer: mount(session, "orders", RoundRobin({service!r}))'
        )
    adapter = DiscoveryAdapter(
        service, balancer, attempts=attempts, deadline=deadline, policy=policy, pool_maxsize=pool_maxsize
    )
    for scheme in ("http", "https", LOGICAL_SCHEME):
        session.mount(f"{scheme}://{service}/", adapter)
    _catch_credentials(session)
    return adapter


def _catch_credentials(session: requests.Session) -> None:
    """Have the session choose the adapter of ``http://user:password@orders/`` by ``http://orders/``.

    requests compares the whole URL with what is mounted. Nothing else is chosen otherwise: a URL with credentials goes
    to a `DiscoveryAdapter` only, or where it went before.
    """
    if not isinstance(session.get_adapter, _ByHost):
        session.get_adapter = _ByHost(session)  # type: ignore[method-assign]


class _ByHost:
    """`Session.get_adapter` for URLs with credentials as well. It does not keep its session alive."""

    def __init__(self, session: requests.Session) -> None:
        self._session = weakref.ref(session)

    def __call__(self, url: str) -> BaseAdapter:
        session = self._session()
        if session is None:
            raise requests.exceptions.InvalidSchema(f"the session is gone that was to call {without_secrets(url)!r}")
        if "@" in url and "@" in (authority := urlsplit(url).netloc):
            scheme, host = url.partition(":")[0], authority.rpartition("@")[2]
            adapter = session.adapters.get(f"{scheme}://{host}/".lower())
            if isinstance(adapter, DiscoveryAdapter):
                return adapter
        return type(session).get_adapter(session, url)


def member_of(response: requests.Response) -> Member:
    """The member that answered; the same as ``response.member``, which type checkers do not know of.

    Raises:
        LookupError: the response did not come through a `DiscoveryAdapter`.
    """
    return member_found(getattr(response, "member", None), response)


def attempts_of(of: requests.Response | BaseException) -> tuple[Attempt, ...]:
    """The attempts of the call that ended with this response or this error, the last one included.

    What ``response.attempts`` is a sequence of. Empty if it did not come through a `DiscoveryAdapter`.
    """
    return attempts_on(of)


class _Outgoing(requests.PreparedRequest):
    """A request as it goes to one member: a URL and headers of its own, everything else shared with the original.

    Attributes:
        base: of the member's URL, as far as its root path.
        following: the attempt after this one, if the answer moved the call.
    """

    def __init__(self, original: requests.PreparedRequest, base: str, call: Call, attempt: Pick) -> None:
        vars(self).update(vars(original))
        self.original, self.call, self.attempt = original, call, attempt
        self.following: Pick | None = None
        self.asked = urlsplit(original.url or "")
        self.base = base
        self.url = base + original.path_url
        # requests sends no Host header of its own, and urllib3 would send the address of the member. One that the
        # caller set wins, and stands first too.
        self.headers = outgoing_headers(original.headers, self.asked.netloc.rpartition("@")[2])
        if attempt.watched is not None:
            self.headers.update(attempt.watched.headers)


class DiscoveryAdapter(HTTPAdapter):
    """Sends every request it is given to a member of one service.

    Args:
        service: the name of the service, and the host in the URL that TLS certificates of the members must carry.
        balancer: chooses the member, or a function that makes the balancer from the name (`WeightedRandom`, say).
            By default `LeastLatency` on the default registry.
        attempts: the most attempts of one request; 3 by default.
        deadline: seconds from the start of a request to the head of its answer, over all attempts; requests has one
            read timeout for head and body, so what is left at the head is also the longest gap in the body. None:
            the ``timeout=`` of the request decides, and all connecting together takes 30 s at most.
        policy: these two and all else about how far a request goes, in place of them.
        pool_maxsize: idle connections kept per member.

    Proxies are not used, neither those of the environment nor those of the session: members are in reach.
    With ``https://`` the connection is TLS whatever the member registered.

    Raises, from a request:
        NoMemberError: there is no member to send it to.
        CircuitOpenError: the policy has a circuit breaker, and it is open.

    Any other error is the one of the last attempt.

    The response tells who answered, ``response.member``, and of all attempts at it (`attempts_of`). An adapter can be
    pickled if its balancer can; one with the default balancer then uses the default registry of the process it arrives
    in.
    """

    __attrs__ = [*HTTPAdapter.__attrs__, "_name", "_given", "_policy"]  # noqa: RUF012 (what HTTPAdapter pickles)

    def __init__(
        self,
        service: str,
        balancer: Given | None = None,
        *,
        attempts: int | None = None,
        deadline: float | None = None,
        policy: CallPolicy | None = None,
        pool_maxsize: int = 10,
    ) -> None:
        if not isinstance(pool_maxsize, int) or pool_maxsize < 1:
            raise ValueError(f"pool_maxsize is {pool_maxsize!r}; accepted: a whole number from 1")
        self._name, self._given = checked_service(service), LeastLatency if balancer is None else balancer
        self._policy = given_policy(policy, attempts, deadline)
        # One pool per member, however many there are. With the usual limit of 10 pools, round robin over 11 members
        # finds every pool just dropped and connects anew for every request.
        super().__init__(pool_connections=sys.maxsize, pool_maxsize=pool_maxsize)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called by requests when the adapter is made and when it is unpickled."""
        super().init_poolmanager(*args, **kwargs)
        balancer = reporting(self._given, self._name)
        # Of members that are called without TLS, by base URL and ``verify=``, for as long as the manager has them.
        self._pools: weakref.WeakValueDictionary[tuple[str, Any], HTTPConnectionPool] = weakref.WeakValueDictionary()
        changed = functools.partial(_close_others, self.poolmanager)
        self._service: CalledService[str] = CalledService(
            self._name, balancer, self._policy, _ERRORS, str, logger, changed
        )

    @property
    def policy(self) -> CallPolicy:
        """How far a call may go; may be changed at any time, for the calls that begin after that."""
        return self._policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        self._policy = self._service.policy = checked_policy(policy)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        service = self._service
        replayable = request.body is None or isinstance(request.body, (bytes, str))
        call = service.call(request.method or "", request.url, replayable, monotonic())
        if not service.ready:
            service.wait(monotonic())
        attempt = service.first(call, request, monotonic())
        while True:
            try:
                if attempt.delay:
                    sleep(attempt.delay)
                outgoing = self._outgoing(request, call, attempt)
                response = self._send(outgoing, stream, timeout, verify, cert)
                following = outgoing.following
                if following is None:
                    return response
            except BaseException as error:
                following = service.after(call, attempt, error, monotonic())
                if following is None:
                    raise
            attempt = following

    def _outgoing(self, request: requests.PreparedRequest, call: Call, attempt: Pick) -> _Outgoing:
        """The request as it goes to the member of this attempt."""
        asked = (request.url or "").partition(":")[0]
        try:
            base = self._service.origins.of(attempt.member, asked, self._service.view)
        except UnusableAddress as error:
            raise requests.exceptions.InvalidURL(str(error), request=request) from error
        return _Outgoing(request, base, call, attempt)

    def _send(self, outgoing: _Outgoing, stream: bool, timeout: Any, verify: Any, cert: Any) -> requests.Response:
        """One attempt. Every error of it is one of requests, and names the request that the caller made."""
        try:
            return super().send(outgoing, stream, _cut(timeout, outgoing.attempt), verify, cert)
        except LocationValueError as error:
            raise requests.exceptions.InvalidURL(str(error), request=outgoing.original) from error
        except requests.RequestException as error:
            error.request = outgoing.original
            raise

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Called by `send` with what a member answered; the response is in the caller's terms."""
        if not isinstance(req, _Outgoing):
            return super().build_response(req, resp)
        attempt = req.attempt
        try:
            req.following = self._service.answered(
                req.call, attempt, resp.status, resp.headers.get, req.original, monotonic()
            )
        except BaseException:
            close_unread(resp)
            raise
        if req.following is not None:
            close_unread(resp)
            return requests.Response()  # which `send` does not look at

        def in_callers_terms(name: str, value: str) -> str:
            scheme, members = urlsplit(req.url or "").scheme, self._service.balancer.members
            return Terms(req.original.url or "", attempt.member, scheme, members).header(name, value)

        translate_headers(resp, TRANSLATED, in_callers_terms)
        response = super().build_response(req.original, resp)
        tell_end(resp, lambda complete: attempt.ended(monotonic(), complete))
        response.member, response.attempts = attempt.member, Trail(req.call)  # type: ignore[attr-defined]
        return response

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Called by `send`: TLS to a member asks for, and verifies, the name in the caller's URL."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if isinstance(request, _Outgoing) and host["scheme"] == "https":
            name = request.asked.hostname
            return host, {**pool, "server_hostname": name, "assert_hostname": name}
        return host, pool

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Called by `send`: the connection pool of the member, without asking for a proxy."""
        # Finding a pool by all that it was made for takes longer than all else that balancing does. With TLS that is
        # more than the member: names, certificates, and contexts that are somebody else's.
        known = (request.base, verify) if isinstance(request, _Outgoing) and request.base.startswith("http:") else None
        found = self._pools.get(known) if known is not None else None
        if found is not None:
            return found
        try:
            host, pool = self.build_connection_pool_key_attributes(request, verify, cert)
        except ValueError as error:
            raise requests.exceptions.InvalidURL(error, request=request) from error
        made = self.poolmanager.connection_from_host(**host, pool_kwargs=pool)
        if known is not None:
            self._pools[known] = made
        return made

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Called by `send`: what stands in the request line, which is the path wherever there is no proxy."""
        return request.path_url


def _close_others(manager: PoolManager, members: Iterable[Member]) -> None:
    """Close the connections to everybody but these."""
    drop_pools(manager, {(member.host.lower(), member.port) for member in members})


def _reached(error: BaseException) -> Reached | None:
    """How far the attempt got, None if the member has nothing to do with what failed."""
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.InvalidURL)):
        return Reached.UNCONNECTED
    if not isinstance(error, (requests.ConnectionError, requests.Timeout)):
        return None
    if never_connected(error):
        return Reached.UNCONNECTED
    return Reached.TIMED_OUT if isinstance(error, requests.Timeout) else Reached.BROKEN


def _cut(timeout: Any, attempt: Pick) -> Any:
    """The ``timeout=`` of a request, in any form that requests takes, cut to what is left."""
    total: Any = attempt.answer_limit
    if isinstance(timeout, Timeout):
        asked, connect, read = phases(timeout)
        total = shorter(asked, total)
    elif isinstance(timeout, tuple) and len(timeout) != 2:
        return timeout  # requests knows how to say what is wrong with it.
    else:
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    connect = shorter(connect, attempt.connect_limit)
    return (connect, read) if total is None else Timeout(total=total, connect=connect, read=read)


_ERRORS = ClientErrors(NoMemberError, requests.ReadTimeout, _reached, CircuitOpenError)
