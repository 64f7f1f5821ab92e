"""The numbers that Prometheus is told, as instruments of OpenTelemetry.

They are observed when a reader collects, from the same counters, and cost nothing in between; only the durations of
calls are recorded when calls end, for OpenTelemetry has no histogram that is observed. Names of go-doudou are left out:
they are for dashboards of Prometheus.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from ..discovery.observer import Observer
from ..discovery.registry import Registry
from ..drivers.members import Outcome, Reached, json_value
from .metrics.calls import BUCKETS, MOST_SERVICES, OTHERS
from .metrics.families import FAMILIES, Family
from .metrics.protection import protection_readings
from .metrics.reading import Reading
from .metrics.source import Source

__all__ = ["Instruments", "instrument_name"]

_OURS = "pydoudou_"
_DURATION = FAMILIES["pydoudou_call_duration_seconds"]
_UNITS = {"seconds": "s", "bytes": "By"}


def instrument_name(family: Family) -> tuple[str, str]:
    """The name that a metric has here, and its unit: ``pydoudou_calls_total`` is ``pydoudou.calls``."""
    name = family.name.removeprefix(_OURS).removesuffix("_total")
    stem, _, last = name.rpartition("_")
    unit = _UNITS.get(last, "")
    return f"pydoudou.{stem if unit else name}", unit


class Instruments:
    """All instruments of one registry.

    Args:
        provider: of the meter. One that made these instruments before gives the same ones again.
        registry: None for the default one, whichever runs.
    """

    def __init__(self, provider: MeterProvider, meter: Meter, registry: Registry | None) -> None:
        self._meter = meter
        self._source = Source(registry, MOST_SERVICES, self._look_for_more, _Durations(meter))
        self._lock = threading.Lock()
        self._known: set[Family] = set()
        self._values: dict[Family, list[Observation]] = {}
        self._told: set[Family] = set()
        with _lock:
            self._current = _current.setdefault(provider, _Current())
        self._current.instruments = self
        self._add(family for family in FAMILIES.values() if family.name.startswith(_OURS))
        self._source.start()

    def end(self) -> None:
        """Tell no more. (An instrument cannot be taken back: it has no values from now on.)"""
        self._current.instruments = None
        self._source.end()

    def _look_for_more(self) -> None:
        """What a driver counts is known when it runs.

        In a thread of its own: a reader that collects holds a lock that making an instrument needs, and waits for the
        event loop of the drivers meanwhile, which calls this.
        """
        threading.Thread(target=self._look, name="pydoudou instruments", daemon=True).start()

    def _look(self) -> None:
        self._add({family for family, _, _ in self._readings() if family.name.startswith(_OURS)})

    def _add(self, families: Iterable[Family]) -> None:
        for family in families:
            with self._lock:
                if family in self._known or family.kind == "histogram":
                    continue
                self._known.add(family)
            name, unit = instrument_name(family)
            make = (
                self._meter.create_observable_counter
                if family.kind == "counter"
                else self._meter.create_observable_gauge
            )
            make(name, [functools.partial(_observe, self._current, family)], unit, family.help)

    def values(self, family: Family) -> list[Observation]:
        """Of one metric. All are read at once, and anew when one is asked for the second time."""
        with self._lock:
            if not self._told or family in self._told:
                self._told.clear()
                self._values = self._read()
            self._told.add(family)
            return self._values.get(family, [])

    def _readings(self) -> Iterator[Reading]:
        yield from self._source.read()
        yield from protection_readings()

    def _read(self) -> dict[Family, list[Observation]]:
        sums: dict[tuple[Family, tuple[str, ...]], float] = {}
        for family, labels, value in self._readings():
            if isinstance(value, (int, float)) and family.name.startswith(_OURS):
                sums[family, labels] = sums.get((family, labels), 0) + value
        found: dict[Family, list[Observation]] = {}
        for (family, labels), value in sums.items():
            named = {name: str(json_value(label)) for name, label in zip(family.labels, labels, strict=True)}
            found.setdefault(family, []).append(Observation(value, named))
        if not found.keys() <= self._known:
            self._look_for_more()
        return found


class _Current:
    """What a provider's instruments are observed through at present; None if nobody tells."""

    instruments: Instruments | None = None


_lock = threading.Lock()
_current: WeakKeyDictionary[MeterProvider, _Current] = WeakKeyDictionary()


def _observe(current: _Current, family: Family, options: CallbackOptions) -> Iterable[Observation]:
    instruments = current.instruments
    return () if instruments is None else instruments.values(family)


class _Durations(Observer):
    """Records how long calls take."""

    def __init__(self, meter: Meter) -> None:
        self._services: set[str] = set()
        name, unit = instrument_name(_DURATION)
        self._histogram = meter.create_histogram(
            name, unit, _DURATION.help, explicit_bucket_boundaries_advisory=BUCKETS
        )

    def call_ended(self, service: str, outcome: Outcome) -> None:
        """See `Observer`."""
        success = outcome.reached is Reached.ANSWERED and (outcome.status or 0) < 400
        if service not in self._services:
            if len(self._services) < MOST_SERVICES:
                self._services.add(service)
            else:
                service = OTHERS
        labels = {"service": str(json_value(service)), "success": "true" if success else "false"}
        self._histogram.record(outcome.before + outcome.seconds, labels)
