"""What `Registry.explain_members` tells about the members of a service."""

from __future__ import annotations

import json
from collections.abc import Iterator

import attrs
import pytest
from support.scripted import ScriptedPlugin, settings

from pydoudou import HealthPolicy, Member, MemberState, Registry, RoundRobin
from pydoudou.drivers.members import Outcome, Reached

A, B, C = (Member("orders", "10.0.0.1", port) for port in (1, 2, 3))


@pytest.fixture
def plugin() -> ScriptedPlugin:
    return ScriptedPlugin(members=[A, B, C])


@pytest.fixture
def registry(plugin: ScriptedPlugin) -> Iterator[Registry]:
    with Registry(settings(plugin)) as registry:
        yield registry


def fail(balancer: RoundRobin, member: Member, times: int) -> None:
    others = [other for other in (A, B, C) if other != member]
    for _ in range(times):
        balancer.begin(exclude=others).done(Outcome(member, Reached.UNCONNECTED))


def test_members_of_which_nothing_is_remembered_are_in(registry: Registry) -> None:
    found = registry.explain_members("orders")
    told = [(row.member.port, row.status, row.in_flight) for row in found.members]
    assert told == [(1, "in", 0), (2, "in", 0), (3, "in", 0)]
    assert found.call == "a call would go to one of 3 of 3: 10.0.0.1:1, 10.0.0.1:2, 10.0.0.1:3"


def test_a_service_without_members_has_no_rows(registry: Registry) -> None:
    found = registry.explain_members("nobody")
    assert (found.members, found.call) == ((), "a call would fail: there is no member")


def test_an_ejected_member_is_told_with_the_reason_and_the_time(registry: Registry) -> None:
    balancer = RoundRobin("orders", registry)
    held = balancer.begin(exclude=[A, B])
    fail(balancer, A, 5)
    found = registry.explain_members("orders")
    a, b, c = found.members
    assert (a.status, a.reason, b.status) == ("ejected", "5 failures in a row", "in")
    assert a.ejected_for is not None
    assert 1.0 < a.ejected_for <= 3.0
    assert (a.share, b.share, c.in_flight) == (0.0, 0.5, 1)
    assert found.counters["ejections_consecutive"] == 1
    assert (found.gauges["ejected"], found.gauges["in_flight"]) == (1.0, 1.0)
    assert "10.0.0.1:1: ejected for" in str(found)
    held.cancel()


def test_a_dry_run_tells_whom_it_would_have_put_out(registry: Registry) -> None:
    balancer = RoundRobin("orders", registry)
    balancer.health = HealthPolicy(success_ratio=None, dry_run={"consecutive"})
    fail(balancer, A, 5)
    found = registry.explain_members("orders")
    assert found.members[0].reason == "would be ejected: 5 failures in a row"
    assert found.members[0].status == "in"
    assert found.counters["dry_run_ejections_consecutive"] == 1


def test_suspects_and_members_without_weight_are_told_apart(plugin: ScriptedPlugin, registry: Registry) -> None:
    plugin.report(attrs.evolve(A, state=MemberState.SUSPECT))
    plugin.report(attrs.evolve(B, weight=0.0))
    assert [row.status for row in registry.explain_members("orders").members] == ["suspect", "weight 0", "in"]


def test_the_explanation_is_what_json_takes(registry: Registry) -> None:
    RoundRobin("orders", registry).begin().done(Outcome(A, Reached.ANSWERED, 200, 0.1, 0.1, True))
    told = json.loads(json.dumps(registry.explain_members("orders").to_dict(), allow_nan=False))
    assert set(told) == {"service", "call", "doubt", "counters", "gauges", "members"}
    assert told["members"][0]["address"] == "10.0.0.1:1"
    assert told["members"][0]["state"] == "alive"
