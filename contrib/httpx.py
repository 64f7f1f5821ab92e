"""httpx: ``client.get("http://orders/items")`` goes to a member of the service ``orders``.

One transport serves `httpx.Client` and `httpx.AsyncClient`, in front of the transport that has the connections:

    httpx.Client(transport=DiscoveryTransport())
    httpx.AsyncClient(mounts={"http://orders": DiscoveryTransport()})

The request that the client made is never changed, and a request of its own goes out for every attempt. So redirects,
cookies, event hooks and `response.url` stay in terms of the service.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from time import monotonic
from typing import Any

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.httpx needs httpx: pip install 'pydoudou[httpx]'") from error

from ..balancers import Balancer, RoundRobin
from ..balancers.calls.policy import CallPolicy, shorter
from ..balancers.calls.service import CalledService, ClientErrors
from ..balancers.calls.services import Services
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.urls import LOGICAL_SCHEME, UnusableAddress, is_service_name, member_scheme
from ..balancers.memory.pick import Pick
from ..balancers.reporting import reporting
from ..drivers.members import Member, Reached
from .httpx_internals import copied, moved
from .httpx_pools import Given, MemberPools

__all__ = ["DiscoveryTransport", "NoMemberError", "member_of"]

logger = logging.getLogger(__name__)

_UNCONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_SCHEMES = ("http", "https", LOGICAL_SCHEME)
_TRANSLATED = {name.encode(): name for name in TRANSLATED}
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError)


class NoMemberError(httpx.ConnectError):
    """No member of the service can be picked; the `NoMemberAvailable` that says why is the ``__cause__``."""


def member_of(response: httpx.Response) -> Member:
    """The member that answered; the same as ``response.extensions["member"]``, with its type.

    Raises:
        LookupError: the response did not come through a `DiscoveryTransport`.
    """
    member = response.extensions.get("member")
    if not isinstance(member, Member):
        raise LookupError(f"{response!r} did not come from a member of a service")
    return member


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
        balancer: Callable[[str], Balancer] | Mapping[str, Balancer] | None = None,
        attempts: int = 3,
        deadline: float | None = None,
    ) -> None:
        if balancer is not None and not callable(balancer) and not isinstance(balancer, Mapping):
            raise TypeError(
                f"balancer is a {type(balancer).__name__}; accepted: a function from a service name to its balancer "
                f"(a class such as WeightedRandom is one), or a mapping from service names to balancers"
            )
        if isinstance(balancer, Mapping):
            for name, one in balancer.items():
                reporting(one, name)
        if services is not None and not (
            isinstance(services, Mapping) and all(isinstance(text, str) for item in services.items() for text in item)
        ):
            raise TypeError(f"services is {services!r}; accepted: a mapping from hosts in URLs to names of services")
        self._names = {host.lower(): name for host, name in (services or {}).items()}
        self._balancer = balancer
        self._policy = CallPolicy(attempts, deadline)
        self._services: Services[httpx.URL] = Services()
        self._lock = threading.Lock()
        self._sync: MemberPools[httpx.BaseTransport] = MemberPools(
            transport, httpx.BaseTransport, lambda context: httpx.HTTPTransport(verify=context)
        )
        self._async: MemberPools[httpx.AsyncBaseTransport] = MemberPools(
            transport, httpx.AsyncBaseTransport, lambda context: httpx.AsyncHTTPTransport(verify=context)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Called by `httpx.Client`."""
        service = self._service(request.url)
        if service is None:
            return self._sync.elsewhere().handle_request(request)
        if self._sync.retired:
            for pool in self._sync.surplus():
                pool.close()
        exchange = _Exchange(request, service)
        if not service.ready:
            service.wait(monotonic())
        attempt = service.first(exchange.call, request, monotonic())
        while True:
            try:
                response = self._sync.of(service.host, attempt.member).handle_request(exchange.outgoing(attempt))
                if attempt.answered(response.status_code, monotonic()):
                    return exchange.incoming(attempt, response, _SyncBody)
                response.close()
                raise service.too_late(request)
            except BaseException as error:
                following = service.after(exchange.call, attempt, error, monotonic())
                if following is None:
                    raise
                attempt = following

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Called by `httpx.AsyncClient`."""
        service = self._service(request.url)
        if service is None:
            return await self._async.elsewhere().handle_async_request(request)
        if self._async.retired:
            for pool in self._async.surplus():
                await pool.aclose()
        exchange = _Exchange(request, service)
        if not service.ready:
            await service.wait_async(monotonic())
        attempt = service.first(exchange.call, request, monotonic())
        while True:
            try:
                transport = self._async.of(service.host, attempt.member)
                response = await transport.handle_async_request(exchange.outgoing(attempt))
                if attempt.answered(response.status_code, monotonic()):
                    return exchange.incoming(attempt, response, _AsyncBody)
                await response.aclose()
                raise service.too_late(request)
            except BaseException as error:
                following = service.after(exchange.call, attempt, error, monotonic())
                if following is None:
                    raise
                attempt = following

    def close(self) -> None:
        """Close the connections of `httpx.Client`; the next request makes new ones."""
        for pool in self._sync.all():
            pool.close()

    async def aclose(self) -> None:
        """Close the connections of `httpx.AsyncClient`; the next request makes new ones."""
        for pool in self._async.all():
            await pool.aclose()

    def _service(self, url: httpx.URL) -> CalledService[httpx.URL] | None:
        host, scheme = url.host, url.scheme
        service = self._services.by_host.get(host)
        if service is not None and scheme in _SCHEMES:
            return service
        if scheme == LOGICAL_SCHEME or (scheme in _SCHEMES and (is_service_name(host) or host in self._names)):
            return self._meet(host)
        return None

    def _meet(self, host: str) -> CalledService[httpx.URL]:
        """The service of a host that was not called before, or was forgotten."""
        with self._lock:
            service = self._services.by_host.get(host)
            if service is None:
                name = self._names.get(host, host)
                given = self._balancer.get(name) if isinstance(self._balancer, Mapping) else self._balancer
                balancer = reporting(RoundRobin if given is None else given, name)
                retire = functools.partial(_retire, (self._sync, self._async), host)
                service = CalledService(host, balancer, self._policy, _ERRORS, httpx.URL, logger, retire)
                for forgotten in self._services.add(service):
                    _retire((self._sync, self._async), forgotten, ())
        return service


def _retire(pools: Iterable[MemberPools[Any]], host: str, members: Iterable[Member]) -> None:
    """Of the service that URLs call `host`, only these members are left."""
    present = tuple(members)
    for one in pools:
        one.retire(host, present)


class _Exchange:
    """One request of the client, out and in. Everything but the sending, which is sync or async."""

    def __init__(self, request: httpx.Request, service: CalledService[httpx.URL]) -> None:
        self._request, self._service = request, service
        # Any other stream reads from an iterator or a file and is empty, or an error, the second time.
        replayable = isinstance(request.stream, httpx.ByteStream)
        self.call = service.call(request.method, request.url, replayable, monotonic())

    def outgoing(self, attempt: Pick) -> httpx.Request:
        """The request as it goes to the member of this attempt."""
        request, service, member = self._request, self._service, attempt.member
        scheme = self._scheme = member_scheme(request.url.scheme, member)
        try:
            origin = service.origins.of(member, scheme, service.view)
        except (UnusableAddress, httpx.InvalidURL) as error:
            raise httpx.ConnectError(str(error), request=request) from error
        self._timeout = timeout = dict(request.extensions.get("timeout", {}))
        timeout["connect"] = shorter(timeout.get("connect"), attempt.connect_limit)
        if attempt.answer_limit is not None:
            timeout["pool"] = shorter(timeout.get("pool"), attempt.connect_limit)
            for phase in ("write", "read"):
                timeout[phase] = shorter(timeout.get(phase), attempt.answer_limit)
        extensions = {**request.extensions, "timeout": timeout}
        if scheme == "https":
            extensions.setdefault("sni_hostname", service.host)
        return copied(request, moved(request.url, origin), extensions)

    def incoming(
        self, attempt: Pick, response: httpx.Response, body: type[_SyncBody] | type[_AsyncBody]
    ) -> httpx.Response:
        """The member's response, in the caller's terms."""
        if response.is_closed:
            attempt.ended(monotonic(), True)
        else:
            response.stream = body(response.stream, attempt)
        response.extensions["member"] = attempt.member
        if "read" in self._timeout:
            # The deadline ends with the head of the answer; between two pieces of the body the client's timeout rules.
            self._timeout["read"] = self._request.extensions.get("timeout", {}).get("read")
        raw = response.headers.raw
        for name, _ in raw:
            if name.lower() in _TRANSLATED:
                response.headers = httpx.Headers(list(self._translated(raw, attempt)))
                break
        return response

    def _translated(self, raw: list[tuple[bytes, bytes]], attempt: Pick) -> Iterator[tuple[bytes, bytes]]:
        """The headers in the caller's terms."""
        terms = Terms(str(self._request.url), attempt.member, self._scheme, self._service.balancer.members)
        for name, value in raw:
            known = _TRANSLATED.get(name.lower())
            # What a header may hold besides ASCII is bytes to HTTP; Latin-1 has a character for each.
            yield name, value if known is None else terms.header(known, value.decode("latin-1")).encode("latin-1")


