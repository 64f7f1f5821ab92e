"""Spans and metrics of real calls, in memory: what is told of each attempt, and that it is told once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcInstrumentorClient
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from support.grpc_members import CALLERS as GRPC_CALLERS
from support.grpc_members import GrpcMember
from support.http_callers import CALLERS, AiohttpCaller, AsyncHttpxCaller, Caller, RequestsCaller
from support.http_members import HttpMember, InOrder, paced, refusing
from support.waiting import eventually

from pydoudou import CallPolicy, Hedging
from pydoudou.contrib import opentelemetry

CallerClass = type[Caller]
OF_OTHERS = (HTTPXClientInstrumentor, RequestsInstrumentor, AioHttpClientInstrumentor, URLLib3Instrumentor)


class Spans:
    """What was exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def all(self) -> list[ReadableSpan]:
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.all if span.instrumentation_scope.name == "pydoudou"]

    def others(self) -> list[ReadableSpan]:
        """Those of the clients' own instrumentations."""
        return [span for span in self.all if "instrumentation" in span.instrumentation_scope.name]


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    opentelemetry.instrument(tracer_provider=made.provider)
    yield made
    opentelemetry.uninstrument()
    made.provider.shutdown()


@pytest.fixture
def good() -> Iterator[HttpMember]:
    with HttpMember("good") as member:
        yield member


def carried(member: HttpMember) -> list[str]:
    """The span whose context each request of a member carried."""
    return [request.headers["traceparent"].split("-")[2] for request in member.served]


def id_of(span: ReadableSpan) -> str:
    return f"{span.context.span_id:016x}"


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)
def test_each_attempt_is_a_span_with_its_member_and_the_member_that_answers_is_its_child(
    caller_class: CallerClass, good: HttpMember, spans: Spans
) -> None:
    with refusing() as gone, caller_class(InOrder(gone, good.member())) as caller:
        with spans.tracer.start_as_current_span("caller") as outside:
            caller.call(url="http://orders/items?color=red")
            assert trace.get_current_span() is outside
    first, second = spans.attempts()
    for attempt in (first, second):
        assert attempt.kind is SpanKind.CLIENT
        assert attempt.name == "GET"
        assert attempt.parent is not None
        assert attempt.parent.span_id == outside.get_span_context().span_id
        assert of(attempt)["http.request.method"] == "GET"
        assert of(attempt)["service.peer.name"] == "orders"
    assert (of(first)["server.address"], of(first)["server.port"]) == ("127.0.0.1", gone.port)
    assert first.status.status_code is StatusCode.ERROR
    assert of(first)["error.type"]
    assert "http.response.status_code" not in of(first)
    assert "http.request.resend_count" not in of(first)
    assert (of(second)["network.peer.address"], of(second)["network.peer.port"]) == ("127.0.0.1", good.port)
    assert of(second)["url.full"] == f"http://127.0.0.1:{good.port}/items?color=red"
    assert of(second)["http.response.status_code"] == 200
    assert of(second)["http.request.resend_count"] == 1
    assert second.status.status_code is StatusCode.UNSET
    assert carried(good) == [id_of(second)]


@pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)
def test_an_answer_that_moves_the_call_is_a_span_of_its_own(
    caller_class: CallerClass, good: HttpMember, spans: Spans
) -> None:
    with HttpMember("busy", answer=lambda handler: handler.reply(503)) as busy:
        with caller_class(InOrder(busy.member(), good.member())) as caller:
            caller.call()
            caller.call()
    told = [(of(span)["server.port"], of(span)["http.response.status_code"]) for span in spans.attempts()]
    assert told == 2 * [(busy.port, 503), (good.port, 200)]
    assert carried(busy) + carried(good) == [id_of(span) for span in (*spans.attempts()[::2], *spans.attempts()[1::2])]
    assert len({span.context.trace_id for span in spans.attempts()}) == 4, "nobody else made a span"
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)
def test_beside_the_instrumentation_of_the_client_no_attempt_is_told_twice(
    caller_class: CallerClass, good: HttpMember, spans: Spans
) -> None:
    instrumentors = [make() for make in OF_OTHERS]
    for each in instrumentors:
        each.instrument(tracer_provider=spans.provider)
    try:
        with refusing() as gone, caller_class(InOrder(gone, good.member())) as caller:
            caller.call()
    finally:
        for each in instrumentors:
            each.uninstrument()
    assert [of(span)["server.port"] for span in spans.attempts()] == [gone.port, good.port]
    assert carried(good) == [id_of(spans.attempts()[1])]
    if caller_class not in (RequestsCaller, AiohttpCaller):
        assert spans.others() == [], "they see what is below, where each attempt has its span already"
        return
    (call,) = spans.others()  # which they see from above: one for the call, with the URL that the caller wrote
    assert call.context is not None
    assert "//orders/items" in str(of(call))
    assert {span.parent.span_id for span in spans.attempts() if span.parent} == {call.context.span_id}


