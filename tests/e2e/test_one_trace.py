"""Two services that found each other by gossip, and one trace of a call through both: in memory, and in a Jaeger."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from support import traced_service
from support.gossip import FAST_GOSSIP, gossip_address, gossiping
from support.peers import locate
from support.server_processes import free_port, process_of
from support.traced_service import answering, serving
from support.waiting import eventually

import pydoudou.contrib.requests
from pydoudou import RoundRobin
from pydoudou.contrib import opentelemetry

requests = pytest.importorskip("requests")


def called(service: str, balancer: RoundRobin) -> bytes:
    """What a service answers to a client of requests."""
    with requests.Session() as session:
        pydoudou.contrib.requests.mount(session, service, balancer)
        content: bytes = session.get(f"http://{service}/hello").content
        return content


def test_the_spans_of_two_services_are_one_trace() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with contextlib.ExitStack() as stack:
        stack.callback(provider.shutdown)
        opentelemetry.instrument(tracer_provider=provider)
        stack.callback(opentelemetry.uninstrument)
        seed = stack.enter_context(gossiping())
        near = {"GDD_MEM_SEED": gossip_address(seed)}
        port = stack.enter_context(serving(answering(provider)))
        stack.enter_context(gossiping("orders", GDD_PORT=str(port), **near))
        calling = answering(provider, "orders", lambda name: RoundRobin(name, seed))
        port = stack.enter_context(serving(calling))
        stack.enter_context(gossiping("shop", GDD_PORT=str(port), **near))
        eventually(lambda: seed.members("orders") and seed.members("shop"))
        assert called("shop", RoundRobin("shop", seed)) == b"hello"
        eventually(lambda: len(exporter.get_finished_spans()) == 4)
    spans = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in spans}) == 1
    by_id = {span.context.span_id: span for span in spans}
    (leaf,) = (span for span in spans if span.context.span_id not in {s.parent.span_id for s in spans if s.parent})
    way = [leaf]
    while (parent := way[-1].parent) is not None:
        way.append(by_id[parent.span_id])
    client, server = SpanKind.CLIENT, SpanKind.SERVER
    told = [(span.kind, (span.attributes or {}).get("service.peer.name")) for span in reversed(way)]
    assert told == [(client, "shop"), (server, None), (client, "orders"), (server, None)]


# -- a Jaeger ----------------------------------------------------------------------------------------------------------


class Jaeger:
    """A running one.

    Attributes:
        endpoint: where it takes spans over OTLP and HTTP.
    """

    def __init__(self) -> None:
        self._api, self.otlp = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{self.otlp}/v1/traces"
        ports = {
            "query.http-server": self._api,
            "query.grpc-server": free_port(),
            "admin.http": free_port(),
            "collector.otlp.http": self.otlp,
            "collector.otlp.grpc": free_port(),
            "collector.http-server": 0,
            "collector.grpc-server": 0,
        }
        self._process = subprocess.Popen(
            [
                locate("jaeger") / "jaeger",
                *(f"--{name}.host-port=127.0.0.1:{port}" for name, port in ports.items()),
                "--collector.otlp.enabled=true",
                "--log-level=warn",
            ],
            env={**os.environ, "OTEL_TRACES_SAMPLER": "always_off", "SPAN_STORAGE_TYPE": "memory"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, path: str) -> Any:
        """What its API answers; None while it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._api}/api/{path}", timeout=5) as answer:
                return json.load(answer)["data"] or []
        except OSError:
            assert self._process.poll() is None, "Jaeger has ended"
            return None

    def __enter__(self) -> Jaeger:
        try:
            eventually(lambda: self.ask("services") is not None, timeout=20)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)


@contextlib.contextmanager
def program(service: str, seed: str, endpoint: str, *calls: str) -> Iterator[None]:
    """A service as a process of its own."""
    port = str(free_port())
    environment = {
        variable: text for variable, text in os.environ.items() if not variable.startswith(("GDD_", "OTEL_"))
    }
    environment |= FAST_GOSSIP | {"GDD_SERVICE_NAME": service, "GDD_PORT": port, "GDD_MEM_SEED": seed}
    environment |= {"GDD_DRAIN_TIME": "1ms", "OTEL_SERVICE_NAME": service}
    environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = endpoint
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    with process_of([sys.executable, traced_service.__file__, port, *calls], env=environment) as process:
        yield
        process.terminate()
        process.wait(20)


def test_a_jaeger_shows_both_services_in_one_trace() -> None:
    with Jaeger() as jaeger, gossiping() as seed:
        address = gossip_address(seed)
        with program("orders", address, jaeger.endpoint), program("shop", address, jaeger.endpoint, "orders"):
            eventually(lambda: seed.members("orders") and seed.members("shop"), timeout=30)
            assert called("shop", RoundRobin("shop", seed)) == b"hello"

            def traces() -> list[Any]:
                """Those that began with our call, in which both services are, and not with a check of their own."""
                found = jaeger.ask("traces?service=shop&operation=GET%20%2Fhello&limit=20") or []
                return [trace for trace in found if len(trace["processes"]) == 2 and len(trace["spans"]) == 3]

            eventually(traces, timeout=20)
            (trace,) = traces()
    services = {key: process["serviceName"] for key, process in trace["processes"].items()}
    spans = {span["spanID"]: span for span in trace["spans"]}
    parents = {
        (services[span["processID"]], services[spans[reference["spanID"]]["processID"]])
        for span in spans.values()
        for reference in span["references"]
        if reference["spanID"] in spans
    }
    assert parents == {("shop", "shop"), ("orders", "shop")}
    tags = [{tag["key"]: tag["value"] for tag in span["tags"]} for span in spans.values()]
    (attempt,) = (found for found in tags if found["span.kind"] == "client")
    assert attempt["service.peer.name"] == "orders"
    assert attempt["server.address"] == "127.0.0.1"