class _Body:
    """The body of an answer, which tells the attempt when it ends, and then keeps nothing of it.

    httpx ties a response and its body into a knot that only the garbage collector undoes.
    """

    def __init__(self, stream: Any, attempt: Pick) -> None:
        self._stream, self._attempt = stream, attempt

    def _ended(self, complete: bool) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.ended(monotonic(), complete)

    _attempt: Pick | None


class _SyncBody(_Body, httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except BaseException:
            self._ended(False)
            raise
        self._ended(True)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            if self._attempt is not None:
                self._ended(False)


class _AsyncBody(_Body, httpx.AsyncByteStream):
    def __aiter__(self) -> AsyncIterator[bytes]:
        # An asynchronous generator would be shorter; the event loop keeps a record of each one, which costs more than
        # all the rest of this class.
        self._parts = self._stream.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._parts.__anext__()  # type: ignore[no-any-return]
        except BaseException as error:
            self._ended(isinstance(error, StopAsyncIteration))
            raise

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            if self._attempt is not None:
                self._ended(False)


def _reached(error: BaseException) -> Reached | None:
    """How far the attempt got, None if the member has nothing to do with what failed."""
    if isinstance(error, _UNCONNECTED):
        return Reached.UNCONNECTED
    if isinstance(error, _BROKEN):
        return Reached.BROKEN
    return Reached.TIMED_OUT if isinstance(error, httpx.TimeoutException) else None


_ERRORS = ClientErrors(NoMemberError, httpx.ReadTimeout, _reached)
