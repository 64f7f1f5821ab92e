"""What a registrar counts is told by its workers: each increase by one of them alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pydoudou import BackendStatus, DriverStatus, RegistryStatus
from pydoudou.contrib.servers.registrar.counted import Counted, Given
from pydoudou.drivers.members import Metric, MetricKind

METRICS = (
    Metric("packets_sent", MetricKind.COUNTER, "datagrams"),
    Metric("round_trip", MetricKind.GAUGE, "a", "seconds"),
)


def counting() -> Counted:
    registry: Any = SimpleNamespace(driver=lambda mode: SimpleNamespace(metrics=METRICS))
    return Counted(registry)


def status(packets: int, seconds: float) -> RegistryStatus:
    driver = DriverStatus("memberlist", True, "", counters={"packets_sent": packets}, gauges={"round_trip": seconds})
    return RegistryStatus(True, backends=(BackendStatus("memberlist", True, True, "", "", 0, driver),))


def give(counted: Counted, told: RegistryStatus, *workers: Given) -> None:
    for worker, message in zip(workers, counted.messages(told, len(workers)), strict=True):
        worker.take(message)


def test_the_counters_of_all_workers_together_are_those_of_the_registrar_whoever_has_ended() -> None:
    counted, first, second, third = counting(), Given(), Given(), Given()
    give(counted, status(5, 0.1), first, second)
    give(counted, status(7, 0.2), second, third)  # the first one has ended
    give(counted, status(7, 0.2))  # nobody is there
    give(counted, status(10, 0.3), third)
    assert sum(worker.counters.get("memberlist.packets_sent", 0) for worker in (first, second, third)) == 10
    assert third.gauges == {"memberlist.round_trip": 0.3}


def test_a_registrar_that_takes_over_counts_from_nought_and_the_worker_goes_on() -> None:
    worker = Given()
    give(counting(), status(5, 0.1), worker)
    give(counting(), status(2, 0.1), worker)
    assert worker.counters == {"memberlist.packets_sent": 7}


def test_what_the_numbers_mean_is_told_with_them() -> None:
    worker = Given()
    give(counting(), status(5, 0.1), worker)
    assert [(row.name, row.kind, row.unit) for row in worker.metrics] == [
        ("memberlist.packets_sent", MetricKind.COUNTER, ""),
        ("memberlist.round_trip", MetricKind.GAUGE, "seconds"),
    ]


@pytest.mark.parametrize("broken", [{"counters": {"a": "many"}}, {"metrics": [["a"]]}, {"gauges": {"a": None}}])
def test_nonsense_is_an_error_and_changes_nothing(broken: dict[str, Any]) -> None:
    worker = Given()
    with pytest.raises((KeyError, TypeError, ValueError)):
        worker.take({"kind": "counted", "counters": {}, "gauges": {}, "metrics": [], **broken})
    assert (worker.counters, worker.gauges, worker.metrics) == ({}, {}, ())
