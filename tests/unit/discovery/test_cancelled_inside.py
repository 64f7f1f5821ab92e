"""A cancellation that comes out of a driver, and that the registry did not ask for, is that driver's error, no more.

An SDK cancels what waits for it, a library raises the exception of a cancellation where it means an end: asyncio has
one exception for all of it, and a task group takes it for its own end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from support.scripted import ScriptedPlugin, member, settings
from support.virtual_clock import VirtualClock

from pydoudou import DiscoveryError, Registry


@pytest.fixture
def broken() -> ScriptedPlugin:
    return ScriptedPlugin("broken")


@pytest.fixture
def well() -> ScriptedPlugin:
    return ScriptedPlugin("well")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def registry(broken: ScriptedPlugin, well: ScriptedPlugin, clock: VirtualClock) -> Iterator[Registry]:
    with Registry(settings(broken, well, register=True, service_name="me", register_host="h"), clock=clock) as registry:
        yield registry


def test_a_start_that_was_cancelled_inside_is_a_start_that_failed(broken: ScriptedPlugin, well: ScriptedPlugin) -> None:
    broken.start_error = asyncio.CancelledError()
    with pytest.raises(DiscoveryError, match=r"run\(\)"):
        Registry(settings(broken, well)).start()
    assert well.driver.log == ["run", "leave", "end"]


def test_a_driver_that_was_cancelled_inside_while_it_starts_again_is_tried_again_and_the_others_go_on(
    registry: Registry, broken: ScriptedPlugin, well: ScriptedPlugin, clock: VirtualClock
) -> None:
    broken.start_error = asyncio.CancelledError()
    broken.driver.end(ValueError("a defect"))
    clock.advance(3.0)
    broken.start_error = None
    clock.advance(120.0)
    assert [backend.running for backend in registry.status().backends] == [True, True]
    assert well.driver.log == ["run"]


def test_an_update_that_was_cancelled_inside_is_raised_and_undone_with_the_others(
    registry: Registry, broken: ScriptedPlugin, well: ScriptedPlugin
) -> None:
    registry.update({"zone": "a"})
    broken.update_error = asyncio.CancelledError()
    with pytest.raises(DiscoveryError, match=r"update\(\)"):
        registry.update({"zone": "b"})
    assert well.driver.instance is not None
    assert well.driver.instance.data == {"zone": "a"}
    well.report(member())
    assert len(registry.members("orders")) == 1


def test_a_leave_that_was_cancelled_inside_is_told_and_the_others_leave(
    registry: Registry, broken: ScriptedPlugin, well: ScriptedPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    broken.leave_error = asyncio.CancelledError()
    registry.stop()
    assert well.driver.log == ["run", "leave", "end"]
    assert "the broken driver could not leave" in caplog.text
