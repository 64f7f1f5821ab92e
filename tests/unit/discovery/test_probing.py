"""What a failed call has the drivers do, and when a process doubts itself rather than others."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import anyio
import attrs
import pytest
from support.scripted import ScriptedDriver, ScriptedPlugin, member, settings
from support.virtual_clock import VirtualClock
from support.waiting import eventually

from pydoudou import Member, Registry
from pydoudou.discovery.loop_watch import LoopWatch
from pydoudou.drivers.contract import ProbingDriver
from pydoudou.drivers.kit.loop_thread import LoopThread


class LookingDriver(ScriptedDriver, ProbingDriver):
    """Looks by itself, and says what the test says."""

    def __init__(self, plugin: LookingPlugin) -> None:
        super().__init__(plugin)
        self.plugin = plugin

    def probe(self, member: Member) -> None:
        self.plugin.probed.append(member.address)
        self.plugin.threads.add(threading.current_thread().name)
        if self.plugin.probe_error is not None:
            raise self.plugin.probe_error

    def round_trip(self, member: Member) -> float | None:
        return self.plugin.round_trips.get(member.host)

    def doubt(self) -> str:
        return self.plugin.doubt


@attrs.define(eq=False)
class LookingPlugin(ScriptedPlugin):
    probed: list[str] = attrs.Factory(list)
    threads: set[str] = attrs.Factory(set)
    round_trips: dict[str, float] = attrs.Factory(dict)
    probe_error: Exception | None = None
    doubt: str = ""

    def create(self, settings: Any) -> LookingDriver:
        driver = LookingDriver(self)
        self.drivers.append(driver)
        return driver


@pytest.fixture
def gossip() -> LookingPlugin:
    return LookingPlugin("gossip", members=[member()])


@pytest.fixture
def server() -> ScriptedPlugin:
    return ScriptedPlugin("server", members=[member("10.0.0.2")])


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def registry(gossip: LookingPlugin, server: ScriptedPlugin, clock: VirtualClock) -> Iterator[Registry]:
    with Registry(settings(gossip, server), clock=clock) as registry:
        yield registry


# -- probes ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def loop_blocked(registry: Registry) -> Iterator[None]:
    """Its event loop stands still for as long as the block lasts."""
    busy, go_on = threading.Event(), threading.Event()

    async def block() -> None:
        busy.set()
        go_on.wait(30)

    blocking = threading.Thread(target=registry.on_loop, args=(block,))
    blocking.start()
    assert busy.wait(10)
    try:
        yield
    finally:
        go_on.set()
        blocking.join(10)


def test_the_driver_that_reports_a_member_looks_at_it_on_its_own_thread(
    registry: Registry, gossip: LookingPlugin, clock: VirtualClock
) -> None:
    (mine, of_the_server) = registry.members("orders")
    registry.probe(mine)
    registry.probe(of_the_server)
    clock.settle()
    assert gossip.probed == ["10.0.0.1:6060"]
    assert gossip.threads == {"pydoudou"}


def test_a_member_that_somebody_made_is_looked_at_by_whoever_can(
    registry: Registry, gossip: LookingPlugin, clock: VirtualClock
) -> None:
    registry.probe(member("10.9.9.9"))
    clock.settle()
    assert gossip.probed == ["10.9.9.9:6060"]


def test_calls_that_fail_while_the_loop_is_busy_are_one_question(
    registry: Registry, gossip: LookingPlugin, clock: VirtualClock
) -> None:
    (mine, _) = registry.members("orders")
    with loop_blocked(registry):
        for _ in range(1000):
            registry.probe(mine)
    clock.settle()
    assert gossip.probed == ["10.0.0.1:6060"]
    registry.probe(mine)
    clock.settle()
    assert len(gossip.probed) == 2


def test_a_driver_that_fails_to_look_is_told_of_once_and_raises_nowhere(
    registry: Registry, gossip: LookingPlugin, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    gossip.probe_error = ValueError("a defect")
    for _ in range(3):
        registry.probe(registry.members("orders")[0])
        clock.settle()
    assert caplog.text.count("could not probe") == 1
    assert registry.status().ready


def test_a_registry_that_does_not_run_probes_nobody_doubts_nothing_and_knows_no_round_trip(
    gossip: LookingPlugin,
) -> None:
    registry = Registry(settings(gossip))
    registry.probe(member())
    registry.note_lateness(1.0)
    assert (registry.round_trip(member()), registry.doubt(), registry.status().doubt) == (None, "", "")
    assert gossip.probed == []


def test_a_driver_without_the_ability_is_not_asked(server: ScriptedPlugin, clock: VirtualClock) -> None:
    with Registry(settings(server), clock=clock) as registry:
        registry.probe(member())
        clock.settle()
        assert (registry.round_trip(member()), registry.doubt()) == (None, "")


def test_the_round_trip_is_the_one_of_the_driver_that_knows_it(registry: Registry, gossip: LookingPlugin) -> None:
    gossip.round_trips["10.0.0.1"] = 0.002
    (mine, of_the_server) = registry.members("orders")
    assert (registry.round_trip(mine), registry.round_trip(of_the_server)) == (0.002, None)


# -- doubts ------------------------------------------------------------------------------------------------------------


def test_a_driver_that_doubts_itself_is_believed_for_as_long_as_it_does(
    registry: Registry, gossip: LookingPlugin
) -> None:
    assert registry.doubt() == ""
    gossip.doubt = "the health score is 2"
    assert registry.doubt() == registry.status().doubt == "the health score is 2"
    gossip.doubt = ""
    assert registry.doubt() == ""


def test_a_driver_that_has_ended_is_not_asked(registry: Registry, gossip: LookingPlugin, clock: VirtualClock) -> None:
    gossip.doubt = "the health score is 2"
    gossip.driver.end(ValueError("a defect"))
    clock.settle()
    assert registry.doubt() == ""


def test_a_timer_of_the_caller_that_fired_late_is_a_doubt_for_ten_seconds(
    registry: Registry, clock: VirtualClock
) -> None:
    registry.note_lateness(0.09)
    assert registry.doubt() == ""
    registry.note_lateness(0.3)
    clock.advance(9.9)
    assert "0.30 s late" in registry.doubt()
    assert registry.status().to_dict()["doubt"] == registry.doubt()
    clock.advance(0.2)
    assert registry.doubt() == ""


def test_an_event_loop_of_the_drivers_that_stands_still_is_a_doubt_during_that_and_two_seconds_after() -> None:
    plugin = ScriptedPlugin()
    with Registry(settings(plugin)) as registry:
        assert registry.doubt() == ""
        with loop_blocked(registry):
            eventually(lambda: "event loop of the drivers" in registry.doubt())
        ended = time.monotonic()
        assert "event loop of the drivers" in registry.doubt()
        eventually(lambda: registry.doubt() == "", timeout=10)
        assert time.monotonic() - ended > 1.0


def test_the_callers_own_loop_is_watched_from_a_question_on_it_on(registry: Registry) -> None:
    async def main() -> None:
        assert registry.doubt() == ""
        await asyncio.sleep(0.05)
        assert registry.doubt() == ""
        time.sleep(0.3)  # noqa: ASYNC251 - an application that blocks its event loop
        assert "calling program" in registry.doubt()
        await asyncio.sleep(0)
        assert "calling program" in registry.status().doubt

    asyncio.run(main())
    assert "calling program" in registry.doubt()


def test_a_loop_of_trio_is_watched_as_well_and_holds_nobody_up_at_its_end(registry: Registry) -> None:
    async def main() -> None:
        assert registry.doubt() == ""
        await anyio.sleep(0.05)
        assert registry.doubt() == ""
        time.sleep(0.3)  # noqa: ASYNC251
        assert "calling program" in registry.doubt()

    began = time.monotonic()
    anyio.run(main, backend="trio")
    assert time.monotonic() - began < 5.0
    assert "calling program" in registry.status().doubt


def test_a_loop_is_watched_from_a_question_on_until_ten_seconds_after_the_last() -> None:
    clock, late = VirtualClock(), []
    loop = LoopThread("one", make_loop=clock.new_event_loop)
    loop.start()
    beats: list[float] = []

    def now() -> float:
        if loop.is_current:
            beats.append(clock.now())
        return clock.now()

    watch = LoopWatch(now, loop.call_soon, late.append)
    clock.advance(60.0)
    assert (beats, watch.overdue) == ([], -math.inf)
    for _ in range(3):
        watch.ask()
    clock.advance(60.0)
    assert len(beats) == pytest.approx(101, abs=1)
    watch.ask()
    clock.advance(1.0)
    assert len(beats) == pytest.approx(112, abs=2)
    assert late == []
    assert loop.close(5)


def test_no_event_loop_is_kept_because_it_was_watched(registry: Registry) -> None:
    loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    async def main() -> None:
        loops.add(asyncio.get_running_loop())
        registry.doubt()

    for _ in range(5):
        asyncio.run(main())
    gc.collect()
    assert len(loops) == 0


def test_a_doubt_costs_next_to_nothing(registry: Registry) -> None:
    registry.doubt()
    best = min(_seconds_of(registry.doubt) for _ in range(20))
    assert best < 5e-6  # measured: 0.7 µs; the bound is for a busy machine


def _seconds_of(action: Any, times: int = 1000) -> float:
    began = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - began) / times
