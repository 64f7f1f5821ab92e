"""The transport of httpx and httpx2, written once: which requests are balanced, and what goes out and comes back.

`contrib.httpx` and `contrib.httpx2` bind it to their library and give it the library's types; what is `Any` here is
one thing in one of them and another in the other.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic, sleep
from typing import Any, ClassVar, Generic, TypeVar

import anyio

from ..balancers.calls.call import Call
from ..balancers.calls.policy import CallPolicy, shorter
from ..balancers.calls.service import CalledService
from ..balancers.calls.terms import TRANSLATED, Terms
from ..balancers.calls.trail import Trail
from ..balancers.calls.urls import LOGICAL_SCHEME, member_scheme
from ..balancers.memory.pick import Pick
from ..drivers.members import Member
from .hedged import sent_with_a_hedge
from .httpx_library import Library
from .httpx_pools import MemberPools
from .service_hosts import GivenBalancers, ServiceHosts

__all__ = ["BalancedTransport"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_SCHEMES = ("http", "https", LOGICAL_SCHEME)
_TRANSLATED = {name.encode(): name for name in TRANSLATED}
_TRANSLATED_NAMES = frozenset(_TRANSLATED)


class BalancedTransport(Generic[RequestT, ResponseT]):
    """What `contrib.httpx.DiscoveryTransport` does, for the library of the class that inherits it.

    Attributes:
        library: set by the class.
    """

    library: ClassVar[Library]

    def __init__(
        self, transport: Any, services: Mapping[str, str] | None, balancer: GivenBalancers, policy: CallPolicy
    ) -> None:
        library = self.library
        self._hosts: ServiceHosts[Any] = ServiceHosts(
            services, balancer, policy, library.errors, library.module.URL, library.log, _SCHEMES, self._retire
        )
        self._sync = MemberPools(library.module, transport, asynchronous=False)
        self._async = MemberPools(library.module, transport, asynchronous=True)

    @property
    def policy(self) -> CallPolicy:
        """How far a call may go; may be changed at any time, for the calls that begin after that."""
        return self._hosts.policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        self._hosts.policy = policy

    def handle_request(self, request: RequestT) -> ResponseT:
        """Called by the library's `Client`."""
        asked: Any = request
        url = asked.url
        scheme = url.scheme
        service = self._hosts.of(scheme, url.host)
        if service is None:
            return self._sync.elsewhere().handle_request(request)  # type: ignore[no-any-return]
        if self._sync.retired:
            for pool in self._sync.surplus():
                pool.close()
        exchange = _Exchange(self.library, asked, scheme, service)
        attempt = exchange.plain_attempt()
        if attempt is None:
            call = exchange.begin()
            if not service.ready:
                service.wait(monotonic())
            attempt = service.first(call, request, monotonic())
        response: Any = None
        while True:
            try:
                if response is not None:  # of the attempt before, which nobody reads
                    _leave(response)
                    response = None
                if attempt.delay:
                    sleep(attempt.delay)
                sent = exchange.outgoing(attempt)
                response = self._sync.of(service.host, attempt.member).handle_request(sent)
                following = exchange.answered(attempt, response)
                if following is None:
                    return exchange.incoming(attempt, sent, response, self.library.sync_body)  # type: ignore[no-any-return]
            except BaseException as error:
                if response is not None:
                    _close(response)
                    response = None
                following = service.after(exchange.call_of(attempt), attempt, error, monotonic())
                if following is None:
                    raise
            attempt = following

    async def handle_async_request(self, request: RequestT) -> ResponseT:
        """Called by the library's `AsyncClient`."""
        asked: Any = request
        url = asked.url
        scheme = url.scheme
        service = self._hosts.of(scheme, url.host)
        if service is None:
            return await self._async.elsewhere().handle_async_request(request)  # type: ignore[no-any-return]
        if self._async.retired:
            for pool in self._async.surplus():
                await pool.aclose()
        exchange = _Exchange(self.library, asked, scheme, service)
        attempt = exchange.plain_attempt()
        if attempt is None:
            call = exchange.begin()
            if not service.ready:
                await service.wait_async(monotonic())
            attempt = service.first(call, request, monotonic())
        response: Any = None
        while True:
            try:
                if response is not None:
                    await _leave_async(response)
                    response = None
                if attempt.delay:
                    await anyio.sleep(attempt.delay)
                after = exchange.hedge_after()
                if after is None:
                    sent = exchange.outgoing(attempt)
                    response = await self._async.of(service.host, attempt.member).handle_async_request(sent)
                else:
                    send = functools.partial(self._send, exchange)
                    ended = await sent_with_a_hedge(service, exchange.call_of(attempt), attempt, after, send, _discard)
                    attempt = ended.attempt
                    if ended.response is None:
                        raise ended.error or AssertionError("neither an answer nor an error")
                    sent, response = ended.response
                following = exchange.answered(attempt, response)
                if following is None:
                    return exchange.incoming(attempt, sent, response, self.library.async_body)  # type: ignore[no-any-return]
            except BaseException as error:
                if response is not None:
                    await _aclose(response)
                    response = None
                following = service.after(exchange.call_of(attempt), attempt, error, monotonic())
                if following is None:
                    raise
            attempt = following

    async def _send(self, exchange: _Exchange, attempt: Pick) -> tuple[Any, Any]:
        """One attempt of two: what is sent, and the answer."""
        sent = exchange.outgoing(attempt)
        transport = self._async.of(exchange.service.host, attempt.member)
        return sent, await transport.handle_async_request(sent)

    def close(self) -> None:
        """Close the connections of the library's `Client`; the next request makes new ones."""
        for pool in self._sync.all():
            pool.close()

    async def aclose(self) -> None:
        """Close the connections of the library's `AsyncClient`; the next request makes new ones."""
        for pool in self._async.all():
            await pool.aclose()

    def _retire(self, host: str, members: Iterable[Member]) -> None:
        """Of the service that URLs call `host`, only these members are left."""
        present = tuple(members)
        self._sync.retire(host, present)
        self._async.retire(host, present)


