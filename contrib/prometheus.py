"""Metrics for Prometheus, read when it scrapes.

::

    from pydoudou.contrib.prometheus import Metrics

    Metrics().register()

What the process serves to Prometheus already (`prometheus_client.start_http_server`, `make_asgi_app`, `make_wsgi_app`)
then has them too. The names and labels are in ``docs/metrics.md``. Needs the extra ``pydoudou[prometheus]``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from weakref import WeakKeyDictionary

try:
    from prometheus_client import REGISTRY, CollectorRegistry
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "pydoudou.contrib.prometheus needs prometheus_client: pip install 'pydoudou[prometheus]'"
    ) from error

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ..discovery.registry import Registry
from ..drivers.members import json_value
from .asgi_answers import AsgiApp
from .metrics.calls import BUCKETS, GO_BUCKETS, MOST_SERVICES, Durations
from .metrics.families import FAMILIES, TUTORIAL_NAMES, Family
from .metrics.protection import protection_readings
from .metrics.reading import Reading
from .metrics.served import Route, ServedAsgi, ServedWsgi
from .metrics.source import Source
from .metrics.workers import Told, Workers
from .wsgi_answers import WsgiApp

__all__ = ["Metrics"]


class Metrics:
    """What one registry, its balancers and the calls of this process have to tell.

    Calls are counted from `register` on; everything else is read at the scrape, from what is counted anyway.

    Args:
        registry: None for the default one, whichever runs: this may be made before `new_node()`.
        name: the value of the label ``registry``, for a process with several registries. Without a name there is no
            such label.
        most_services: services with rows of their own; what is beyond them is added up as ``(others)``.
        tutorial_names: tell requests that are answered as go-doudou's first versions did, too (``http_requests_total``,
            ``response_status``, ``http_response_time_seconds``), for the dashboard of its tutorial.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        name: str = "",
        most_services: int = MOST_SERVICES,
        tutorial_names: bool = False,
    ) -> None:
        if registry is not None and not isinstance(registry, Registry):
            raise TypeError(
                f"registry is a {type(registry).__name__}; accepted: a Registry, or None for the default one"
            )
        if most_services < 1:
            raise ValueError(f"most_services is {most_services}; accepted: 1 or more")
        self.name = name
        self.tutorial_names = tutorial_names
        self._source = Source(registry, most_services, lambda: _workers.begin())

    def register(self, collectors: CollectorRegistry = REGISTRY) -> Metrics:
        """Have `collectors`, Prometheus' registry, tell these too, and count calls from now on.

        Returns the `Metrics` that tells of this registry: this one, or the one that was registered before it.

        Raises:
            ValueError: another registry's were registered under the same name, or `collectors` has a metric that is
                called as one of these.
        """
        with _lock:
            collector = _collectors.get(collectors)
            if collector is None:
                collector = _Collector(self.tutorial_names)
                collectors.register(collector)
                _collectors[collectors] = collector
            elif self.tutorial_names and not collector.tutorial_names:
                collector = _widened(collectors, collector)
            return collector.add(self, self._source)

    def unregister(self, collectors: CollectorRegistry = REGISTRY) -> None:
        """Take it back; does nothing if it is not registered."""
        with _lock:
            collector = _collectors.get(collectors)
            if collector is not None and collector.remove(self):
                collectors.unregister(collector)
                del _collectors[collectors]

    def asgi(self, app: AsgiApp, route: Route | None = None) -> AsgiApp:
        """`app`, with its requests counted under go-doudou's names.

        Args:
            route: gives the pattern of a request's route from its scope when it was answered, such as
                ``/items/{id}``: never the path itself, of which there is no end. None: what FastAPI and Starlette
                leave in the scope.
        """
        return ServedAsgi(app, self._source.served, route)

    def wsgi(self, app: WsgiApp, route: Route | None = None) -> WsgiApp:
        """The same for WSGI. Its environment has no route: without `route` the label ``path`` is empty."""
        return ServedWsgi(app, self._source.served, route)


