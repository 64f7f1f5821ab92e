"""What an operator reads at level INFO."""

from __future__ import annotations

import logging

import pytest
from support.scripted import ScriptedPlugin, member, settings

from pydoudou import MemberState, Registry


@pytest.fixture(autouse=True)
def _at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pydoudou")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "member" in record.getMessage()]


def test_a_registration_is_one_line_for_each_mode(caplog: pytest.LogCaptureFixture) -> None:
    plugins = [ScriptedPlugin("first"), ScriptedPlugin("second")]
    with Registry(settings(*plugins, register=True, service_name="orders", register_host="10.0.0.7", port=80)):
        pass
    told = [record.getMessage() for record in caplog.records]
    assert told == ["registering orders at 10.0.0.7:80 in first", "registering orders at 10.0.0.7:80 in second"]


@pytest.mark.usefixtures("registry")
def test_the_life_of_a_member_can_be_read(plugin: ScriptedPlugin, caplog: pytest.LogCaptureFixture) -> None:
    for state in (MemberState.ALIVE, MemberState.SUSPECT, MemberState.ALIVE, MemberState.FAILED):
        plugin.report(member(node="n1"), state=state)
    plugin.report(member(node="n1"))
    plugin.report(member(node="n1", weight=2))
    plugin.report(member(node="n1"), state=MemberState.LEFT)
    where = "orders at 10.0.0.1:6060 (scripted, node n1)"
    assert lines(caplog) == [
        f"member joined: {where}",
        f"member suspected: {where}",
        f"member alive again: {where}",
        f"member failed: {where}",
        f"member joined: {where}",
        f"member left: {where}",
    ]


@pytest.mark.usefixtures("registry")
def test_many_changes_at_once_are_one_line_for_each_kind(
    plugin: ScriptedPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    everybody = [member(f"10.0.{n // 250}.{n % 250}", service=f"service-{n % 5}") for n in range(1000)]
    plugin.report(*everybody)
    plugin.report(*everybody, state=MemberState.FAILED)
    assert lines(caplog) == [
        "1000 members joined, of 5 services: service-0, service-1, service-2, …",
        "1000 members failed, of 5 services: service-0, service-1, service-2, …",
    ]


@pytest.mark.usefixtures("registry")
def test_nothing_is_said_below_info(plugin: ScriptedPlugin, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "pydoudou")
    plugin.report(member())
    assert lines(caplog) == []
