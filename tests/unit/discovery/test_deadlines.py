"""Drivers that do not answer: every wait ends, nothing that waits holds a lock, and all or none is kept."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import anyio
import attrs
import pytest
from support.hammer import hammer
from support.held import Holdings
from support.scripted import ScriptedDriver, ScriptedPlugin, member, settings
from support.virtual_clock import VirtualClock
from support.waiting import eventually

from pydoudou import DiscoveryError, Registry, RegistryStateError, SettingsError
from pydoudou.discovery import Timings
from pydoudou.drivers.contract import ReconfigurableDriver
from pydoudou.drivers.environment import Environment
from pydoudou.drivers.members import Instance

REGISTERED = {"register": True, "service_name": "orders", "register_host": "10.0.0.7"}
QUICK = Timings(leave_timeout=0.2, end_timeout=0.3)


class TunableDriver(ScriptedDriver, ReconfigurableDriver):
    """`act` of the plugin is awaited in every call, by its name."""

    def __init__(self, plugin: TunablePlugin, speed: str) -> None:
        super().__init__(plugin)
        self.speed = speed
        self._tunable = plugin

    async def _act(self, call: str) -> None:
        await self._tunable.act(call)

    async def run(self, sink: Any, instance: Any, *, task_status: Any) -> None:
        await self._act("run")
        await super().run(sink, instance, task_status=task_status)

    async def reconfigure(self, settings: Any) -> None:
        await self._act(f"reconfigure {settings}")
        self.speed = settings

    async def update(self, instance: Instance) -> None:
        await self._act(f"update {instance.data.get('zone')}")
        await super().update(instance)

    async def leave(self) -> None:
        await self._act("leave")
        await super().leave()


async def _nothing(call: str) -> None:
    """No driver is as quick."""


@attrs.define(eq=False)
class TunablePlugin(ScriptedPlugin):
    act: Callable[[str], Awaitable[object]] = _nothing
    dynamic_variables: frozenset[str] = frozenset({"GDD_SPEED"})

    def read_settings(self, environment: Environment) -> str:
        return environment.text("GDD_SPEED", "1")

    def changed(self, settings: str, environment: Environment) -> str:
        speed = environment.text("GDD_SPEED", "1")
        if speed == "bad":
            environment.problem("GDD_SPEED", "a speed")
        return speed

    def create(self, settings: Any) -> TunableDriver:
        driver = TunableDriver(self, settings)
        self.drivers.append(driver)
        return driver

    @property
    def speed(self) -> str:
        driver = self.driver
        assert isinstance(driver, TunableDriver)
        return driver.speed


def hangs(*calls: str) -> Callable[[str], Awaitable[object]]:
    async def act(call: str) -> None:
        if call.partition(" ")[0] in calls:
            await anyio.sleep_forever()

    return act


def raises(error: Exception, *calls: str) -> Callable[[str], Awaitable[object]]:
    async def act(call: str) -> None:
        if call in calls:
            raise error

    return act


@pytest.fixture
def first() -> TunablePlugin:
    return TunablePlugin("first")


@pytest.fixture
def second() -> TunablePlugin:
    return TunablePlugin("second")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def both(first: TunablePlugin, second: TunablePlugin, **options: Any) -> Registry:
    made = settings(first, second, **REGISTERED)
    return Registry(attrs.evolve(made, drivers=dict.fromkeys(made.modes, "1")), **options)


# -- stop --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("update", lambda registry: registry.update({"zone": "b"})),
        ("reconfigure", lambda registry: registry.reconfigure({"GDD_SPEED": "2"})),
    ],
)
def test_a_stop_does_not_wait_for_a_driver_that_hangs_in_a_call_and_ends_that_call(
    first: TunablePlugin, second: TunablePlugin, thread: ThreadPoolExecutor, call: str, use: Callable[[Registry], None]
) -> None:
    entered = threading.Event()

    async def act(what: str) -> None:
        if what.startswith(call):
            entered.set()
            await anyio.sleep_forever()

    first.act = act
    registry = both(first, second, timings=QUICK)
    registry.start()
    waiting = thread.submit(use, registry)
    assert entered.wait(5)
    began = time.monotonic()
    registry.stop()
    assert time.monotonic() - began < 5
    with pytest.raises(RegistryStateError, match="stopped"):
        waiting.result(5)


def test_a_stop_ends_a_start_that_hangs_and_what_was_started_leaves(
    first: TunablePlugin, second: TunablePlugin, thread: ThreadPoolExecutor
) -> None:
    first.act = hangs("run")
    registry = both(first, second, timings=QUICK)
    starting = thread.submit(registry.start)
    eventually(lambda: second.drivers and second.driver.log == ["run"])
    registry.stop()
    with pytest.raises(RegistryStateError, match="stopped"):
        starting.result(5)
    assert second.driver.log == ["run", "leave", "end"]
    assert registry.stopped
    assert not registry.running


def test_a_driver_that_never_has_left_is_ended_in_time(first: TunablePlugin, second: TunablePlugin) -> None:
    first.act = hangs("leave")
    registry = both(first, second, timings=QUICK)
    registry.start()
    began = time.monotonic()
    registry.stop()
    assert time.monotonic() - began < 5
    assert [plugin.driver.log[-1] for plugin in (first, second)] == ["end", "end"]


@pytest.mark.parametrize("call", ["update", "leave"])
def test_a_driver_that_blocks_the_event_loop_cannot_keep_the_registry_from_stopping(
    first: TunablePlugin, second: TunablePlugin, thread: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    release, entered = threading.Event(), threading.Event()

    async def act(what: str) -> None:
        if what.startswith(call):
            entered.set()
            release.wait(20)

    first.act = act
    registry = both(first, second, timings=QUICK)
    registry.start()
    if call == "update":
        waiting = thread.submit(registry.update, {"zone": "b"})
        assert entered.wait(5)
    began = time.monotonic()
    registry.stop()
    assert time.monotonic() - began < 5
    assert "its thread is left behind" in caplog.text
    if call == "update":
        with pytest.raises(RegistryStateError):
            waiting.result(5)
    release.set()


def test_a_driver_that_refuses_to_be_cancelled_cannot_keep_the_registry_from_stopping(
    first: TunablePlugin, second: TunablePlugin
) -> None:
    released = Future[None]()

    async def act(call: str) -> None:
        if call == "leave":
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(released.result)

    first.act = act
    registry = both(first, second, timings=QUICK)
    registry.start()
    began = time.monotonic()
    registry.stop()
    assert time.monotonic() - began < 5
    released.set_result(None)


def test_stops_from_several_threads_all_return_when_the_registry_has_left(
    first: TunablePlugin, second: TunablePlugin, thread: ThreadPoolExecutor
) -> None:
    registry = both(first, second)
    registry.start()
    gate = Future[None]()

    async def act(call: str) -> None:
        if call == "leave":
            await anyio.to_thread.run_sync(gate.result)

    for plugin in (first, second):
        plugin.act = act
    stops = [thread.submit(registry.stop) for _ in range(4)]
    assert concurrent.futures.wait(stops, 0.1).done == set()
    gate.set_result(None)
    for stop in stops:
        stop.result(5)
    assert registry.stopped


def test_while_a_registry_leaves_it_knows_nobody_and_cannot_be_started(
    first: TunablePlugin, second: TunablePlugin, thread: ThreadPoolExecutor
) -> None:
    gate, leaving = Future[None](), threading.Event()

    async def act(call: str) -> None:
        if call == "leave":
            leaving.set()
            await anyio.to_thread.run_sync(gate.result)

    first.act = act
    first.members = [member()]
    registry = both(first, second)
    registry.start()
    stopping = thread.submit(registry.stop)
    assert leaving.wait(5)
    assert registry.members("orders") == ()
    assert not registry.status().running
    with pytest.raises(RegistryStateError):
        registry.update({})
    with pytest.raises(RegistryStateError):
        registry.start()
    gate.set_result(None)
    stopping.result(5)
    registry.start()
    registry.stop()


# -- deadlines of calls ------------------------------------------------------------------------------------------------


def test_an_update_that_a_driver_does_not_answer_fails_and_is_undone_with_the_other(
    first: TunablePlugin, second: TunablePlugin, clock: VirtualClock, thread: ThreadPoolExecutor
) -> None:
    first.act = hangs("update")
    with both(first, second, clock=clock) as registry:
        updating = thread.submit(registry.update, {"zone": "b"})
        eventually(lambda: second.driver.instance is not None and second.driver.instance.data == {"zone": "b"})
        clock.advance(29.0)
        assert not updating.done()
        clock.advance(1.0)
        with pytest.raises(DiscoveryError, match="the first driver did not answer within 30 s"):
            updating.result(5)
        assert second.driver.instance is not None
        assert second.driver.instance.data == {}


def test_a_call_from_the_drivers_own_event_loop_is_refused_rather_than_waited_for(
    first: TunablePlugin, second: TunablePlugin
) -> None:
    refused: list[Exception] = []

    async def act(call: str) -> None:
        if call.startswith("update"):
            try:
                registry.reconfigure({"GDD_SPEED": "2"})
            except RegistryStateError as error:
                refused.append(error)

    first.act = act
    with both(first, second) as registry:
        registry.update({"zone": "b"})
    assert len(refused) == 1


# -- all or none -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["first", "second"])
def test_settings_that_one_driver_refuses_are_raised_and_undone_with_the_other(
    first: TunablePlugin, second: TunablePlugin, failing: str
) -> None:
    error = OSError("disk full")
    (first if failing == "first" else second).act = raises(error, "reconfigure 2")
    with both(first, second) as registry:
        before = registry.settings
        with pytest.raises(OSError, match="disk full"):
            registry.reconfigure({"GDD_SPEED": "2"})
        assert registry.settings is before
        assert (first.speed, second.speed) == ("1", "1")
        registry.reconfigure({"GDD_SPEED": "3"})
        assert (first.speed, second.speed) == ("3", "3")
        assert dict(registry.settings.drivers) == {"first": "3", "second": "3"}


def test_a_bad_value_changes_nothing(first: TunablePlugin, second: TunablePlugin) -> None:
    with both(first, second) as registry:
        with pytest.raises(SettingsError, match="GDD_SPEED"):
            registry.reconfigure({"GDD_SPEED": "bad"})
        assert (first.speed, second.speed) == ("1", "1")


def test_what_was_reconfigured_counts_after_a_stop_and_for_the_next_run(
    first: TunablePlugin, second: TunablePlugin, clock: VirtualClock
) -> None:
    with both(first, second, clock=clock) as registry:
        registry.reconfigure({"GDD_SPEED": "2"})
        first.driver.end(ValueError("a defect"))
        clock.advance(1.0)
        assert len(first.drivers) == 2
        assert first.speed == "2"
    assert registry.settings.drivers["first"] == "2"


def test_what_is_changed_while_a_driver_starts_again_is_taken_up_when_it_serves(
    first: TunablePlugin, second: TunablePlugin, clock: VirtualClock
) -> None:
    with both(first, second, clock=clock) as registry:
        first.start_gate = Future()
        first.driver.end(ValueError("a defect"))
        clock.advance(1.0)
        eventually(lambda: len(first.drivers) == 2 and first.driver.log == ["run"])
        registry.update({"zone": "b"})
        registry.reconfigure({"GDD_SPEED": "2"})
        first.start_gate.set_result(None)
        eventually(lambda: first.speed == "2" and first.driver.instance and first.driver.instance.data)
        assert first.driver.instance is not None
        assert first.driver.instance.data == {"zone": "b"}


def test_a_driver_that_cannot_be_reconfigured_says_so(second: TunablePlugin) -> None:
    class Plugin(TunablePlugin):
        def create(self, settings: Any) -> Any:
            self.drivers.append(ScriptedDriver(self))
            return self.drivers[-1]

    with both(Plugin("first"), second) as registry:
        with pytest.raises(DiscoveryError, match="ReconfigurableDriver"):
            registry.reconfigure({"GDD_SPEED": "2"})
        assert second.speed == "1"


# -- threads against each other ----------------------------------------------------------------------------------------


def test_starts_stops_updates_and_reads_from_many_threads_end_in_order(
    first: TunablePlugin, second: TunablePlugin
) -> None:
    registry, before = both(first, second), Holdings()

    def tolerant(use: Callable[[], object]) -> Callable[[], None]:
        def call() -> None:
            try:
                use()
            except RegistryStateError:
                return

        return call

    hammer(
        [
            tolerant(registry.start),
            tolerant(registry.start),
            tolerant(registry.stop),
            tolerant(lambda: registry.update({"zone": "b"})),
            tolerant(lambda: registry.reconfigure({"GDD_SPEED": "2"})),
            lambda: registry.status(),
            lambda: registry.members("orders"),
        ],
        rounds=20,
    )
    registry.stop()
    assert registry.stopped
    assert all(plugin.driver.log[-1] == "end" for plugin in (first, second))
    assert [kept for kept in before.new() if kept.startswith("thread pydoudou")] == []


def test_views_are_read_while_drivers_report_and_services_come_and_go(first: TunablePlugin) -> None:
    numbers = iter(range(10**9))

    def report() -> None:
        number = next(numbers)
        first.report(member(service=f"service-{number % 50}", port=1 + number % 100, weight=float(number)))

    def read() -> None:
        status = registry.status()
        assert status.members >= 0
        registry.explain("nobody")
        assert all(each.service == "service-1" for each in registry.snapshot("service-1").members)

    made = settings(first)
    with Registry(attrs.evolve(made, drivers={"first": "1"})) as registry:
        hammer([report, report, report, read, read], rounds=100)