@pytest.mark.parametrize("caller_class", [AsyncHttpxCaller, AiohttpCaller], ids=lambda one: one.__doc__)
@pytest.mark.parametrize("first_is_faster", [False, True])
def test_of_two_attempts_beside_each_other_the_one_that_is_not_needed_was_given_up(
    caller_class: CallerClass, spans: Spans, first_is_faster: bool
) -> None:
    # As many answers as there are calls before: none of these has a second attempt, of which there may be one in all.
    policy = CallPolicy(hedge=Hedging(quantile=0.5, least_answers=20))
    with HttpMember(answer=paced(0.3)) as slow, HttpMember(answer=paced(0.6)) as slower:
        quick = slow if first_is_faster else slower
        members = (slow, slower) if first_is_faster else (slower, slow)
        with caller_class(InOrder(*(one.member() for one in members)), policy=policy) as caller:
            quick.answer = paced(0.02)
            for _ in range(20):
                caller.call()
            quick.answer = paced(0.3 if first_is_faster else 0.6)
            known = len(spans.attempts())
            with spans.tracer.start_as_current_span("caller") as outside:
                caller.call()
                assert trace.get_current_span() is outside
    first, second = spans.attempts()[known:]
    assert second.start_time < first.end_time  # type: ignore[operator]
    assert of(second)["http.request.resend_count"] == 1
    answered, given_up = (first, second) if first_is_faster else (second, first)
    assert of(answered)["http.response.status_code"] == 200
    assert of(given_up)["pydoudou.given_up"] is True
    for attempt in (first, second):
        assert attempt.parent is not None
        assert attempt.parent.span_id == outside.get_span_context().span_id


def test_the_secrets_of_a_url_are_in_no_span(good: HttpMember, spans: Spans) -> None:
    with RequestsCaller(InOrder(good.member())) as caller:
        caller.call(url="http://user:secret@orders/items?sig=abc&a=1#fragment")
    (attempt,) = spans.attempts()
    assert of(attempt)["url.full"] == f"http://127.0.0.1:{good.port}/items?sig=REDACTED&a=1"


def test_a_method_that_nobody_knows_makes_no_name(good: HttpMember, spans: Spans) -> None:
    good.answer = lambda handler: handler.reply(200)
    with RequestsCaller(InOrder(good.member())) as caller:
        caller.call("BREW")
    (attempt,) = spans.attempts()
    assert attempt.name == "HTTP"
    assert of(attempt)["http.request.method"] == "_OTHER"
    assert of(attempt)["http.request.method_original"] == "BREW"


def test_a_retry_begins_when_its_wait_is_over(spans: Spans) -> None:
    with HttpMember(answer=lambda handler: handler.reply(503, {"Retry-After": "0"})) as only:
        with RequestsCaller(InOrder(only.member()), policy=CallPolicy(attempts=2)) as caller:
            caller.call()
    first, second = spans.attempts()
    assert second.start_time >= first.end_time  # type: ignore[operator]
    assert second.end_time >= second.start_time  # type: ignore[operator]


def test_where_instrumentation_is_suppressed_there_are_no_spans(good: HttpMember, spans: Spans) -> None:
    with RequestsCaller(InOrder(good.member())) as caller, suppress_instrumentation():
        caller.call()
    assert spans.all == []
    assert "traceparent" not in good.served[0].headers


def test_after_uninstrument_a_request_is_what_it_was(good: HttpMember, spans: Spans) -> None:
    opentelemetry.uninstrument()
    with RequestsCaller(InOrder(good.member())) as caller:
        caller.call()
    assert spans.all == []
    assert "traceparent" not in good.served[0].headers


@pytest.mark.parametrize("caller_class", GRPC_CALLERS, ids=lambda one: one.__doc__)
def test_the_instrumentation_of_grpc_sees_each_attempt_once(
    caller_class: Any, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: spans.provider)  # the one for grpc asks for no other
    instrumentors = [GrpcInstrumentorClient(), GrpcAioInstrumentorClient()]
    for each in instrumentors:
        each.instrument(tracer_provider=spans.provider)
    try:
        with GrpcMember() as busy, GrpcMember() as good:
            busy.codes["Get"] = (grpc.StatusCode.UNAVAILABLE, ())
            with caller_class(InOrder(busy.member(), good.member()), idempotent=["/shop.Orders/Get"]) as caller:
                assert caller.unary()[0] == b"7"
            eventually(lambda: len(spans.all) == 2)
    finally:
        for each in instrumentors:
            each.uninstrument()
    assert spans.attempts() == []
    assert [of(span)["rpc.grpc.status_code"] for span in spans.all] == [14, 0]
