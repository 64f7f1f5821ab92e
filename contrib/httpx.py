"""httpx: ``client.get("http://orders/items")`` goes to a member of the service ``orders``.

One transport serves `httpx.Client` and `httpx.AsyncClient`, in front of the transport that has the connections:

    httpx.Client(transport=DiscoveryTransport())
    httpx.AsyncClient(mounts={"http://orders": DiscoveryTransport()})

The request that the client made is never changed, and a request of its own goes out for every attempt. So redirects,
cookies, event hooks and `response.url` stay in terms of the service.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from urllib.parse import urlsplit

import attrs

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.httpx needs httpx: pip install 'pydoudou[httpx]'") from error

from ..balancers import RoundRobin
from ..balancers.calls.call import Call, Failure, Picker, Policy, shorter
from ..balancers.calls.urls import LOGICAL_SCHEME, is_service_name, logical_location, member_base, member_scheme
from ..drivers.errors import NoMemberAvailable
from ..drivers.members import Member
from .httpx_pools import Given, MemberPools

__all__ = ["DiscoveryTransport", "NoMemberError"]

logger = logging.getLogger(__name__)

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
_UNANSWERED = (httpx.NetworkError, httpx.RemoteProtocolError)


class NoMemberError(httpx.ConnectError):
    """No member of the service can be picked; the `NoMemberAvailable` that says why is the ``__cause__``."""


@attrs.define
class _Service:
    """A service as the transport calls it.

    Attributes:
        host: the name in the URL, which a member's certificate must carry.
    """

    host: str
    balancer: Picker
    _origins: dict[tuple[str, str, int, str], httpx.URL] = attrs.field(factory=dict, init=False)

    def origin(self, member: Member, scheme: str) -> httpx.URL:
        """The base URL of the member, parsed once per member."""
        key = (scheme, member.host, member.port, member.root_path)
        origin = self._origins.get(key)
        if origin is None:
            if len(self._origins) > 2 * sum(1 for _ in self.balancer.members()):
                self._origins.clear()
            origin = self._origins[key] = httpx.URL(member_base(member, scheme))
        return origin


class DiscoveryTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Sends requests for services to their members, and every other request on as it is.

    A host is a service if it is named in `services`, if it has one label and is neither ``localhost`` nor a number, or
    if the scheme is ``lb``. A port in the URL of a service is ignored: the members have their own. With ``https://``
    the connection is TLS whatever the member registered, and the certificate must carry the name in the URL.

    Args:
        transport: makes the transport that holds the connections to one member: the class `httpx.HTTPTransport` for
            `httpx.Client`, `httpx.AsyncHTTPTransport` for `httpx.AsyncClient`, or a function that calls it with
            options. By default one without options: the client's own ``verify=``, ``cert=``, ``http2=`` and
            ``limits=`` do not reach it. An instance is accepted too; then all members share its one pool.
        services: host name in the URL to service name, for names that a URL cannot carry: URLs have lower-case hosts.
        balancer: makes the balancer of a service from its name (`WeightedRandom`, say), or balancers by service name.
            By default, and for services that the mapping lacks, `RoundRobin` on the default registry.
        attempts: the most members that one request tries.
        deadline: seconds from the start of a request to the head of its answer, over all attempts. None: the client's
            timeouts decide, and all connecting together takes 30 s at most.

    Raises, from a request:
        NoMemberError: there is no member to send it to. Any other error is the one of the last attempt.

    The response tells who answered: ``response.extensions["member"]``, a `Member`.
    """

    def __init__(
        self,
        transport: Given = None,
        *,
        services: Mapping[str, str] | None = None,
        balancer: Callable[[str], Picker] | Mapping[str, Picker] | None = None,
        attempts: int = 3,
        deadline: float | None = None,
    ) -> None:
        if balancer is not None and not callable(balancer) and not isinstance(balancer, Mapping):
            raise TypeError(
                f"balancer is a {type(balancer).__name__}; accepted: a function from a service name to its balancer "
                f"(a class such as WeightedRandom is one), or a mapping from service names to balancers"
            )
        self._names = {host.lower(): name for host, name in (services or {}).items()}
        self._balancer = balancer
        self._policy = Policy(attempts, deadline)
        self._services: dict[str, _Service] = {}
        self._lock = threading.Lock()
        self._sync: MemberPools[httpx.BaseTransport] = MemberPools(
            transport, httpx.BaseTransport, lambda context: httpx.HTTPTransport(verify=context), self._members
        )
        self._async: MemberPools[httpx.AsyncBaseTransport] = MemberPools(
            transport, httpx.AsyncBaseTransport, lambda context: httpx.AsyncHTTPTransport(verify=context), self._members
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        service = self._service(request.url)
        if service is None:
            return self._sync.elsewhere().handle_request(request)
        for pool in self._sync.surplus():
            pool.close()
        exchange = _Exchange(request, service, self._policy)
        while True:
            try:
                response = self._sync.of(exchange.member).handle_request(exchange.attempt())
            except httpx.TransportError as error:
                if not exchange.moves_after(error):
                    raise
            else:
                return exchange.answered(response)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        service = self._service(request.url)
        if service is None:
            return await self._async.elsewhere().handle_async_request(request)
        for pool in self._async.surplus():
            await pool.aclose()
        exchange = _Exchange(request, service, self._policy)
        while True:
            try:
                response = await self._async.of(exchange.member).handle_async_request(exchange.attempt())
            except httpx.TransportError as error:
                if not exchange.moves_after(error):
                    raise
            else:
                return exchange.answered(response)

    def close(self) -> None:
        for pool in self._sync.all():
            pool.close()

    async def aclose(self) -> None:
        for pool in self._async.all():
            await pool.aclose()

    def _members(self) -> list[Member]:
        return [member for service in list(self._services.values()) for member in service.balancer.members()]

    def _service(self, url: httpx.URL) -> _Service | None:
        host, scheme = url.host, url.scheme
        if scheme != LOGICAL_SCHEME and not (
            scheme in ("http", "https") and (is_service_name(host) or host in self._names)
        ):
            return None
        service = self._services.get(host)
        if service is None:
            with self._lock:
                service = self._services.get(host)
                if service is None:
                    service = self._services[host] = _Service(host, self._balancer_of(self._names.get(host, host)))
        return service

    def _balancer_of(self, name: str) -> Picker:
        if isinstance(self._balancer, Mapping):
            return self._balancer.get(name) or RoundRobin(name)
        return (self._balancer or RoundRobin)(name)


class _Exchange:
    """One request of the client and the attempts at it. Everything but the sending, which is sync or async."""

    def __init__(self, request: httpx.Request, service: _Service, policy: Policy) -> None:
        self._request = request
        self._service = service
        self._timeout: dict[str, float | None] = {}
        # Any other stream reads from an iterator or a file and is empty, or an error, the second time.
        replayable = isinstance(request.stream, httpx.ByteStream)
        self._call = Call(policy, service.balancer, request.method, replayable, monotonic())
        try:
            self.member = self._call.first()
        except NoMemberAvailable as error:
            raise NoMemberError(str(error), request=request) from error
        self._scheme = ""

    def attempt(self) -> httpx.Request:
        """The request as it goes to the present member."""
        request, member = self._request, self.member
        scheme = self._scheme = member_scheme(request.url.scheme, member)
        try:
            origin = self._service.origin(member, scheme)
        except httpx.InvalidURL as error:
            raise httpx.ConnectError(f"{member} has no usable address: {error}", request=request) from error
        extensions = {**request.extensions, "timeout": self._cut_timeouts()}
        if scheme == "https":
            extensions.setdefault("sni_hostname", self._service.host)
        return httpx.Request(
            request.method,
            _moved(request.url, origin),
            headers=request.headers,
            stream=request.stream,
            extensions=extensions,
        )

    def moves_after(self, error: httpx.TransportError) -> bool:
        """Whether there is another member to try after `error`; then `attempt` is for that one."""
        following = self._call.next(_failure(error), monotonic())
        if following is None:
            return False
        logger.info(
            "%s %s: %s failed (%r), trying %s",
            self._request.method,
            self._request.url,
            self.member.address,
            error,
            following.address,
        )
        self.member = following
        return True

    def answered(self, response: httpx.Response) -> httpx.Response:
        """The member's response, in the caller's terms."""
        response.extensions["member"] = self.member
        if "read" in self._timeout:
            # The deadline ends with the head of the answer; between two pieces of the body the client's timeout rules.
            self._timeout["read"] = self._request.extensions.get("timeout", {}).get("read")
        if response.status_code > 200 and "location" in response.headers:
            location = logical_location(
                response.headers["location"],
                asked=urlsplit(str(self._request.url)),
                member=self.member,
                scheme=self._scheme,
                members=self._service.balancer.members(),
            )
            if location is not None:
                response.headers["location"] = location
        return response

    def _cut_timeouts(self) -> dict[str, float | None]:
        """The request's timeouts, cut to what is left."""
        now = monotonic()
        self._timeout = dict(self._request.extensions.get("timeout", {}))
        self._timeout["connect"] = shorter(self._timeout.get("connect"), self._call.connect_limit(now))
        answer_limit = self._call.answer_limit(now)
        if answer_limit is not None:
            for phase in ("pool", "write", "read"):
                self._timeout[phase] = shorter(self._timeout.get(phase), answer_limit)
        return self._timeout


def _failure(error: httpx.TransportError) -> Failure:
    if isinstance(error, _UNSENT):
        return Failure.UNSENT
    return Failure.UNANSWERED if isinstance(error, _UNANSWERED) else Failure.FINAL


def _moved(url: httpx.URL, origin: httpx.URL) -> httpx.URL:
    """`url` at `origin`, below the path of `origin`."""
    try:
        # Both are parsed and quoted already. Parsing the result again takes 12 times as long, and a tenth of what the
        # whole request takes.
        there, here = origin._uri_reference, url._uri_reference
        root = there.path if len(there.path) > 1 else ""
        moved = object.__new__(httpx.URL)
        moved._uri_reference = there._replace(path=root + (here.path or "/"), query=here.query)
    except AttributeError:
        return origin.copy_with(raw_path=origin.raw_path.rstrip(b"/") + url.raw_path)
    return moved