class _Collector(Collector):
    """All `Metrics` of one of Prometheus' registries: a second collector with the same names would be refused."""

    def __init__(self, tutorial_names: bool) -> None:
        self.tutorial_names = tutorial_names
        self._all: dict[str, tuple[Metrics, Source]] = {}

    def add(self, metrics: Metrics, source: Source) -> Metrics:
        """Tell these too, unless the same registry's are told already."""
        for other, others in self._all.values():
            if others.is_of(source):
                return other
        _, there = self._all.get(metrics.name, (None, None))
        if there is not None:
            if not there.over:
                raise ValueError(
                    f"metrics of another registry are registered under the name {metrics.name!r}: give each a name of "
                    'its own, Metrics(registry, name="…")'
                )
            there.end()
        self._all[metrics.name] = metrics, source
        source.start()
        return metrics

    def remove(self, metrics: Metrics) -> bool:
        """Tell them no more; whether nothing is left."""
        there, source = self._all.get(metrics.name, (None, None))
        if there is metrics and source is not None:
            del self._all[metrics.name]
            source.end()
        return not self._all

    def describe(self) -> list[Metric]:
        """The names that are taken from now on. (Without this Prometheus' client would read all values to know.)"""
        return [
            _metric(family) for family in FAMILIES.values() if self.tutorial_names or family.name not in TUTORIAL_NAMES
        ]

    def collect(self) -> Iterator[Metric]:
        """All values, each name once."""
        made: dict[str, Metric] = {}
        for family, labels, value in self.read():
            metric = made.get(family.name)
            if metric is None:
                metric = made[family.name] = _metric(family)
            _add(metric, family, labels, value)
        yield from made.values()

    def read(self) -> Iterator[Told]:
        """All values of this moment, with the names of their labels."""
        for metrics, source in tuple(self._all.values()):
            for family, labels, value in _summed(source.read()):
                if family.name in TUTORIAL_NAMES and not metrics.tutorial_names:
                    continue
                named = {"registry": _text(metrics.name)} if metrics.name else {}
                named |= zip(family.labels, map(_text, labels), strict=True)
                yield family, named, value
        for family, labels, value in _summed(protection_readings()):
            yield family, dict(zip(family.labels, labels, strict=True)), value


_lock = threading.RLock()
_collectors: WeakKeyDictionary[CollectorRegistry, _Collector] = WeakKeyDictionary()


def _widened(collectors: CollectorRegistry, collector: _Collector) -> _Collector:
    """The collector with the tutorial's names, if nobody else has them."""
    collectors.unregister(collector)
    collector.tutorial_names = True
    try:
        collectors.register(collector)
    except ValueError:
        collector.tutorial_names = False
        collectors.register(collector)
        raise
    return collector


def _all_told() -> Iterator[Told]:
    for collector in tuple(_collectors.values()):
        yield from collector.read()


_workers = Workers(_all_told)


def _summed(found: Iterator[Reading]) -> Iterator[Reading]:
    """The same, with the values of equal labels added up."""
    sums: dict[tuple[Family, tuple[str, ...]], float | Durations] = {}
    for family, labels, value in found:
        there = sums.get((family, labels))
        if there is None:
            sums[family, labels] = value
        elif isinstance(there, Durations) and isinstance(value, Durations):
            sums[family, labels] = there.plus(value)
        elif not isinstance(there, Durations) and not isinstance(value, Durations):
            sums[family, labels] = there + value
    return ((family, labels, value) for (family, labels), value in sums.items())


def _metric(family: Family) -> Metric:
    name = family.name.removesuffix("_total") if family.kind == "counter" else family.name
    return Metric(name, family.help, family.kind)


def _add(metric: Metric, family: Family, labels: dict[str, str], value: float | Durations) -> None:
    if not isinstance(value, Durations):
        metric.add_sample(family.name, labels, float(value))
        return
    for bound, count in value.up_to(BUCKETS if family.name.startswith("pydoudou_") else GO_BUCKETS):
        metric.add_sample(f"{family.name}_bucket", {**labels, "le": repr(bound)}, count)
    metric.add_sample(f"{family.name}_bucket", {**labels, "le": "+Inf"}, value.count)
    metric.add_sample(f"{family.name}_count", labels, value.count)
    metric.add_sample(f"{family.name}_sum", labels, value.seconds)


def _text(label: str) -> str:
    """What can be written as UTF-8: one name that cannot must not cost the whole scrape."""
    return str(json_value(label))
