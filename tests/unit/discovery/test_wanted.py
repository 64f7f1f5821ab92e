"""Backends that report only what somebody asked for are told, once, and in every run."""

from __future__ import annotations

import concurrent.futures
import time

import attrs
import pytest
from support.scripted import ScriptedDriver, ScriptedPlugin, member, settings
from support.waiting import eventually

from pydoudou import Registry, RegistryStateError, RoundRobin


class AskedDriver(ScriptedDriver):
    """Reports a member of each service that it is asked for."""

    def __init__(self, plugin: AskedPlugin) -> None:
        super().__init__(plugin)
        self.asked: list[str | None] = []
        self._gate = plugin.gate

    async def want(self, service: str | None) -> None:
        self.asked.append(service)
        if self._gate is not None:
            import anyio

            await anyio.to_thread.run_sync(self._gate.result)
        assert self.sink is not None
        self.sink.observe([member(service=service or "everything")])


@attrs.define(eq=False)
class AskedPlugin(ScriptedPlugin):
    gate: concurrent.futures.Future[None] | None = None

    def create(self, settings: object) -> AskedDriver:
        self.drivers.append(AskedDriver(self))
        return self.asked_driver

    @property
    def asked_driver(self) -> AskedDriver:
        driver = self.drivers[-1]
        assert isinstance(driver, AskedDriver)
        return driver


def test_the_first_pick_finds_the_member_of_a_service_that_nobody_asked_for_before() -> None:
    plugin = AskedPlugin()
    with Registry(settings(plugin)) as registry:
        assert RoundRobin("orders", registry).pick().service == "orders"
        assert registry.snapshot("orders").members
        assert plugin.asked_driver.asked == ["orders"]


def test_a_balancer_that_is_older_than_the_registry_is_heard_too() -> None:
    plugin = AskedPlugin()
    registry = Registry(settings(plugin))
    balancer = RoundRobin("orders", registry)
    assert balancer.members() == ()
    for _ in range(2):
        with registry:
            assert balancer.pick().service == "orders"


def test_all_services_are_asked_for_by_those_who_want_to_see_all() -> None:
    plugin = AskedPlugin()
    with Registry(settings(plugin)) as registry:
        assert [each.service for each in registry.members()] == ["everything"]
        registry.members()
        registry.watch().close()
        assert plugin.asked_driver.asked == [None]


def test_a_watch_asks_without_waiting() -> None:
    plugin = AskedPlugin()
    with Registry(settings(plugin)) as registry, registry.watch("orders") as events:
        assert next(events).member.service == "orders"


def test_a_backend_that_does_not_answer_is_waited_for_half_a_second_once() -> None:
    plugin = AskedPlugin(gate=concurrent.futures.Future())
    with Registry(settings(plugin)) as registry:
        began = time.monotonic()
        assert registry.snapshot("orders").members == ()
        assert time.monotonic() - began >= 0.5
        assert plugin.gate is not None
        plugin.gate.set_result(None)
        eventually(lambda: registry.snapshot("orders").members)
        assert plugin.asked_driver.asked == ["orders"]


def test_a_driver_that_is_started_again_is_told_again() -> None:
    plugin = AskedPlugin()
    with Registry(settings(plugin)) as registry:
        registry.snapshot("orders")
        plugin.driver.end(OSError("broken"))
        eventually(lambda: len(plugin.drivers) == 2 and plugin.asked_driver.asked == ["orders"])


def test_a_driver_that_reports_everything_is_not_asked() -> None:
    plugin = ScriptedPlugin(members=[member()])
    with Registry(settings(plugin)) as registry:
        assert registry.snapshot("orders").members


def test_nothing_is_asked_of_a_registry_that_does_not_run() -> None:
    registry = Registry(settings(AskedPlugin()))
    assert registry.snapshot("orders").members == ()
    with pytest.raises(RegistryStateError):
        registry.watch("orders")
