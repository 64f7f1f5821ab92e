"""The transport of httpx and httpx2, written once: which requests are balanced, and what goes out and comes back.

`contrib.httpx` and `contrib.httpx2` bind it to their library and give it the library's types; what is `Any` here is
one thing in one of them and another in the other.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic, sleep
from typing import Any, ClassVar, Generic, TypeVar

import anyio

from ..balancers import Balancer, RoundRobin
from ..balancers.calls.given import checked_policy
from ..balancers.calls.policy import CallPolicy, shorter
from ..balancers.calls.service import CalledService
from ..balancers.calls.services import Services
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.urls import LOGICAL_SCHEME, UnusableAddress, is_service_name, member_scheme
from ..balancers.memory.pick import Pick
from ..balancers.reporting import reporting
from ..drivers.members import Member
from .httpx_library import Library
from .httpx_pools import MemberPools

__all__ = ["BalancedTransport"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_SCHEMES = ("http", "https", LOGICAL_SCHEME)
_TRANSLATED = {name.encode(): name for name in TRANSLATED}


class BalancedTransport(Generic[RequestT, ResponseT]):
    """What `contrib.httpx.DiscoveryTransport` does, for the library of the class that inherits it.

    Attributes:
        library: set by the class.
    """

    library: ClassVar[Library]

    def __init__(
        self,
        transport: Any,
        services: Mapping[str, str] | None,
        balancer: Callable[[str], Balancer] | Mapping[str, Balancer] | None,
        policy: CallPolicy,
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
        self._policy = policy
        self._services: Services[Any] = Services()
        self._lock = threading.Lock()
        self._sync = MemberPools(self.library.module, transport, asynchronous=False)
        self._async = MemberPools(self.library.module, transport, asynchronous=True)

    @property
    def policy(self) -> CallPolicy:
        """How far a call may go; may be changed at any time, for the calls that begin after that."""
        return self._policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        with self._lock:
            self._policy = checked_policy(policy)
            for service in self._services.by_host.values():
                service.policy = policy

    def handle_request(self, request: RequestT) -> ResponseT:
        """Called by the library's `Client`."""
        asked: Any = request
        service = self._service(asked.url)
        if service is None:
            return self._sync.elsewhere().handle_request(request)  # type: ignore[no-any-return]
        if self._sync.retired:
            for pool in self._sync.surplus():
                pool.close()
        exchange = _Exchange(self.library, asked, service)
        call = exchange.call
        if not service.ready:
            service.wait(monotonic())
        attempt = service.first(call, request, monotonic())
        response: Any = None
        while True:
            try:
                if response is not None:  # of the attempt before, which nobody reads
                    _close(response)
                    response = None
                if attempt.delay:
                    sleep(attempt.delay)
                response = self._sync.of(service.host, attempt.member).handle_request(exchange.outgoing(attempt))
                following = service.answered(
                    call, attempt, response.status_code, response.headers.get, request, monotonic()
                )
                if following is None:
                    return exchange.incoming(attempt, response, self.library.sync_body)  # type: ignore[no-any-return]
            except BaseException as error:
                if response is not None:
                    _close(response)
                    response = None
                following = service.after(call, attempt, error, monotonic())
                if following is None:
                    raise
            attempt = following

    async def handle_async_request(self, request: RequestT) -> ResponseT:
        """Called by the library's `AsyncClient`."""
        asked: Any = request
        service = self._service(asked.url)
        if service is None:
            return await self._async.elsewhere().handle_async_request(request)  # type: ignore[no-any-return]
        if self._async.retired:
            for pool in self._async.surplus():
                await pool.aclose()
        exchange = _Exchange(self.library, asked, service)
        call = exchange.call
        if not service.ready:
            await service.wait_async(monotonic())
        attempt = service.first(call, request, monotonic())
        response: Any = None
        while True:
            try:
                if response is not None:
                    await _aclose(response)
                    response = None
                if attempt.delay:
                    await anyio.sleep(attempt.delay)
                transport = self._async.of(service.host, attempt.member)
                response = await transport.handle_async_request(exchange.outgoing(attempt))
                following = service.answered(
                    call, attempt, response.status_code, response.headers.get, request, monotonic()
                )
                if following is None:
                    return exchange.incoming(attempt, response, self.library.async_body)  # type: ignore[no-any-return]
            except BaseException as error:
                if response is not None:
                    await _aclose(response)
                    response = None
                following = service.after(call, attempt, error, monotonic())
                if following is None:
                    raise
            attempt = following

    def close(self) -> None:
        """Close the connections of the library's `Client`; the next request makes new ones."""
        for pool in self._sync.all():
            pool.close()

    async def aclose(self) -> None:
        """Close the connections of the library's `AsyncClient`; the next request makes new ones."""
        for pool in self._async.all():
            await pool.aclose()

    def _service(self, url: Any) -> CalledService[Any] | None:
        host, scheme = url.host, url.scheme
        service = self._services.by_host.get(host)
        if service is not None and scheme in _SCHEMES:
            return service
        if scheme == LOGICAL_SCHEME or (scheme in _SCHEMES and (is_service_name(host) or host in self._names)):
            return self._meet(host)
        return None

    def _meet(self, host: str) -> CalledService[Any]:
        """The service of a host that was not called before, or was forgotten."""
        library = self.library
        with self._lock:
            service = self._services.by_host.get(host)
            if service is None:
                name = self._names.get(host, host)
                given = self._balancer.get(name) if isinstance(self._balancer, Mapping) else self._balancer
                balancer = reporting(RoundRobin if given is None else given, name)
                retire = functools.partial(_retire, (self._sync, self._async), host)
                service = CalledService(
                    host, balancer, self._policy, library.errors, library.module.URL, library.log, retire
                )
                for forgotten in self._services.add(service):
                    _retire((self._sync, self._async), forgotten, ())
        return service


