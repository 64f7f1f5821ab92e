"""Metrics for Prometheus, read when it scrapes.

::

    from pydoudou.contrib.prometheus import Metrics

    Metrics().register()

What the process serves to Prometheus already (`prometheus_client.start_http_server`, `make_asgi_app`, `make_wsgi_app`)
then has them too. The names and labels are in ``docs/metrics.md``. Needs the extra ``pydoudou[prometheus]``.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from weakref import WeakKeyDictionary, ref

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ..discovery import default_registry
from ..discovery.registry import Registry
from ..drivers.members import json_value
from .metrics.calls import BUCKETS, GO_BUCKETS, MOST_SERVICES, CallCounts, Durations
from .metrics.families import FAMILIES, Family
from .metrics.reading import Reading, readings
from .metrics.served import AsgiApp, Route, ServedAsgi, ServedCounts, ServedWsgi, WsgiApp

__all__ = ["Metrics"]

logger = logging.getLogger(__name__)

_MULTIPROCESS = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")


class Metrics:
    """What one registry, its balancers and the calls of this process have to tell.

    Calls are counted from `register` on; everything else is read at the scrape, from what is counted anyway.

    Args:
        registry: None for the default one, whichever runs: this may be made before `new_node()`.
        name: the value of the label ``registry``, for a process with several registries. Without a name there is no
            such label.
        most_services: services with rows of their own; what is beyond them is added up as ``(others)``.
    """

    def __init__(self, registry: Registry | None = None, *, name: str = "", most_services: int = MOST_SERVICES) -> None:
        if registry is not None and not isinstance(registry, Registry):
            raise TypeError(
                f"registry is a {type(registry).__name__}; accepted: a Registry, or None for the default one"
            )
        if most_services < 1:
            raise ValueError(f"most_services is {most_services}; accepted: 1 or more")
        self.name = name
        self._registry = None if registry is None else ref(registry)
        self._most_services = most_services
        self._calls = CallCounts(most_services)
        self._served = ServedCounts()

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
                collector = _Collector()
                collectors.register(collector)
                _collectors[collectors] = collector
                _warn_of_several_processes()
            return collector.add(self)

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
        return ServedAsgi(app, self._served, route)

    def wsgi(self, app: WsgiApp, route: Route | None = None) -> WsgiApp:
        """The same for WSGI. Its environment has no route: without `route` the label ``path`` is empty."""
        return ServedWsgi(app, self._served, route)

    # -- for the collector ---------------------------------------------------------------------------------------------

    @property
    def registry(self) -> Registry | None:
        """Whose metrics these are; None if there is none at present."""
        return default_registry.current() if self._registry is None else self._registry()

    @property
    def over(self) -> bool:
        """Whether there is nothing more to tell: the registry is gone, or stopped."""
        if self._registry is None:
            return False
        registry = self._registry()
        return registry is None or registry.stopped

    def start(self) -> None:
        """Count calls from now on."""
        if self._registry is None:
            default_registry.observe(self._calls)
        elif (registry := self._registry()) is not None:
            registry.add_observer(self._calls)

    def end(self) -> None:
        """Count no more."""
        default_registry.observe_no_more(self._calls)
        if self._registry is not None and (registry := self._registry()) is not None:
            registry.remove_observer(self._calls)

    def read(self) -> Iterator[Reading]:
        """All values of this moment."""
        yield from readings(self.registry, self._calls.read(), self._most_services)
        yield from self._served.read()


class _Collector(Collector):
    """All `Metrics` of one of Prometheus' registries: a second collector with the same names would be refused."""

    def __init__(self) -> None:
        self._all: dict[str, Metrics] = {}

    def add(self, metrics: Metrics) -> Metrics:
        """Tell these too, unless the same registry's are told already."""
        registry = metrics.registry
        for other in self._all.values():
            if other is metrics or (other.registry is registry and registry is not None):
                return other
        there = self._all.get(metrics.name)
        if there is not None:
            if there.registry is metrics.registry:
                return there
            if not there.over:
                raise ValueError(
                    f"metrics of another registry are registered under the name {metrics.name!r}: give each a name of "
                    'its own, Metrics(registry, name="…")'
                )
            there.end()
        self._all[metrics.name] = metrics
        metrics.start()
        return metrics

    def remove(self, metrics: Metrics) -> bool:
        """Tell them no more; whether nothing is left."""
        if self._all.get(metrics.name) is metrics:
            del self._all[metrics.name]
            metrics.end()
        return not self._all

    def describe(self) -> list[Metric]:
        """The names that are taken from now on. (Without this Prometheus' client would read all values to know.)"""
        return [_metric(family) for family in FAMILIES.values()]

    def collect(self) -> Iterator[Metric]:
        """All values, each name once."""
        made: dict[str, Metric] = {}
        for metrics in tuple(self._all.values()):
            for family, labels, value in _summed(metrics.read()):
                metric = made.get(family.name)
                if metric is None:
                    metric = made[family.name] = _metric(family)
                _add(metric, family, dict(zip(family.labels, map(_text, labels), strict=True)), metrics.name, value)
        yield from made.values()


_lock = threading.RLock()
_collectors: WeakKeyDictionary[CollectorRegistry, _Collector] = WeakKeyDictionary()


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


def _add(metric: Metric, family: Family, labels: dict[str, str], registry: str, value: float | Durations) -> None:
    if registry:
        labels = {"registry": registry, **labels}
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


def _warn_of_several_processes() -> None:
    if any(os.environ.get(name) for name in _MULTIPROCESS):
        logger.warning(
            "%s is set, and prometheus_client leaves collectors out of what it adds up from several processes: have "
            "each worker serve its own metrics",
            _MULTIPROCESS[0],
        )
