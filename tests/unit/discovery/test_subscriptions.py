"""What is wanted: backends that report only what somebody asked for are told, and told when nobody asks any more."""

from __future__ import annotations

import concurrent.futures
import itertools
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import pytest
from anyio import to_thread
from support.hammer import hammer
from support.scripted import ScriptedDriver, ScriptedPlugin, member, settings
from support.virtual_clock import VirtualClock
from support.waiting import eventually

from pydoudou import MemberState, NoMemberAvailable, Registry, RegistryStateError, RoundRobin
from pydoudou.discovery import Timings
from pydoudou.drivers.contract import SubscribingDriver

HOUR = 3600.0


class AskedDriver(ScriptedDriver, SubscribingDriver):
    """Reports a member of each service that it is asked for, unless its plugin says something else."""

    def __init__(self, plugin: AskedPlugin) -> None:
        super().__init__(plugin)
        self.asked: list[str | None] = []
        self.told_off: list[str | None] = []
        self._asked_plugin = plugin

    async def subscribe(self, service: str | None) -> None:
        self.asked.append(service)
        await self._asked_plugin.answer(service)
        assert self.sink is not None
        self.sink.observe([member(service=service or "everything")])

    async def unsubscribe(self, service: str | None) -> None:
        self.told_off.append(service)
        assert self.sink is not None
        self.sink.observe([member(service=service or "everything", state=MemberState.LEFT)])


async def _at_once(service: str | None) -> None:
    """Nothing to wait for."""


@attrs.define(eq=False)
class AskedPlugin(ScriptedPlugin):
    """`answer` is awaited before a driver answers."""

    answer: Callable[[str | None], Awaitable[object]] = _at_once

    def create(self, settings: object) -> AskedDriver:
        self.drivers.append(AskedDriver(self))
        return self.driver_now

    @property
    def driver_now(self) -> AskedDriver:
        driver = self.drivers[-1]
        assert isinstance(driver, AskedDriver)
        return driver


class FormerDriver(ScriptedDriver):
    """As in version 0.1: `want`, set on the object alone."""

    def __init__(self, plugin: ScriptedPlugin) -> None:
        super().__init__(plugin)
        self.asked: list[str | None] = []
        self.want = self._want

    async def _want(self, service: str | None) -> None:
        self.asked.append(service)
        assert self.sink is not None
        self.sink.observe([member(service=service or "everything")])


class FormerPlugin(ScriptedPlugin):
    def create(self, settings: object) -> FormerDriver:
        driver = FormerDriver(self)
        self.drivers.append(driver)
        return driver


@pytest.fixture
def plugin() -> AskedPlugin:
    return AskedPlugin()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def asked(plugin: AskedPlugin) -> list[str | None]:
    return plugin.driver_now.asked


def never() -> Callable[[str | None], Awaitable[object]]:
    async def answer(service: str | None) -> None:
        await anyio.sleep_forever()

    return answer


def known_only(*services: str) -> Callable[[str | None], Awaitable[object]]:
    async def answer(service: str | None) -> None:
        if service not in services:
            raise LookupError(f"nobody knows {service}")

    return answer


# -- asking ------------------------------------------------------------------------------------------------------------


def test_the_first_pick_finds_the_member_of_a_service_that_nobody_asked_for_before(plugin: AskedPlugin) -> None:
    with Registry(settings(plugin)) as registry:
        assert RoundRobin("orders", registry).pick().service == "orders"
        assert registry.snapshot("orders").members
        assert asked(plugin) == ["orders"]


def test_a_balancer_that_is_older_than_the_registry_is_heard_too(plugin: AskedPlugin) -> None:
    registry = Registry(settings(plugin))
    balancer = RoundRobin("orders", registry)
    assert balancer.members() == ()
    for _ in range(2):
        with registry:
            assert balancer.pick().service == "orders"


def test_all_services_are_asked_for_by_those_who_want_to_see_all(plugin: AskedPlugin) -> None:
    with Registry(settings(plugin)) as registry:
        assert [each.service for each in registry.members()] == ["everything"]
        registry.members()
        registry.watch().close()
        assert asked(plugin) == [None]


def test_a_watch_asks_without_waiting_and_until_it_is_closed(plugin: AskedPlugin) -> None:
    with Registry(settings(plugin)) as registry:
        with registry.watch("orders") as events:
            assert next(events).member.service == "orders"
        eventually(lambda: plugin.driver_now.told_off == ["orders"])


