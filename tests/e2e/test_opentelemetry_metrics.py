"""The metrics of a registry and of real calls, collected in memory by OpenTelemetry."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from support.caller_requests import RequestsCaller
from support.gossip import FAST_GOSSIP, gossiping
from support.http_members import HttpMember
from support.waiting import eventually

from pydoudou import Registry, RoundRobin, Settings
from pydoudou.contrib import opentelemetry
from pydoudou.contrib.metrics.families import FAMILIES
from pydoudou.contrib.metrics.protection import BulkheadCounts, LimitCounts

PAGE = Path(__file__).parents[2] / "docs" / "opentelemetry.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


class Meters:
    """What one reader collects."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def points(self) -> dict[str, list[Any]]:
        """By the name of the metric."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the values under a name and these labels; None if there is none."""
        found = [point.value for point in self.points().get(name, ()) if labels.items() <= point.attributes.items()]
        return sum(found) if found else None


@pytest.fixture
def meters() -> Iterator[Meters]:
    made = Meters()
    yield made
    opentelemetry.uninstrument()
    made.provider.shutdown()


@pytest.fixture
def member() -> Iterator[HttpMember]:
    with HttpMember() as member:
        yield member


@pytest.fixture
def registry(member: HttpMember) -> Iterator[Registry]:
    fixed = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": member.member().base_url}
    with Registry(Settings.from_env(fixed, register=False)) as registry:
        yield registry


def call(registry: Registry, times: int) -> None:
    with RequestsCaller(RoundRobin("orders", registry)) as caller:
        for _ in range(times):
            caller.call()


def test_calls_are_counted_and_timed(meters: Meters, registry: Registry) -> None:
    opentelemetry.instrument(registry, meter_provider=meters.provider)
    call(registry, 3)
    assert meters.value("pydoudou.calls", service="orders", outcome="2xx") == 3
    assert meters.value("pydoudou.picks", service="orders") == 3
    assert meters.value("pydoudou.members", service="orders", state="alive", source="static") == 1
    (point,) = meters.points()["pydoudou.call_duration"]
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, dict(point.attributes or {})) == (3, {"service": "orders", "success": "true"})
    assert 0.001 in point.explicit_bounds
    call(registry, 2)
    assert meters.value("pydoudou.calls", service="orders", outcome="2xx") == 5, "read anew at every collection"


def test_nothing_is_told_after_uninstrument_and_what_is_told_again_is_told_once(
    meters: Meters, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        opentelemetry.instrument(registry, meter_provider=meters.provider)
        opentelemetry.instrument(registry, meter_provider=meters.provider)
        call(registry, 1)
        assert meters.value("pydoudou.calls") == 1
        opentelemetry.uninstrument()
        assert meters.points().keys() <= {"pydoudou.call_duration"}
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_a_driver_counts_is_told_once_it_runs(meters: Meters) -> None:
    registry = gossiping("orders")
    opentelemetry.instrument(registry, meter_provider=meters.provider)
    with registry:
        eventually(lambda: meters.value("pydoudou.memberlist_packets_sent") is not None, timeout=10)
        eventually(lambda: meters.value("pydoudou.memberlist_health_score") == 0)
        assert meters.value("pydoudou.ready") == 1


def test_every_metric_of_the_manual_has_an_instrument_but_those_with_names_of_go_doudou(
    meters: Meters, registry: Registry
) -> None:
    opentelemetry.instrument(registry, meter_provider=meters.provider)
    call(registry, 1)
    bulkhead, limit = BulkheadCounts("one", 5), LimitCounts("one")
    limit.decide("passed")
    limit.fail("slow")
    told = meters.points().keys()
    assert meters.value("pydoudou.bulkhead_in_flight") == bulkhead.in_flight == 0
    assert {name for name in told if not name.startswith("pydoudou.")} == set()
    missing = {
        name
        for name in FAMILIES
        if name.startswith("pydoudou_")
        and "pydoudou." + name.removeprefix("pydoudou_").removesuffix("_total").removesuffix("_seconds") not in told
    }
    # No value so far: no breaker was asked for, and nothing runs dry.
    assert missing == {
        "pydoudou_breakers",
        "pydoudou_breaker_changes_total",
        "pydoudou_dry_run_total",
    }


def test_what_is_no_registry_is_refused() -> None:
    with pytest.raises(TypeError, match="accepted: a Registry"):
        opentelemetry.instrument("orders")  # type: ignore[arg-type]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_of_the_manual_runs(block: str) -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GDD_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        env=environment | FAST_GOSSIP,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
