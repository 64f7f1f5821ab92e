"""Every number of the driver's status is declared, by a stable name."""

from __future__ import annotations

from support.gossip import gossiping

from pydoudou.drivers.memberlist.driver import METRICS, MemberlistDriver
from pydoudou.drivers.members import MetricKind


def test_every_counter_and_gauge_is_declared_and_every_declared_one_is_there() -> None:
    with gossiping("orders") as registry:
        status = registry.status().backends[0].driver
    declared = {kind: {metric.name for metric in METRICS if metric.kind is kind} for kind in MetricKind}
    assert set(status.counters) == declared[MetricKind.COUNTER]
    assert set(status.gauges) == declared[MetricKind.GAUGE]
    assert MemberlistDriver.metrics is METRICS