def test_a_driver_that_is_started_again_is_asked_again(plugin: AskedPlugin, clock: VirtualClock) -> None:
    with Registry(settings(plugin), clock=clock) as registry:
        registry.snapshot("orders")
        registry.snapshot("users")
        clock.settle()
        plugin.driver.end(OSError("broken"))
        clock.advance(1.0)
        assert len(plugin.drivers) == 2
        assert sorted(map(str, asked(plugin))) == ["orders", "users"]


def test_what_is_asked_for_while_a_driver_is_down_is_asked_of_the_next_one(
    plugin: AskedPlugin, clock: VirtualClock
) -> None:
    with Registry(settings(plugin), clock=clock, timings=Timings(first_answer_timeout=30.0)) as registry:
        plugin.driver.end(OSError("broken"))
        clock.settle()
        began = time.monotonic()
        assert registry.members("orders") == ()
        assert time.monotonic() - began < 15, "waited for a driver that cannot answer"
        clock.advance(1.0)
        assert len(registry.members("orders")) == 1


def test_a_driver_that_reports_everything_is_not_asked() -> None:
    plugin = ScriptedPlugin(members=[member()])
    with Registry(settings(plugin)) as registry:
        assert registry.snapshot("orders").members
        assert registry.status().backends[0].subscriptions == 0


def test_nothing_is_asked_of_a_registry_that_does_not_run(plugin: AskedPlugin) -> None:
    registry = Registry(settings(plugin))
    assert registry.snapshot("orders").members == ()
    with pytest.raises(RegistryStateError):
        registry.watch("orders")
    with registry:
        pass
    assert asked(plugin) == []


def test_a_driver_of_version_0_1_is_asked_through_want() -> None:
    plugin = FormerPlugin()
    with Registry(settings(plugin)) as registry:
        assert len(registry.members("orders")) == 1
        with registry.subscribe("users") as users:
            assert users.wait(5)
        assert len(registry.members("users")) == 1, "there was no way to unsubscribe"


# -- reading does not wait ---------------------------------------------------------------------------------------------


def test_a_snapshot_never_waits(plugin: AskedPlugin) -> None:
    plugin.answer = never()
    with Registry(settings(plugin)) as registry:
        began = time.monotonic()
        for number in range(100):
            assert registry.snapshot(f"service-{number}").members == ()
        assert time.monotonic() - began < 20, "100 waits of half a second would be 50"


def test_where_no_event_loop_runs_the_first_reading_of_the_members_waits_once_for_an_answer(
    plugin: AskedPlugin,
) -> None:
    plugin.answer = never()
    with Registry(settings(plugin)) as registry:
        began = time.monotonic()
        assert registry.members("orders") == ()
        first = time.monotonic() - began
        for _ in range(20):
            assert registry.members("orders") == ()
        assert 0.5 <= first <= time.monotonic() - began < 5, "20 waits would be 10 s"


def test_several_threads_share_the_time_for_the_first_answer(plugin: AskedPlugin) -> None:
    release = concurrent.futures.Future[None]()

    async def answer(service: str | None) -> None:
        await to_thread.run_sync(release.result)

    plugin.answer = answer
    with Registry(settings(plugin), timings=Timings(first_answer_timeout=30.0)) as registry:
        with concurrent.futures.ThreadPoolExecutor(4) as executor:
            reading = [executor.submit(registry.members, "orders") for _ in range(4)]
            eventually(lambda: asked(plugin) == ["orders"])
            release.set_result(None)
            assert all(len(members.result(5)) == 1 for members in reading)


def test_nobody_waits_for_an_answer_when_another_driver_knows_a_member() -> None:
    silent, knowing = AskedPlugin("silent", answer=never()), AskedPlugin("knowing")
    with Registry(settings(silent, knowing), timings=Timings(first_answer_timeout=30.0)) as registry:
        assert len(registry.members("orders")) == 1


@pytest.mark.anyio
async def test_where_an_event_loop_runs_nobody_waits(plugin: AskedPlugin) -> None:
    plugin.answer = never()
    async with Registry(settings(plugin), timings=Timings(first_answer_timeout=30.0)) as registry:
        began = time.monotonic()
        for number in range(10):
            assert registry.members(f"service-{number}") == ()
            with pytest.raises(NoMemberAvailable):
                RoundRobin(f"other-{number}", registry).pick()
        with registry.subscribe("orders") as orders:
            assert not orders.first_answer()
        assert registry.members() == ()
        assert time.monotonic() - began < 15


# -- subscriptions -----------------------------------------------------------------------------------------------------


