"""Traces and metrics for OpenTelemetry.

::

    from pydoudou.contrib import opentelemetry

    opentelemetry.instrument()

Every attempt at a call, by any of the HTTP clients here, is a span of the kind CLIENT that names the member, and the
request carries its context there. The metrics are those of `docs/metrics.md`, read when the reader of the application's
`MeterProvider` collects. Nothing is set up here: the application, or ``opentelemetry-instrument``, says where spans and
metrics go. Needs the extra ``pydoudou[opentelemetry]``.
"""

from __future__ import annotations

import threading

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "pydoudou.contrib.opentelemetry needs opentelemetry-api: pip install 'pydoudou[opentelemetry]'"
    ) from error

from .. import __version__
from ..balancers.calls.watching import watch
from ..discovery.registry import Registry
from .opentelemetry_metrics import Instruments
from .opentelemetry_traces import Tracing

__all__ = ["instrument", "uninstrument"]

_NAME = "pydoudou"
_SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions whose names the spans have."""

_lock = threading.Lock()
_instruments: Instruments | None = None


def instrument(
    registry: Registry | None = None,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> None:
    """Trace the calls of this process from now on, and tell the metrics of a registry.

    A second time does nothing; `uninstrument` first to change something.

    Args:
        registry: whose metrics are told; None for the default one, whichever runs: this may be called before
            `new_node()`. Calls are traced whatever registry their balancer reads.
        tracer_provider, meter_provider: None for those of the application.
    """
    global _instruments
    if registry is not None and not isinstance(registry, Registry):
        raise TypeError(f"registry is a {type(registry).__name__}; accepted: a Registry, or None for the default one")
    with _lock:
        if _instruments is not None:
            return
        meters = meter_provider or metrics.get_meter_provider()
        _instruments = Instruments(meters, meters.get_meter(_NAME, __version__, _SCHEMA), registry)
        watch(Tracing(trace.get_tracer(_NAME, __version__, tracer_provider, _SCHEMA)).begins)


def uninstrument() -> None:
    """Trace and tell no more; does nothing if nothing is. Attempts that are under way are told to their end."""
    global _instruments
    with _lock:
        watch(None)
        instruments, _instruments = _instruments, None
        if instruments is not None:
            instruments.end()
