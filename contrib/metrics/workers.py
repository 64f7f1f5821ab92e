"""Several worker processes and one scrape: prometheus_client adds up files that its own metrics keep, one set for each
process, and leaves collectors like ours out. So the values are written to such files as well, every few seconds.

Only where ``PROMETHEUS_MULTIPROC_DIR`` is set. Counters and histograms of all workers are added up, those that have
ended included; of gauges the greatest counts, because every worker sees the same members, but for calls in flight and
the places of bulkheads.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterable

from ...drivers.kit.log_fields import fields
from ..prometheus_internals import NO_FORK, NUMBERS_ARE_KNOWN, Number, adds_up_processes, number
from .calls import BUCKETS, Durations
from .families import Family

__all__ = ["Told", "Workers"]

logger = logging.getLogger(__name__)

Told = tuple[Family, dict[str, str], float | Durations]
"""A metric, its labels with their names, and its value."""

WRITTEN_EVERY = 5.0
"""Seconds; Prometheus scrapes every 15 or more as a rule."""

_SUMS = frozenset(
    {
        "pydoudou_attempts_in_flight",
        "pydoudou_bulkhead_in_flight",
        "pydoudou_bulkhead_places",
        "pydoudou_bulkhead_waiting",
    }
)
_Key = tuple[str, str, tuple[tuple[str, str], ...]]


class Workers:
    """What this process tells those that add up.

    Args:
        read: gives all values of this moment.
    """

    def __init__(self, read: Callable[[], Iterable[Told]]) -> None:
        self._read = read
        self._kept: dict[_Key, Number] = {}
        self._lock = threading.Lock()
        self._failed = False
        self._process = 0

    def begin(self) -> None:
        """Write from now on, in this process; does nothing if that has begun, or nobody adds up.

        Not before there is something to tell: a thread in a process that is still to be forked would be in its way.
        """
        if self._process == os.getpid():
            return
        if not NUMBERS_ARE_KNOWN and "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            self._process = os.getpid()
            logger.warning("this release of prometheus_client is not known: the metrics of workers are not added up")
        elif adds_up_processes():
            self._process, self._lock, self._failed = os.getpid(), threading.Lock(), False
            atexit.register(self.write)
            threading.Thread(target=self._keep_writing, name="pydoudou metrics of workers", daemon=True).start()

    def write(self) -> None:
        """Write all values of this moment. A folder that is not there is said, once."""
        try:
            with self._lock:
                told = list(self._read())  # which may take a moment that no fork has to wait for
                with NO_FORK:
                    self._write(told)
            self._failed = False
        except (OSError, ValueError) as error:
            if not self._failed:
                self._failed = True
                logger.warning(
                    "metrics cannot be written to where the workers' are added up: %s",
                    error,
                    extra=fields(reason=error),
                )

    def _keep_writing(self) -> None:
        pause = threading.Event()
        while True:
            self.write()
            pause.wait(WRITTEN_EVERY)

    def _write(self, told: Iterable[Told]) -> None:
        seen = set()
        for family, labels, value in told:
            if not isinstance(value, Durations):
                seen.add(self._set(family, family.name, labels, value))
                continue
            # Not summed up: whoever adds the files up does that.
            for bound, count in zip((*map(repr, BUCKETS), "+Inf"), value.counts, strict=True):
                seen.add(self._set(family, f"{family.name}_bucket", {**labels, "le": bound}, count))
            seen.add(self._set(family, f"{family.name}_sum", labels, value.seconds))
        for key in self._kept.keys() - seen:  # a service without members, say; nothing can be taken out of the files
            if key[0] == "gauge":
                self._kept[key].set(0.0)

    def _set(self, family: Family, sample: str, labels: dict[str, str], value: float) -> _Key:
        kind = "unknown" if family.kind == "untyped" else family.kind
        key = (kind, sample, tuple(labels.items()))
        kept = self._kept.get(key)
        if kept is None:
            name = family.name.removesuffix("_total") if kind == "counter" else family.name
            mode = "livesum" if family.name in _SUMS else "livemax"
            kept = self._kept[key] = number(kind, name, sample, labels, family.help, mode)
        kept.set(float(value))
        return key
