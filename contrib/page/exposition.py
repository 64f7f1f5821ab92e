"""What Prometheus scrapes at the page: all metrics of the process, ours among them.

Ours are registered with the first scrape unless the program has done so: calls are counted from then on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...discovery.registry import Registry
from ..prometheus import Metrics

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest  # isort: skip (`Metrics` says what is missing)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(registries: Mapping[str, Registry] | None) -> bytes:
    """The text that is scraped; of all workers where they are added up (``PROMETHEUS_MULTIPROC_DIR``).

    Args:
        registries: by name; None for the default one.
    """
    if registries is None:
        Metrics().register()
    else:
        for name, registry in registries.items():
            Metrics(registry, name=name).register()
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    added_up = CollectorRegistry()
    MultiProcessCollector(added_up)  # type: ignore[no-untyped-call]
    return generate_latest(added_up)