def _retire(pools: Iterable[MemberPools], host: str, members: Iterable[Member]) -> None:
    """Of the service that URLs call `host`, only these members are left."""
    present = tuple(members)
    for one in pools:
        one.retire(host, present)


def _close(response: Any) -> None:
    """Close an answer that nobody reads. That it cannot be closed properly concerns no attempt that follows."""
    with contextlib.suppress(Exception):
        response.close()


async def _aclose(response: Any) -> None:
    with contextlib.suppress(Exception):
        await response.aclose()


class _Timeouts(dict[str, float | None]):
    """The timeouts of the phases of a request, within the time of its attempt.

    httpcore asks for a phase's timeout when the phase begins: then it is cut to what the ones before have left over.

    Attributes:
        until: when the answer has to be there; None if nobody says, or it is.
    """

    until: float | None = None

    def get(self, phase: str, default: Any = None) -> Any:
        asked = dict.get(self, phase, default)
        if self.until is None:
            return asked
        # A timeout of 0 would mean not to wait, which is an error of another kind.
        left = max(self.until - monotonic(), 0.001)
        return left if asked is None or left < asked else asked


class _Exchange:
    """One request of the client, out and in. Everything but the sending, which is sync or async."""

    def __init__(self, library: Library, request: Any, service: CalledService[Any]) -> None:
        self._library, self._request, self._service = library, request, service
        # Any other stream reads from an iterator or a file and is empty, or an error, the second time.
        replayable = isinstance(request.stream, library.module.ByteStream)
        self.call = service.call(request.method, request.url, replayable, monotonic())

    def outgoing(self, attempt: Pick) -> Any:
        """The request as it goes to the member of this attempt."""
        request, service, member = self._request, self._service, attempt.member
        module, internals = self._library.module, self._library.internals
        scheme = self._scheme = member_scheme(request.url.scheme, member)
        try:
            origin = service.origins.of(member, scheme, service.view)
        except (UnusableAddress, module.InvalidURL) as error:
            raise module.ConnectError(str(error), request=request) from error
        self._timeout = timeout = _Timeouts(request.extensions.get("timeout", {}))
        timeout["connect"] = shorter(timeout.get("connect"), attempt.connect_limit)
        if attempt.answer_limit is not None:
            timeout["pool"] = shorter(timeout.get("pool"), attempt.connect_limit)
            for phase in ("write", "read"):
                timeout[phase] = shorter(timeout.get(phase), attempt.answer_limit)
            timeout.until = attempt.started + attempt.answer_limit
        extensions = {**request.extensions, "timeout": timeout}
        if scheme == "https":
            extensions.setdefault("sni_hostname", service.host)
        return internals.copied(request, internals.moved(request.url, origin), extensions)

    def incoming(self, attempt: Pick, response: Any, body: type[Any]) -> Any:
        """The member's response, in the caller's terms."""
        if response.is_closed:
            attempt.ended(monotonic(), True)
        else:
            response.stream = body(response.stream, attempt)
        response.extensions["member"] = attempt.member
        response.extensions["attempts"] = self.call.trail
        if self._timeout.until is not None:
            # The time for an answer ends with its head; between two pieces of the body the client's timeout rules.
            self._timeout.until = None
            self._timeout["read"] = self._request.extensions.get("timeout", {}).get("read")
        raw = response.headers.raw
        for name, _ in raw:
            if name.lower() in _TRANSLATED:
                response.headers = self._library.module.Headers(list(self._translated(raw, attempt)))
                break
        return response

    def _translated(self, raw: list[tuple[bytes, bytes]], attempt: Pick) -> Iterator[tuple[bytes, bytes]]:
        """The headers in the caller's terms."""
        terms = Terms(str(self._request.url), attempt.member, self._scheme, self._service.balancer.members)
        for name, value in raw:
            known = _TRANSLATED.get(name.lower())
            # What a header may hold besides ASCII is bytes to HTTP; Latin-1 has a character for each.
            yield name, value if known is None else terms.header(known, value.decode("latin-1")).encode("latin-1")