_READ_AT_MOST = 65_536
"""Bytes of an answer that are read although nobody wants them."""


def _shares_a_window(response: Any) -> bool:
    """Whether the answer is small and came over HTTP/2.

    What is left unread there counts for ever as under way in httpcore: once 16 MB of a connection's answers have been
    closed unread, its server may send no more. A connection of HTTP/1.1 is closed with its answer.
    """
    if response.extensions.get("http_version") != b"HTTP/2":
        return False
    length = response.headers.get("content-length", "")
    return length.isdecimal() and len(length) <= 5 and int(length) <= _READ_AT_MOST


def _leave(response: Any) -> None:
    """Close the answer of an attempt that the call moves on from."""
    with contextlib.suppress(Exception):
        if _shares_a_window(response):
            for _ in response.stream:
                pass
    _close(response)


async def _leave_async(response: Any) -> None:
    with contextlib.suppress(Exception):
        if _shares_a_window(response):
            async for _ in response.stream:
                pass
    await _aclose(response)


def _close(response: Any) -> None:
    """Close an answer that nobody reads. That it cannot be closed properly concerns no attempt that follows."""
    with contextlib.suppress(Exception):
        response.close()


async def _aclose(response: Any) -> None:
    with contextlib.suppress(Exception):
        await response.aclose()


async def _discard(answer: tuple[Any, Any]) -> None:
    await _aclose(answer[1])


class _TimeLeft(dict[str, float | None]):
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


_NO_TIMEOUTS: dict[str, float | None] = {}


def _within(asked: dict[str, float | None], attempt: Pick) -> dict[str, float | None]:
    """The timeouts of the phases of a request, cut to the time of this attempt."""
    limit = attempt.answer_limit
    connect = asked.get("connect")
    if limit is None:
        within = connect is not None and connect <= attempt.connect_limit
        return asked if within else {**asked, "connect": attempt.connect_limit}
    timeout = _TimeLeft(asked)
    for phase in ("connect", "pool"):
        timeout[phase] = shorter(asked.get(phase), attempt.connect_limit)
    for phase in ("write", "read"):
        timeout[phase] = shorter(asked.get(phase), limit)
    timeout.until = attempt.started + limit
    return timeout


