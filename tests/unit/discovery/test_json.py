"""What a web handler returns: status and members as JSON takes them."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from support.scripted import ScriptedDriver, ScriptedPlugin, member, settings

from pydoudou import BackendStatus, DriverStatus, Member, MemberState, Registry, RegistryStatus


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    """`value` after its way through JSON, which is strict and sends UTF-8."""
    sent = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    received: dict[str, Any] = json.loads(sent)
    assert received == value
    return received


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = {"deeper": [value]}
    return value


def test_a_member_is_told_with_all_its_fields() -> None:
    when = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    told = as_json(
        Member(
            "orders",
            "::1",
            80,
            state=MemberState.SUSPECT,
            data={"zone": "a"},
            node="n1",
            sources=("static",),
            registered_at=when,
        ).to_dict()
    )
    assert told == {
        "service": "orders",
        "host": "::1",
        "port": 80,
        "scheme": "http",
        "root_path": "",
        "weight": 1.0,
        "state": "suspect",
        "data": {"zone": "a"},
        "node": "n1",
        "sources": ["static"],
        "registered_at": "2024-02-03T04:05:06+00:00",
        "dynamic_weight": False,
        "announced_weight": False,
        "process": {},
        "base_url": "http://[::1]:80",
    }


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"key": b"text"}, {"key": "text"}),
        ({"key": b"\xff"}, {"key": "\\xff"}),
        ({"key": "\ud800"}, {"key": "\\ud800"}),
        ({"key": math.nan, "other": -math.inf}, {"key": None, "other": None}),
        ({1: {2.5: None}, None: True}, {"1": {"2.5": None}, "None": True}),
        ({"key": (1, 2), "set": {3}}, {"key": [1, 2], "set": [3]}),
        ({"key": datetime(2024, 2, 3)}, {"key": "2024-02-03T00:00:00"}),
        ({"key": MemberState.LEFT}, {"key": "left"}),
        ({"key": 2**70}, {"key": 2**70}),
    ],
)
def test_whatever_a_service_says_of_itself_is_told_as_json_can(data: Any, shown: dict[str, Any]) -> None:
    assert as_json(member(data=data).to_dict())["data"] == shown


def test_a_weight_that_is_no_number_and_data_without_a_bottom_are_told_too() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    for data in (nested(10_000), endless):
        assert as_json(member(weight=math.inf, data={"key": data}).to_dict())["weight"] is None


class Talkative(ScriptedDriver):
    def status(self) -> DriverStatus:
        return DriverStatus("scripted", True, "\ud800", counters={"packets": 3}, gauges={"health": math.nan})


class TalkativePlugin(ScriptedPlugin):
    def create(self, settings: object) -> Talkative:
        return Talkative(self)


def test_the_status_of_a_registry_that_runs_is_told_with_its_backends() -> None:
    plugin = TalkativePlugin(members=[member()])
    with Registry(settings(plugin)) as registry:
        told = as_json(registry.status().to_dict())
    assert (told["running"], told["ready"], told["services"], told["members"]) == (True, True, 1, 1)
    (backend,) = told["backends"]
    assert backend["mode"] == "scripted"
    assert (backend["running"], backend["ready"], backend["authoritative"], backend["restarts"]) == (
        True,
        True,
        True,
        0,
    )
    assert (backend["restarts"], backend["subscriptions"], backend["subscription_errors"]) == (0, 0, 0)
    assert backend["driver"]["counters"] == {"packets": 3}
    assert backend["driver"]["gauges"] == {"health": None}


def test_the_status_of_a_registry_that_does_not_run_is_told_too() -> None:
    assert as_json(RegistryStatus(running=False).to_dict())["backends"] == []


def test_version_0_1_called_a_backends_authority_its_judging() -> None:
    status = BackendStatus("mode", True, False, "away", "", 0, DriverStatus("mode", True, ""))
    assert status.judging is status.authoritative is False


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
def test_a_status_and_a_snapshot_go_to_another_process(again: Callable[[Any], Any]) -> None:
    plugin = ScriptedPlugin()
    with Registry(settings(plugin)) as registry:
        plugin.report(member())
        status, snapshot = registry.status(), registry.snapshot("orders")
    assert again(status).to_dict() == status.to_dict()
    arrived = again(snapshot)
    assert (arrived.members, arrived.candidates, arrived.since) == (
        snapshot.members,
        snapshot.candidates,
        snapshot.since,
    )
