"""Registering later than the start, and leaving before the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from support.scripted import ScriptedDriver, ScriptedPlugin, member, settings
from support.virtual_clock import VirtualClock
from support.waiting import eventually

from pydoudou import DiscoveryError, RegistrationError, Registry, RegistryStateError, Settings
from pydoudou.discovery import Timings
from pydoudou.drivers.contract import AnnouncingDriver

REGISTERED = {"register": True, "service_name": "orders", "register_host": "10.0.0.7"}


class SlowNews(ScriptedDriver, AnnouncingDriver):
    """Its news take a minute by its own account."""

    def propagation_time(self) -> float:
        return 60.0


class SlowPlugin(ScriptedPlugin):
    def create(self, settings: object) -> ScriptedDriver:
        self.drivers.append(SlowNews(self))
        return self.drivers[-1]


@pytest.fixture
def plugin() -> ScriptedPlugin:
    return ScriptedPlugin("gossip", members=[member()])


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def registry(plugin: ScriptedPlugin, clock: VirtualClock) -> Iterator[Registry]:
    with Registry(settings(plugin, **REGISTERED), clock=clock) as registry:
        yield registry


def drain(registry: Registry, clock: VirtualClock, seconds: float | None = None, *, waiting: int = 1) -> float:
    """The virtual seconds that draining takes, `waiting` threads at once."""
    before = clock.now()
    with ThreadPoolExecutor(waiting) as threads:
        drains = [threads.submit(registry.drain, seconds) for _ in range(waiting)]
        while not all(each.done() for each in drains):
            if registry.status().presence == "draining":
                clock.advance(0.05)
    for each in drains:
        each.result()
    return clock.now() - before


# -- draining ----------------------------------------------------------------------------------------------------------


def test_a_process_that_drains_says_so_leaves_and_goes_on_looking(
    plugin: ScriptedPlugin, registry: Registry, clock: VirtualClock
) -> None:
    drain(registry, clock)
    assert plugin.driver.instance is not None
    assert plugin.driver.instance.data == {"state": "draining"}
    assert plugin.driver.log == ["run", "leave"]
    assert [member.host for member in registry.members("orders")] == ["10.0.0.1"]
    plugin.report(member("10.0.0.2"))
    assert len(registry.members("orders")) == 2
    assert registry.registered is None
    assert (registry.status().presence, registry.status().ready) == ("left", False)


def test_it_serves_on_for_two_seconds_by_default(registry: Registry, clock: VirtualClock) -> None:
    assert drain(registry, clock) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("seconds", [0.0, 7.5])
def test_it_serves_on_for_as_long_as_the_caller_says(registry: Registry, clock: VirtualClock, seconds: float) -> None:
    assert drain(registry, clock, seconds) == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize(
    ("leave_takes", "served_on"),
    [
        pytest.param(0.1, 2.0, id="told soon"),
        pytest.param(30.0, 30.0, id="told late"),
        pytest.param(90, 60, id="never"),
    ],
)
def test_slow_news_are_waited_for_until_everybody_has_been_told(leave_takes: float, served_on: float) -> None:
    clock = VirtualClock()
    plugin = SlowPlugin(leave_takes=leave_takes)
    timings = Timings(leave_timeout=100.0, call_timeout=100.0)
    with Registry(settings(plugin, **REGISTERED), clock=clock, timings=timings) as registry:
        assert drain(registry, clock) == pytest.approx(served_on, abs=0.2)
        clock.advance(100.0)
    assert plugin.driver.log == ["run", "leave", "end"]


def test_the_time_is_a_setting() -> None:
    assert Settings.from_env({"GDD_SERVICE_NAME": "orders", "GDD_DRAIN_TIME": "500ms"}).drain_time == 0.5
    assert Settings(service="orders", drain_time=0).drain_time == 0


def test_who_drains_again_waits_for_the_rest_of_the_time(
    plugin: ScriptedPlugin, registry: Registry, clock: VirtualClock
) -> None:
    assert drain(registry, clock, waiting=3) == pytest.approx(2.0, abs=0.1)
    assert drain(registry, clock) == 0.0
    registry.stop()
    assert plugin.driver.log == ["run", "leave", "end"]


def test_who_stops_meanwhile_does_not_wait(plugin: ScriptedPlugin) -> None:
    registry = Registry(settings(plugin, **REGISTERED))
    registry.start()
    draining = threading.Thread(target=registry.drain, args=[3600.0])
    draining.start()
    eventually(lambda: registry.status().presence == "draining")
    registry.stop()
    draining.join(5)
    assert not draining.is_alive()
    assert registry.status().presence == "stopped"
    assert plugin.driver.log == ["run", "leave", "end"]


def test_a_process_that_only_looks_has_nothing_to_drain(plugin: ScriptedPlugin, clock: VirtualClock) -> None:
    with Registry(settings(plugin), clock=clock) as registry:
        before = clock.now()
        registry.drain()
        assert clock.now() == before
        assert registry.status().presence == "running"
        assert plugin.driver.log == ["run"]


def test_a_driver_that_is_started_again_while_draining_registers_nothing(
    plugin: ScriptedPlugin, registry: Registry, clock: VirtualClock
) -> None:
    drain(registry, clock)
    plugin.driver.end(RuntimeError("a defect"))
    clock.advance(10.0)
    eventually(lambda: len(plugin.drivers) == 2 and plugin.driver.log == ["run"])
    assert plugin.driver.instance is None


def test_a_backend_that_refuses_the_word_is_left_all_the_same(
    plugin: ScriptedPlugin, registry: Registry, clock: VirtualClock
) -> None:
    plugin.update_error = RegistrationError("no")
    drain(registry, clock)
    assert plugin.driver.log == ["run", "leave"]


def test_nothing_can_be_updated_after_it(registry: Registry, clock: VirtualClock) -> None:
    drain(registry, clock)
    with pytest.raises(RegistryStateError, match="has left"):
        registry.update({"zone": "b"})


def test_a_registry_that_does_not_run_cannot_drain(plugin: ScriptedPlugin) -> None:
    with pytest.raises(RegistryStateError, match="does not run"):
        Registry(settings(plugin, **REGISTERED)).drain()


def test_it_can_be_awaited(plugin: ScriptedPlugin, anyio_backend: str) -> None:
    async def live() -> None:
        async with Registry(settings(plugin, **REGISTERED)) as registry:
            await registry.drain_async(0.01)
            assert registry.status().presence == "left"

    anyio.run(live, backend=anyio_backend)


# -- registering later -------------------------------------------------------------------------------------------------


def test_what_is_held_back_is_registered_when_it_is_announced(plugin: ScriptedPlugin, clock: VirtualClock) -> None:
    registry = Registry(settings(plugin, **REGISTERED), clock=clock)
    registry.start({"zone": "a"}, announce=False)
    try:
        assert plugin.driver.instance is None
        assert len(registry.members("orders")) == 1
        assert (registry.registered, registry.status().presence, registry.status().ready) == (None, "held back", False)
        registry.update({"zone": "b"})
        assert plugin.driver.instance is None
        registry.announce()
        registry.announce()
        assert plugin.driver.instance is not None
        assert plugin.driver.instance.data == {"zone": "b"}
        assert registry.registered is plugin.driver.instance
        assert registry.status().ready
    finally:
        registry.stop()


def test_a_backend_that_refuses_can_be_asked_again(plugin: ScriptedPlugin) -> None:
    registry = Registry(settings(plugin, **REGISTERED))
    registry.start(announce=False)
    try:
        plugin.update_error = DiscoveryError("not now")
        with pytest.raises(DiscoveryError, match="not now"):
            registry.announce()
        assert registry.status().presence == "held back"
        plugin.update_error = None
        registry.announce()
        assert registry.status().ready
    finally:
        registry.stop()


def test_what_was_never_announced_can_drain(plugin: ScriptedPlugin, clock: VirtualClock) -> None:
    registry = Registry(settings(plugin, **REGISTERED), clock=clock)
    registry.start(announce=False)
    try:
        drain(registry, clock)
        registry.announce()
        assert plugin.driver.instance is None
        assert registry.status().presence == "left"
    finally:
        registry.stop()