def test_a_subscription_waits_for_the_answer(plugin: AskedPlugin) -> None:
    with Registry(settings(plugin)) as registry, registry.subscribe("orders") as orders:
        assert orders.wait(5)
        assert orders.answered
        assert len(orders.snapshot().members) == 1


def test_that_nobody_offers_a_service_is_an_answer(plugin: AskedPlugin) -> None:
    plugin.answer = known_only("users")
    with Registry(settings(plugin)) as registry, registry.subscribe("orders") as orders:
        assert orders.wait(5)
        assert orders.snapshot().members == ()


def test_a_wait_without_an_answer_ends_in_time(plugin: AskedPlugin) -> None:
    plugin.answer = never()
    with Registry(settings(plugin)) as registry, registry.subscribe("orders") as orders:
        began = time.monotonic()
        assert not orders.wait(0.1)
        assert 0.1 <= time.monotonic() - began < 20


@pytest.mark.anyio
async def test_a_task_waits_for_the_answer_without_holding_up_its_loop(plugin: AskedPlugin) -> None:
    release = concurrent.futures.Future[None]()

    async def answer(service: str | None) -> None:
        await to_thread.run_sync(release.result)

    plugin.answer = answer
    async with Registry(settings(plugin)) as registry:
        with registry.subscribe("orders") as orders:
            assert not await orders.wait_async(0.01)
            async with anyio.create_task_group() as tasks:
                answered: list[bool] = []

                async def wait(how: Callable[[], Awaitable[bool]]) -> None:
                    answered.append(await how())

                tasks.start_soon(wait, lambda: orders.wait_async(5))
                tasks.start_soon(wait, orders.first_answer_async)
                await anyio.wait_all_tasks_blocked()
                assert answered == []
                release.set_result(None)
            assert answered == [True, True]
            assert await orders.wait_async(5)


def test_a_subscription_keeps_a_service_until_the_last_one_is_closed(plugin: AskedPlugin, clock: VirtualClock) -> None:
    with Registry(settings(plugin), clock=clock) as registry:
        first, second = registry.subscribe("orders"), registry.subscribe("orders")
        clock.advance(10 * HOUR)
        first.close()
        first.close()
        clock.settle()
        assert plugin.driver_now.told_off == []
        assert len(registry.snapshot("orders").members) == 1
        second.close()
        clock.settle()
        assert asked(plugin) == ["orders"]
        assert plugin.driver_now.told_off == ["orders"]
        assert registry.driver("scripted") is plugin.driver
        assert second.closed


def test_a_subscription_outlives_a_stop_of_the_registry_and_may_be_older_than_its_start(plugin: AskedPlugin) -> None:
    registry = Registry(settings(plugin))
    with registry.subscribe("orders") as orders:
        assert not orders.wait(0.0)
        for _ in range(2):
            with registry:
                assert orders.wait(5)
                assert len(orders.snapshot().members) == 1
            assert not orders.answered


def test_a_wait_ends_when_the_registry_stops(plugin: AskedPlugin) -> None:
    plugin.answer = never()
    registry = Registry(settings(plugin))
    registry.start()
    with registry.subscribe("orders") as orders, concurrent.futures.ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(orders.wait, 30)
        eventually(lambda: asked(plugin))
        registry.stop()
        assert waiting.result(5) is False


# -- nobody asks any more ----------------------------------------------------------------------------------------------


def test_a_service_that_nobody_asked_for_in_an_hour_is_forgotten(plugin: AskedPlugin, clock: VirtualClock) -> None:
    with Registry(settings(plugin), clock=clock) as registry:
        registry.snapshot("orders")
        clock.advance(1.3 * HOUR)
        assert plugin.driver_now.told_off == ["orders"]
        assert registry.status().backends[0].subscriptions == 0
        registry.snapshot("orders")
        clock.settle()
        assert asked(plugin) == ["orders", "orders"]
        assert len(registry.snapshot("orders").members) == 1


def test_a_service_that_is_asked_for_again_and_again_is_kept(plugin: AskedPlugin, clock: VirtualClock) -> None:
    with Registry(settings(plugin), clock=clock) as registry:
        for _ in range(10):
            assert registry.snapshot("orders") is not None
            clock.advance(0.9 * HOUR)
        assert asked(plugin) == ["orders"]
        assert plugin.driver_now.told_off == []


def test_that_all_services_are_wanted_is_forgotten_too(plugin: AskedPlugin, clock: VirtualClock) -> None:
    with Registry(settings(plugin), clock=clock) as registry:
        registry.members()
        clock.advance(1.3 * HOUR)
        assert plugin.driver_now.told_off == [None]


