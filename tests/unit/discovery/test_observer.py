"""Whoever wants to be told: of members, of drivers, and, through the clients, of calls."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from support.scripted import ScriptedDriver, ScriptedPlugin, member, settings
from support.virtual_clock import VirtualClock

from pydoudou import BackendStatus, DriverStatus, EventKind, Member, MemberEvent, MemberState, Observer, Registry
from pydoudou.discovery.observer import Observers
from pydoudou.drivers.contract import TellingDriver
from pydoudou.drivers.members import Outcome, Reached


class Notes(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.members: list[tuple[EventKind, str]] = []
        self.drivers: list[tuple[str, bool, bool, bool]] = []
        self.calls: list[Any] = []

    def member_changed(self, event: MemberEvent) -> None:
        self.members.append((event.kind, event.member.host))

    def driver_changed(self, status: BackendStatus) -> None:
        self.drivers.append((status.mode, status.running, status.ready, status.authoritative))

    def picked(self, service: str, member: Member) -> None:
        self.calls.append(("picked", service, member.host))

    def attempt_failed(self, service: str, outcome: Outcome) -> None:
        self.calls.append(("failed", service, outcome.reached))

    def call_ended(self, service: str, outcome: Outcome) -> None:
        self.calls.append(("ended", service, outcome.status))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def registry(plugin: ScriptedPlugin, clock: VirtualClock) -> Iterator[Registry]:
    with Registry(settings(plugin), clock=clock) as registry:
        yield registry


def test_an_observer_is_told_of_every_change_of_the_view_in_order(
    registry: Registry, plugin: ScriptedPlugin, clock: VirtualClock
) -> None:
    notes = Notes()
    registry.add_observer(notes)
    plugin.report(member("10.0.0.1"), member("10.0.0.2"))
    plugin.report(member("10.0.0.1", weight=2))
    plugin.report(member("10.0.0.2", state=MemberState.LEFT))
    clock.settle()
    assert notes.members == [
        (EventKind.JOINED, "10.0.0.1"),
        (EventKind.JOINED, "10.0.0.2"),
        (EventKind.UPDATED, "10.0.0.1"),
        (EventKind.LEFT, "10.0.0.2"),
    ]


def test_an_observer_is_told_how_the_drivers_are_and_of_every_change(
    registry: Registry, plugin: ScriptedPlugin, clock: VirtualClock
) -> None:
    notes = Notes()
    registry.add_observer(notes)
    clock.settle()
    assert notes.drivers == [("scripted", True, True, True)]
    clock.advance(60.0)
    assert len(notes.drivers) == 1, "nothing has changed"
    plugin.sink.authoritative(False, "cut off")
    clock.settle()
    assert notes.drivers[1:] == [("scripted", True, True, False)]
    plugin.sink.authoritative(True)
    clock.settle()
    plugin.driver.end(ValueError("a defect"))
    clock.advance(3.0)
    assert notes.drivers[2:] == [
        ("scripted", True, True, True),
        ("scripted", False, False, False),
        ("scripted", True, True, True),
    ]


class Telling(ScriptedDriver, TellingDriver):
    """Becomes ready when the test says so, and counts how often it was asked."""

    ready, asked = False, 0

    def status(self) -> DriverStatus:
        self.asked += 1
        return DriverStatus(self.mode, self.ready, "")


class TellingPlugin(ScriptedPlugin):
    def create(self, settings: Any) -> Telling:
        self.drivers.append(telling := Telling(self))
        return telling


def test_a_driver_that_tells_when_it_is_ready_is_not_asked_for_it_again_and_again(clock: VirtualClock) -> None:
    notes, plugin = Notes(), TellingPlugin()
    registry = Registry(settings(plugin), clock=clock)
    registry.add_observer(notes)
    with registry:
        driver = plugin.driver
        assert isinstance(driver, Telling)
        clock.advance(2.0)
        assert notes.drivers == [("scripted", True, False, True)]
        driver.asked, driver.ready = 0, True
        clock.advance(60.0)
        assert driver.asked == 0
        plugin.sink.changed()
        clock.settle()
        assert notes.drivers[1:] == [("scripted", True, True, True)]
        later = Notes()
        registry.add_observer(later)
        driver.ready = False
        plugin.sink.changed()
        clock.settle()
        assert later.drivers == [("scripted", True, False, True)]


def test_an_observer_may_be_added_before_the_start_and_hears_of_it(plugin: ScriptedPlugin, clock: VirtualClock) -> None:
    notes = Notes()
    registry = Registry(settings(plugin), clock=clock)
    registry.add_observer(notes)
    plugin.members = [member()]
    with registry:
        clock.settle()
        assert notes.members == [(EventKind.JOINED, "10.0.0.1")]
        assert notes.drivers == [("scripted", True, True, True)]
        plugin.sink.authoritative(False, "cut off")
        clock.advance(1.0)
        assert notes.drivers[1:] == [("scripted", True, True, False)]


def test_an_observer_that_was_removed_is_told_no_more(
    registry: Registry, plugin: ScriptedPlugin, clock: VirtualClock
) -> None:
    notes, other = Notes(), Notes()
    for each in (notes, other, notes):
        registry.add_observer(each)
    plugin.report(member("10.0.0.1"))
    clock.settle()
    registry.remove_observer(notes)
    registry.remove_observer(notes)
    plugin.report(member("10.0.0.2"))
    clock.settle()
    assert [len(each.members) for each in (notes, other)] == [1, 2]


def test_an_observer_that_raises_harms_nobody_and_is_logged_once_a_minute(
    registry: Registry, plugin: ScriptedPlugin, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Observer):
        def member_changed(self, event: MemberEvent) -> None:
            raise ValueError("a defect of the observer")

    notes = Notes()
    registry.add_observer(Broken())
    registry.add_observer(notes)
    for number in range(100):
        plugin.report(member(f"10.0.0.{number}"))
    clock.settle()
    assert len(notes.members) == 100
    assert registry.status().ready
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "a defect of the observer" in record.getMessage()
    assert "Broken.member_changed" in record.getMessage()


def test_nothing_is_spent_on_telling_nobody() -> None:
    observers = Observers()
    assert not observers
    notes = Notes()
    observers.add(notes)
    assert observers
    observers.remove(notes)
    assert not observers


def test_clients_tell_all_observers_of_picks_and_of_how_calls_went() -> None:
    observers, notes = Observers(), [Notes(), Notes()]
    for each in notes:
        observers.add(each)
    observers.picked("orders", member())
    observers.attempt_failed("orders", Outcome(member(), Reached.UNCONNECTED))
    observers.call_ended("orders", Outcome(member(), Reached.ANSWERED, status=200, complete=True))
    for each in notes:
        assert each.calls == [
            ("picked", "orders", "10.0.0.1"),
            ("failed", "orders", Reached.UNCONNECTED),
            ("ended", "orders", 200),
        ]


def test_an_observer_that_overrides_nothing_can_be_told_everything() -> None:
    observers = Observers()
    observers.add(Observer())
    observers.picked("orders", member())
    observers.member_changed(MemberEvent(EventKind.JOINED, member()))


def test_who_does_not_override_a_method_or_lacks_it_is_not_called_for_it() -> None:
    class Picks:
        told = 0

        def picked(self, service: str, member: Member) -> None:
            self.told += 1

    observers, picks = Observers(), Picks()
    observers.add(picks)  # type: ignore[arg-type]
    observers.add(Observer())
    observers.picked("orders", member())
    observers.attempt_ended("orders", Outcome(member(), Reached.BROKEN))
    assert picks.told == 1