class _Exchange:
    """One request of the client, out and in. Everything but the sending, which is sync or async."""

    __slots__ = ("_asked_scheme", "_call", "_library", "_request", "service")

    def __init__(self, library: Library, request: Any, scheme: str, service: CalledService[Any]) -> None:
        self._library, self._request, self._asked_scheme, self.service = library, request, scheme, service
        self._call: Call | None = None

    def plain_attempt(self) -> Pick | None:
        """The first attempt, if no `Call` is needed before something else comes than an answer to it."""
        connect = self._request.extensions.get("timeout", _NO_TIMEOUTS).get("connect")
        return self.service.plain_attempt(self._request, monotonic(), connect)

    def begin(self) -> Call:
        """The call, which begins now."""
        request = self._request
        call = self._call = self.service.call(request.method, request.url, self._replayable(), monotonic())
        return call

    def call_of(self, attempt: Pick) -> Call:
        """The call, whose attempt this is."""
        if self._call is None:
            request = self._request
            self._call = self.service.call_of(attempt, request.method, request.url, self._replayable())
        return self._call

    def _replayable(self) -> bool:
        # Any other stream reads from an iterator or a file and is empty, or an error, the second time.
        return isinstance(self._request.stream, self._library.repeatable)

    def hedge_after(self) -> float | None:
        """Seconds from now after which there is to be another attempt beside the present one; None: never."""
        call = self._call
        return call.hedge_after(monotonic()) if call is not None and call.hedges else None

    def answered(self, attempt: Pick, response: Any) -> Pick | None:
        """What follows the head of an answer: nothing, or another attempt."""
        status, now = response.status_code, monotonic()
        if self._call is None and status < 400:
            if self.service.budget.watching:
                self.service.plain_answer(now)
            attempt.answered(status, now)
            return None
        call = self.call_of(attempt)
        return self.service.answered(call, attempt, status, response.headers.get, self._request, now)

    def outgoing(self, attempt: Pick) -> Any:
        """The request as it goes to the member of this attempt."""
        request, service, member = self._request, self.service, attempt.member
        internals = self._library.internals
        scheme = member_scheme(self._asked_scheme, member)
        try:
            origin = service.origins.of(member, scheme, service.view)
        except self._library.unusable as error:
            raise self._library.module.ConnectError(str(error), request=request) from error
        extensions: dict[str, Any] = {**request.extensions}
        extensions["timeout"] = _within(extensions.get("timeout", _NO_TIMEOUTS), attempt)
        if scheme == "https":
            extensions.setdefault("sni_hostname", service.host)
        made = internals.copied(request, internals.moved(request.url, origin), extensions)
        if attempt.watched is not None:
            made.headers.update(attempt.watched.headers)
        return made

    def incoming(self, attempt: Pick, sent: Any, response: Any, body: type[Any]) -> Any:
        """The member's response to what was sent, in the caller's terms."""
        if response.is_closed:
            attempt.ended(monotonic(), True)
        else:
            response.stream = body(response.stream, attempt)
        response.extensions["member"] = attempt.member
        response.extensions["attempts"] = Trail(self._call or attempt)
        if attempt.answer_limit is not None:
            # The time for an answer ends with its head; between two pieces of the body the client's timeout rules.
            timeout = sent.extensions["timeout"]
            timeout.until = None
            timeout["read"] = self._request.extensions.get("timeout", {}).get("read")
        if self._library.internals.has_any(response.headers, _TRANSLATED_NAMES):
            response.headers = self._library.module.Headers(
                list(self._translated(response.headers, attempt.member, sent.url.scheme))
            )
        return response

    def _translated(self, headers: Any, member: Member, scheme: str) -> Iterator[tuple[bytes, bytes]]:
        """The headers in the caller's terms."""
        terms = Terms(str(self._request.url), member, scheme, self.service.balancer.members)
        for name, value in headers.raw:
            known = _TRANSLATED.get(name.lower())
            # What a header may hold besides ASCII is bytes to HTTP; Latin-1 has a character for each.
            yield name, value if known is None else terms.header(known, value.decode("latin-1")).encode("latin-1")
