"""Traces, if OTEL_EXPORTER_OTLP_ENDPOINT says where to: one span per request and per attempt at another service."""

from __future__ import annotations

from fastapi import FastAPI

from .variables import text

__all__ = ["begin"]


def begin(app: FastAPI, service: str) -> None:
    """Trace what `app` answers and calls."""
    endpoint = text("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint:
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from pydoudou.contrib import opentelemetry

    provider = TracerProvider(resource=Resource({SERVICE_NAME: service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    opentelemetry.instrument()
    app.add_middleware(OpenTelemetryMiddleware, excluded_urls="/go-doudou,/healthz")
