"""A span for every attempt at an HTTP call.

Whose span is whose parent: an attempt's parent is the caller's span, or that of an instrumentation that sees the call
above this library (of requests and aiohttp: one span with the URL that the caller wrote). Instrumentations that see
attempts below it (of httpx and urllib3) are suppressed for the attempt: they would make the same span once more,
without the service.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from ..balancers.calls.call import Call
from ..balancers.calls.urls import UnusableAddress, member_base, member_scheme
from ..balancers.memory.pick import Pick, Watched
from ..drivers.members import Member

try:
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled, suppress_http_instrumentation
except ModuleNotFoundError:  # no instrumentation is installed, so there is none to suppress
    _SUPPRESSING: dict[str, object] = {}

    def is_instrumentation_enabled() -> bool:
        return True
else:
    _outside_of_it = context.get_current()
    with suppress_http_instrumentation():
        _SUPPRESSING = {key: value for key, value in context.get_current().items() if key not in _outside_of_it}

__all__ = ["Tracing"]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
_SIGNATURES = re.compile(r"((?:^|&)(?:AWSAccessKeyId|Signature|sig|X-Goog-Signature)=)[^&]*")
"""What the semantic conventions want left out of a query."""
_HTTP = frozenset({"http", "https", "lb", "ws", "wss"})


class Tracing:
    """Makes the spans.

    Args:
        tracer: of the application.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def begins(self, call: Call, attempt: Pick) -> Watched | None:
        """A `Watcher`: the span of an attempt; None for calls of gRPC, whose own instrumentation sees each attempt."""
        url = str(call.url)
        scheme = url.partition(":")[0].lower()
        if scheme not in _HTTP or not is_instrumentation_enabled():
            return None
        known = call.method in _METHODS
        attributes = {
            **_of_member(attempt.member, scheme, url),
            "http.request.method": call.method if known else "_OTHER",
            "service.peer.name": attempt.member.service,
            "pydoudou.pick.reason": attempt.why,
        }
        if not known:
            attributes["http.request.method_original"] = call.method
        if call.begun > 1:
            attributes["http.request.resend_count"] = call.begun - 1
        # What the client waits before it sends a retry is no part of the attempt.
        begins = time.time_ns() + int(attempt.delay * 1e9)
        outside = _outside(call)
        span = self._tracer.start_span(
            call.method if known else "HTTP", outside, SpanKind.CLIENT, attributes, start_time=begins
        )
        return _Attempt(call, span, outside, begins)


class _Attempt:
    """An attempt that is under way. What is sent for it sees its span as the present one.

    Its end brings back what was there before by setting it, not by the token of `context.attach`: of two attempts
    beside each other any may end first.
    """

    def __init__(self, call: Call, span: trace.Span, outside: context.Context, begins: int) -> None:
        self._span, self._outside, self._begins = span, outside, begins
        inside = context.Context({**outside, **_SUPPRESSING, _OF_CALL: (call, outside)})
        inside = trace.set_span_in_context(span, inside)
        headers: dict[str, str] = {}
        propagate.inject(headers, inside)
        self.headers: Mapping[str, str] = headers
        context.attach(inside)

    def ended(self, status: int | None, error: BaseException | None) -> None:
        """See `Watched`."""
        span = self._span
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= 400:
                span.set_attribute("error.type", str(status))
                span.set_status(StatusCode.ERROR)
        elif error is not None:
            span.set_attribute("error.type", _qualified(type(error)))
            span.set_status(StatusCode.ERROR, str(error))
        else:
            span.set_attribute("pydoudou.given_up", True)
        span.end(max(time.time_ns(), self._begins))
        context.attach(self._outside)


_OF_CALL = context.create_key("pydoudou-call")


def _outside(call: Call) -> context.Context:
    """The present context of the caller: not that of another attempt of this call."""
    present = context.get_current()
    within = present.get(_OF_CALL)
    if isinstance(within, tuple) and within[0] is call:
        outside: context.Context = within[1]
        return outside
    return present


def _of_member(member: Member, scheme: str, url: str) -> dict[str, AttributeValue]:
    """Where the request goes."""
    attributes: dict[str, AttributeValue] = {"server.address": member.host, "server.port": member.port}
    try:
        attributes["network.peer.address"] = str(ipaddress.ip_address(member.host))
        attributes["network.peer.port"] = member.port
    except ValueError:
        pass  # a name: which of its addresses it was, only the client knows
    try:
        asked = urlsplit(url)
        base = member_base(member, member_scheme({"ws": "http", "wss": "https"}.get(scheme, scheme), member))
        query = _SIGNATURES.sub(r"\1REDACTED", asked.query)
        attributes["url.full"] = f"{base}{asked.path or '/'}" + (f"?{query}" if query else "")
    except (UnusableAddress, ValueError):
        pass
    return attributes


def _qualified(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
