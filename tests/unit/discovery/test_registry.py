"""Starting, serving, failing and stopping, with drivers that do what the test says."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from support.held import Holdings
from support.scripted import ScriptedDriver, ScriptedPlugin, member, settings
from support.virtual_clock import VirtualClock
from support.waiting import eventually

from pydoudou import (
    DiscoveryError,
    EventKind,
    JoinError,
    MemberState,
    MetadataTooLarge,
    RegistrationError,
    Registry,
    RegistryStateError,
)
from pydoudou.discovery import Timings
from pydoudou.drivers.contract import SubscribingDriver

REGISTERED = {"register": True, "service_name": "orders", "register_host": "10.0.0.7"}


@pytest.fixture
def gossip() -> ScriptedPlugin:
    return ScriptedPlugin("gossip")


@pytest.fixture
def server() -> ScriptedPlugin:
    return ScriptedPlugin("server")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def registry(gossip: ScriptedPlugin, server: ScriptedPlugin, clock: VirtualClock) -> Iterator[Registry]:
    with Registry(settings(gossip, server, **REGISTERED), clock=clock) as registry:
        yield registry


# -- start and stop ----------------------------------------------------------------------------------------------------


def test_every_driver_is_given_what_is_to_be_registered(gossip: ScriptedPlugin, server: ScriptedPlugin) -> None:
    registry = Registry(settings(gossip, server, **REGISTERED, port=7000, weight=2))
    registry.start({"zone": "a"})
    registry.stop()
    for plugin in (gossip, server):
        instance = plugin.driver.instance
        assert instance is not None
        assert (instance.service, instance.host, instance.port, instance.weight) == ("orders", "10.0.0.7", 7000, 2)
        assert instance.data == {"zone": "a"}
        assert instance.registered_at is not None
        assert instance.registered_at.tzinfo is not None


def test_a_process_that_only_looks_registers_nothing(gossip: ScriptedPlugin) -> None:
    with Registry(settings(gossip)):
        assert gossip.driver.instance is None


def test_every_driver_leaves_before_it_is_ended(gossip: ScriptedPlugin, server: ScriptedPlugin) -> None:
    with Registry(settings(gossip, server)):
        pass
    assert gossip.driver.log == ["run", "leave", "end"]
    assert server.driver.log == ["run", "leave", "end"]


def test_stopping_twice_leaves_once(registry: Registry, gossip: ScriptedPlugin) -> None:
    registry.stop()
    registry.stop()
    assert gossip.driver.log.count("leave") == 1


def test_starting_twice_is_an_error(registry: Registry) -> None:
    with pytest.raises(RegistryStateError, match="runs already"):
        registry.start()


def test_a_stopped_registry_can_be_started_again_and_knows_nothing_from_before(
    registry: Registry, gossip: ScriptedPlugin
) -> None:
    gossip.report(member())
    registry.stop()
    assert registry.members() == ()
    registry.start()
    assert registry.running
    assert registry.members() == ()
    assert len(gossip.drivers) == 2


def test_with_takes_over_a_registry_that_was_started_before(gossip: ScriptedPlugin) -> None:
    registry = Registry(settings(gossip))
    registry.start()
    with registry:
        assert registry.running
    assert not registry.running


def test_a_registry_can_be_stopped_from_another_thread(registry: Registry) -> None:
    with ThreadPoolExecutor(1) as executor:
        executor.submit(registry.stop).result(5)
    assert not registry.running


def test_after_twenty_starts_and_stops_there_are_no_more_threads_than_before(gossip: ScriptedPlugin) -> None:
    before = Holdings()
    for _ in range(20):
        with Registry(settings(gossip)):
            pass
    before.assert_nothing_new()


def test_what_a_driver_reports_while_it_starts_is_there_when_start_returns(gossip: ScriptedPlugin) -> None:
    gossip.members = [member()]
    with Registry(settings(gossip)) as registry:
        assert [m.sources for m in registry.members("orders")] == [("gossip",)]


def test_what_a_driver_still_reports_after_the_stop_is_ignored(registry: Registry, gossip: ScriptedPlugin) -> None:
    registry.stop()
    gossip.report(member())
    assert registry.members() == ()


def test_drivers_are_started_at_the_same_time(gossip: ScriptedPlugin, server: ScriptedPlugin) -> None:
    gossip.start_gate = server.start_gate = Future()
    with ThreadPoolExecutor(1) as executor:
        registry = Registry(settings(gossip, server))
        starting = executor.submit(registry.start)
        eventually(lambda: [driver.log for driver in gossip.drivers + server.drivers] == [["run"], ["run"]])
        gossip.start_gate.set_result(None)
        starting.result(5)
        registry.stop()


# -- a driver that does not start --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [MetadataTooLarge("600 bytes", size=600, limit=512), JoinError("nobody answers"), OSError("no such device")],
)
def test_the_error_of_a_driver_that_cannot_start_is_raised_as_it_is(gossip: ScriptedPlugin, error: Exception) -> None:
    gossip.start_error = error
    registry = Registry(settings(gossip))
    with pytest.raises(type(error)) as caught:
        registry.start()
    assert caught.value is error
    assert not registry.running


def test_the_drivers_that_did_start_leave_and_end_when_another_could_not(
    gossip: ScriptedPlugin, server: ScriptedPlugin
) -> None:
    gossip.start_error = JoinError("nobody answers")
    with pytest.raises(JoinError):
        Registry(settings(gossip, server)).start()
    assert server.driver.log == ["run", "leave", "end"]


def test_all_drivers_that_could_not_start_are_named(gossip: ScriptedPlugin, server: ScriptedPlugin) -> None:
    gossip.start_error, server.start_error = JoinError("nobody answers"), RegistrationError("wrong password")
    with pytest.raises(DiscoveryError) as caught:
        Registry(settings(gossip, server)).start()
    assert "gossip: JoinError: nobody answers" in str(caught.value)
    assert "server: RegistrationError: wrong password" in str(caught.value)


def test_a_failed_start_leaves_no_thread_behind_and_may_be_repeated(gossip: ScriptedPlugin) -> None:
    before = Holdings()
    registry = Registry(settings(gossip))
    gossip.start_error = JoinError("nobody answers")
    with pytest.raises(JoinError):
        registry.start()
    before.assert_nothing_new()
    gossip.start_error = None
    with registry:
        assert registry.running


# -- a driver that ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("a defect"), None])
def test_a_driver_that_ends_is_started_again_and_its_members_stay(
    registry: Registry, gossip: ScriptedPlugin, server: ScriptedPlugin, clock: VirtualClock, error: Exception | None
) -> None:
    gossip.report(member())
    gossip.driver.end(error)
    clock.advance(1.0)
    assert [driver.log for driver in gossip.drivers] == [["run", "end"], ["run"]]
    assert len(registry.members("orders")) == 1
    assert server.driver.log == ["run"]


def test_while_a_driver_is_down_the_status_says_so_and_the_members_are_stale(
    registry: Registry, gossip: ScriptedPlugin, clock: VirtualClock
) -> None:
    gossip.report(member())
    gossip.driver.end(ValueError("a defect"))
    clock.settle()
    status = registry.status()
    assert not status.ready
    assert (status.backends[0].running, status.backends[0].authoritative) == (False, False)
    assert status.backends[0].error == "ValueError: a defect"
    assert status.backends[1].ready
    assert status.stale == ("orders",)


def test_a_status_is_of_one_moment(gossip: ScriptedPlugin) -> None:
    def changes_its_mind() -> None:
        while not enough.is_set():
            for authoritative in (False, True):
                gossip.sink.authoritative(authoritative)

    enough, interval = threading.Event(), sys.getswitchinterval()
    with Registry(settings(gossip)) as registry:
        gossip.report(*(member(port=port) for port in range(1, 100)))
        changing = threading.Thread(target=changes_its_mind)
        changing.start()
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(300):
                status = registry.status()
                assert (status.stale == ()) is status.backends[0].authoritative
        finally:
            sys.setswitchinterval(interval)
            enough.set()
            changing.join()


def test_what_the_next_run_does_not_report_is_gone_after_the_drivers_bound(clock: VirtualClock) -> None:
    plugin = ScriptedPlugin(detection_bound=10.0)
    with Registry(settings(plugin), clock=clock) as registry:
        plugin.report(member())
        plugin.driver.end(ValueError("a defect"))
        clock.advance(1.0)
        assert registry.status().backends[0].restarts == 1
        assert len(registry.members()) == 1
        clock.advance(10.0)
        assert registry.members() == ()


def test_a_driver_that_cannot_start_again_is_tried_again(
    registry: Registry, gossip: ScriptedPlugin, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    gossip.start_error = JoinError("nobody answers")
    gossip.driver.end(ValueError("a defect"))
    clock.advance(60.0)
    assert len(gossip.drivers) > 3
    gossip.start_error = None
    clock.advance(60.0)
    assert registry.status().ready
    assert "ValueError: a defect" in caplog.text
    assert "JoinError: nobody answers" in caplog.text


def test_the_waits_before_a_restart_double_up_to_a_minute_and_are_drawn_at_random(
    registry: Registry, gossip: ScriptedPlugin, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    gossip.start_error = JoinError("nobody answers")
    gossip.driver.end(ValueError("a defect"))
    clock.advance(600.0)
    waits = [float(record.args[1]) for record in caplog.records if "started again" in record.msg and record.args]  # type: ignore[index,arg-type]
    assert len(waits) > 10
    longest = [min(60.0, 2.0**n) for n, _ in enumerate(waits)]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True)), waits
    assert len({wait / most for wait, most in zip(waits, longest, strict=True)}) > 1


def test_a_driver_that_served_for_a_minute_is_started_again_as_soon_as_after_its_first_end(
    registry: Registry, gossip: ScriptedPlugin, clock: VirtualClock
) -> None:
    for restarts in range(5):
        clock.advance(61.0)
        gossip.driver.end(ValueError("a defect"))
        clock.advance(1.0)
        assert registry.status().backends[0].restarts == restarts + 1


def test_a_run_that_has_ended_can_report_nothing_more(
    registry: Registry, gossip: ScriptedPlugin, clock: VirtualClock
) -> None:
    old = gossip.sink
    gossip.driver.end(ValueError("a defect"))
    clock.advance(1.0)
    old.observe([member()])
    old.authoritative(False, "late")
    assert registry.members() == ()
    assert registry.status().backends[0].authoritative


def test_the_next_run_registers_the_metadata_of_the_last_update(
    registry: Registry, gossip: ScriptedPlugin, clock: VirtualClock
) -> None:
    registry.update({"zone": "b"})
    gossip.driver.end(ValueError("a defect"))
    clock.advance(1.0)
    assert len(gossip.drivers) == 2
    assert gossip.driver.instance is not None
    assert gossip.driver.instance.data == {"zone": "b"}


# -- what is no driver -------------------------------------------------------------------------------------------------


class NoLeave:
    detection_bound = 1.0

    async def run(self, sink: Any, instance: Any, *, task_status: Any) -> None: ...
    async def update(self, instance: Any) -> None: ...
    def status(self) -> Any: ...


class Misspelt(ScriptedDriver, SubscribingDriver):  # type: ignore[misc]
    async def subscribe(self, service: str | None) -> None: ...
    async def unsubscibe(self, service: str | None) -> None: ...


class Undeclared(ScriptedDriver):
    async def subscribe(self, service: str | None) -> None: ...


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (NoLeave(), ["'scripted'", "NoLeave", "leave"]),
        (lambda plugin: Misspelt(plugin), ["'scripted'", "Misspelt", "unsubscribe"]),
        (lambda plugin: Undeclared(plugin), ["'scripted'", "Undeclared", "SubscribingDriver"]),
    ],
)
def test_an_object_that_is_no_driver_is_refused_when_it_is_made_with_what_it_lacks(made: Any, told: list[str]) -> None:
    class Plugin(ScriptedPlugin):
        def create(self, settings: Any) -> Any:
            return made(self) if callable(made) else made

    registry = Registry(settings(Plugin()))
    with pytest.raises(DiscoveryError) as caught:
        registry.start()
    assert all(word in str(caught.value) for word in told), str(caught.value)


@pytest.mark.parametrize("bound", [math.nan, -1.0, "30", None])
def test_a_detection_bound_that_is_no_duration_is_refused(bound: Any) -> None:
    with pytest.raises(DiscoveryError, match="detection_bound"):
        Registry(settings(ScriptedPlugin(detection_bound=bound))).start()


def test_a_driver_that_never_notices_anything_says_so_with_an_infinite_bound(clock: VirtualClock) -> None:
    first, never = ScriptedPlugin("first"), ScriptedPlugin("never", detection_bound=math.inf)
    with Registry(settings(first, never), clock=clock) as registry:
        first.report(member())
        never.report(member())
        first.report(member(state=MemberState.FAILED))
        clock.advance(1e6)
        assert registry.members("orders") == ()


def test_the_driver_of_a_mode_can_be_looked_into(registry: Registry, gossip: ScriptedPlugin) -> None:
    assert registry.driver("gossip") is gossip.driver
    with pytest.raises(KeyError):
        registry.driver("other")


# -- a driver that does not stop ---------------------------------------------------------------------------------------


def test_a_driver_that_cannot_leave_does_not_keep_the_registry_from_stopping(
    registry: Registry, gossip: ScriptedPlugin, server: ScriptedPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    gossip.leave_error = OSError("network is unreachable")
    registry.stop()
    assert gossip.driver.log[-1] == "end"
    assert server.driver.log == ["run", "leave", "end"]
    assert "the gossip driver could not leave: network is unreachable" in caplog.text


def test_leaving_has_one_deadline_for_all_drivers(gossip: ScriptedPlugin, server: ScriptedPlugin) -> None:
    gossip.leave_takes = server.leave_takes = 60.0
    registry = Registry(settings(gossip, server), timings=Timings(leave_timeout=0.05))
    registry.start()
    began = time.monotonic()
    registry.stop()
    assert time.monotonic() - began < 2.0
    assert gossip.driver.log[-1] == "end"


# -- metadata ----------------------------------------------------------------------------------------------------------


def test_an_update_reaches_every_driver_and_keeps_the_date_of_registration(
    registry: Registry, gossip: ScriptedPlugin, server: ScriptedPlugin
) -> None:
    before = gossip.driver.instance
    registry.update({"zone": "b"})
    assert before is not None
    for plugin in (gossip, server):
        assert plugin.driver.instance is not None
        assert plugin.driver.instance.data == {"zone": "b"}
        assert plugin.driver.instance.registered_at == before.registered_at


def test_an_update_that_one_driver_refuses_is_raised_and_undone_with_the_other(
    registry: Registry, gossip: ScriptedPlugin, server: ScriptedPlugin
) -> None:
    registry.update({"zone": "a"})
    gossip.update_error = MetadataTooLarge("600 bytes", size=600, limit=512)
    with pytest.raises(MetadataTooLarge) as caught:
        registry.update({"zone": "b"})
    assert caught.value is gossip.update_error
    assert server.driver.instance is not None
    assert server.driver.instance.data == {"zone": "a"}


def test_a_process_that_only_looks_has_no_metadata_to_update(gossip: ScriptedPlugin) -> None:
    with Registry(settings(gossip)) as registry, pytest.raises(RegistryStateError, match="register=False"):
        registry.update({})


def test_metadata_is_copied_when_it_is_given(gossip: ScriptedPlugin) -> None:
    registry = Registry(settings(gossip, **REGISTERED))
    data = {"zone": "a"}
    registry.start(data)
    data["zone"] = "b"
    registry.stop()
    assert gossip.driver.instance is not None
    assert gossip.driver.instance.data == {"zone": "a"}


# -- the view in real time ---------------------------------------------------------------------------------------------


def test_a_withdrawn_member_returns_when_its_time_has_come(clock: VirtualClock) -> None:
    first, second = ScriptedPlugin("first"), ScriptedPlugin("second", detection_bound=30.0)
    with Registry(settings(first, second), clock=clock) as registry, registry.watch() as events:
        first.report(member())
        second.report(member())
        first.report(member(state=MemberState.FAILED))
        clock.advance(29.9)
        assert registry.members("orders") == ()
        clock.advance(0.1)
        assert [next(events).kind for _ in range(3)] == [EventKind.JOINED, EventKind.LEFT, EventKind.JOINED]


def test_a_snapshot_may_be_read_while_drivers_report_from_other_threads(
    registry: Registry, gossip: ScriptedPlugin
) -> None:
    def report(first: int) -> None:
        for n in range(first, first + 200):
            gossip.report(member(f"10.0.{n // 250}.{n % 250}", service=f"service-{n % 7}"))

    with ThreadPoolExecutor(4) as executor:
        reporting = [executor.submit(report, 200 * n) for n in range(4)]
        while not all(future.done() for future in reporting):
            for n in range(7):
                snapshot = registry.snapshot(f"service-{n}")
                assert all(m.service == snapshot.service for m in snapshot.members)
            registry.members()
    for future in reporting:
        future.result()
    assert len(registry.members()) == 800


def test_members_of_all_services_are_ordered_by_service_and_address(registry: Registry, gossip: ScriptedPlugin) -> None:
    gossip.report(member("10.0.0.2", service="users"), member("10.0.0.1", service="users"), member())
    assert [(m.service, m.host) for m in registry.members()] == [
        ("orders", "10.0.0.1"),
        ("users", "10.0.0.1"),
        ("users", "10.0.0.2"),
    ]


# -- what it says of itself --------------------------------------------------------------------------------------------


def test_the_explanation_names_the_service_the_modes_and_what_each_backend_says(
    registry: Registry, gossip: ScriptedPlugin, server: ScriptedPlugin
) -> None:
    gossip.report(member())
    server.report(member(service="users"))
    gossip.report(member(state=MemberState.FAILED))
    server.sink.authoritative(False, "connection refused")
    text = registry.explain("orders")
    assert "'orders'" in text
    assert "modes gossip, server" in text
    assert "gossip: ready, scripted, has no members of it" in text
    assert "server: ready, scripted, not authoritative at present (connection refused)" in text
    assert "services with members: users" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "use",
    [
        lambda registry: registry.snapshot("orders").candidates == (),
        lambda registry: registry.members() == (),
        lambda registry: "does not run" in registry.explain("orders"),
        lambda registry: not registry.status().running,
    ],
)
def test_a_registry_that_does_not_run_knows_nobody_and_says_so(
    gossip: ScriptedPlugin, use: Callable[[Registry], bool]
) -> None:
    assert use(Registry(settings(gossip)))


def test_the_status_counts_services_and_members(registry: Registry, gossip: ScriptedPlugin) -> None:
    gossip.report(member("10.0.0.1"), member("10.0.0.2"), member(service="users"))
    status: Any = registry.status()
    assert (status.running, status.ready, status.services, status.members) == (True, True, 2, 3)
    assert [backend.mode for backend in status.backends] == ["gossip", "server"]
