"""A service whose requests and calls are traced: in a thread of a test, or as a program that sends its spans away.

The program (``python traced_service.py PORT [SERVICE]``) registers itself with the settings of its environment, and
answers with what SERVICE answers, or "hello". Its spans go where ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` says, as those
of ``OTEL_SERVICE_NAME``.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from support.waiting import eventually

from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.service_hosts import GivenBalancers

__all__ = ["answering", "serving"]


def answering(provider: TracerProvider, calls: str = "", balancer: GivenBalancers = None) -> Any:
    """An ASGI application that answers with what the service `calls` answers, or "hello"."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", "it has no lifespan"
        body = b"hello"
        if calls:
            async with httpx.AsyncClient(transport=DiscoveryTransport(balancer=balancer)) as client:
                body = (await client.get(f"http://{calls}/hello")).content
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return OpenTelemetryMiddleware(app, tracer_provider=provider, exclude_spans=["receive", "send"])


@contextlib.contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve it in a thread; the port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
    listening = server.config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        eventually(lambda: server.started)
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def main() -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    from pydoudou.contrib import opentelemetry
    from pydoudou.contrib.asgi import Registered

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    opentelemetry.instrument(tracer_provider=provider)
    app = answering(provider, *sys.argv[2:])

    uvicorn.run(Registered(app), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