def test_after_thousands_of_invented_names_a_real_service_is_found_and_an_early_one_still_there(
    plugin: AskedPlugin, clock: VirtualClock
) -> None:
    plugin.answer = known_only("early", "late")
    with Registry(settings(plugin), clock=clock) as registry:
        assert len(registry.members("early")) == 1
        for number in range(5000):
            registry.snapshot(f"invented-{number}")
        clock.settle()
        assert len(registry.members("late")) == 1
        assert len(registry.members("early")) == 1
        assert registry.status().backends[0].subscriptions < 1100


def test_a_held_service_is_not_pushed_out_by_invented_ones(plugin: AskedPlugin, clock: VirtualClock) -> None:
    plugin.answer = known_only("nobody")
    with Registry(settings(plugin), clock=clock) as registry, registry.subscribe("orders"):
        for number in range(3000):
            registry.snapshot(f"invented-{number}")
        clock.settle()
        assert "orders" not in plugin.driver_now.told_off


def test_what_is_asked_for_last_is_asked_first(plugin: AskedPlugin, clock: VirtualClock) -> None:
    with Registry(settings(plugin), clock=clock) as registry:
        plugin.answer = never()
        for number in range(500):
            registry.snapshot(f"service-{number}")
        clock.settle()
        plugin.answer = known_only("late")
        registry.snapshot("late")
        clock.advance(10.0)
        assert asked(plugin).index("late") < 70


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [TypeError("a bug"), OSError("unreachable"), RuntimeError("stopped?")])
def test_an_error_about_one_service_is_logged_and_counted_and_ends_nothing(
    plugin: AskedPlugin, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(service: str | None) -> None:
        if service == "broken":
            raise error

    plugin.answer = answer
    with Registry(settings(plugin)) as registry:
        assert registry.members("broken") == ()
        assert len(registry.members("good")) == 1
        status = registry.status().backends[0]
        assert (status.running, status.restarts, status.subscription_errors) == (True, 0, 1)
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "'broken'" in record.getMessage()
        assert str(error) in record.getMessage()


def test_an_error_that_comes_up_after_a_restart_does_not_end_the_driver(
    plugin: AskedPlugin, clock: VirtualClock
) -> None:
    plugin.answer = known_only("good")
    with Registry(settings(plugin), clock=clock) as registry:
        registry.snapshot("broken")
        registry.snapshot("good")
        plugin.driver.end(OSError("broken"))
        clock.advance(30.0)
        assert len(plugin.drivers) == 2
        assert len(registry.members("good")) == 1


def test_a_driver_that_does_not_answer_about_one_service_is_given_up_about_it(
    plugin: AskedPlugin, clock: VirtualClock
) -> None:
    plugin.answer = never()
    with Registry(settings(plugin), clock=clock) as registry:
        registry.snapshot("orders")
        clock.advance(10.0)
        assert registry.status().backends[0].subscription_errors == 1


# -- threads against each other ----------------------------------------------------------------------------------------


def test_threads_that_subscribe_ask_and_read_the_status_do_not_disturb_each_other(plugin: AskedPlugin) -> None:
    numbers = itertools.count()

    def subscribe() -> None:
        with registry.subscribe(f"held-{next(numbers) % 7}") as held:
            held.snapshot()

    def ask() -> None:
        registry.snapshot(f"asked-{next(numbers)}")

    def read() -> None:
        registry.status()
        registry.explain("nobody")

    with Registry(settings(plugin)) as registry:
        hammer([subscribe, subscribe, ask, ask, read, read], rounds=100)
        eventually(lambda: len(registry.members("at the end")) == 1)
        eventually(lambda: not any(name and name.startswith("held-") for name in wanted_of(plugin)))


def wanted_of(plugin: AskedPlugin) -> set[Any]:
    """What the driver was asked for and not told off again."""
    driver = plugin.driver_now
    return {name for name in driver.asked if driver.asked.count(name) > driver.told_off.count(name)}


def test_a_service_that_is_wanted_and_unwanted_all_the_time_ends_as_it_was_wanted_last(plugin: AskedPlugin) -> None:
    async def answer(service: str | None) -> None:
        await anyio.sleep(0.001)

    plugin.answer = answer
    with Registry(settings(plugin)) as registry:
        for _ in range(50):
            registry.subscribe("orders").close()
            threading.Event().wait(0.0005)
        eventually(lambda: "orders" not in wanted_of(plugin))
        with registry.subscribe("orders"):
            eventually(lambda: "orders" in wanted_of(plugin) and registry.snapshot("orders").members)
