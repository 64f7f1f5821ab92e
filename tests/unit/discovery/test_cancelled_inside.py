"""A cancellation that comes out of a driver, and that the registry did not ask for, is that driver's error, no more.

An SDK cancels what waits for it, a library raises the exception of a cancellation where it means an end: asyncio has
one exception for all of it, and a task group takes it for its own end. Likewise what is no `Exception`: an event loop
ends with a SystemExit, and with the panic of an extension module.
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


class Panic(BaseException):
    """As extension modules that are written in Rust raise it."""


NO_EXCEPTIONS = [SystemExit(3), KeyboardInterrupt(), Panic("index out of bounds"), BaseExceptionGroup("", [Panic()])]
names = pytest.mark.parametrize("error", NO_EXCEPTIONS, ids=lambda error: type(error).__name__)


@names
def test_a_start_that_ends_with_what_is_no_exception_is_a_start_that_failed(
    broken: ScriptedPlugin, well: ScriptedPlugin, error: BaseException
) -> None:
    broken.start_error = error
    with pytest.raises(DiscoveryError, match=r"run\(\) raised"):
        Registry(settings(broken, well)).start()
    assert well.driver.log == ["run", "leave", "end"]


@names
def test_an_update_that_ends_with_what_is_no_exception_is_undone_and_the_registry_goes_on(
    registry: Registry, broken: ScriptedPlugin, well: ScriptedPlugin, error: BaseException
) -> None:
    registry.update({"zone": "a"})
    broken.update_error = error
    with pytest.raises(DiscoveryError, match=r"update\(\) raised"):
        registry.update({"zone": "b"})
    assert well.driver.instance is not None
    assert well.driver.instance.data == {"zone": "a"}
    broken.update_error = None
    registry.update({"zone": "c"})
    assert [backend.running for backend in registry.status().backends] == [True, True]


@names
def test_a_run_that_ends_with_what_is_no_exception_begins_again_and_the_others_go_on(
    registry: Registry, broken: ScriptedPlugin, well: ScriptedPlugin, clock: VirtualClock, error: BaseException
) -> None:
    broken.driver.end(error)
    clock.advance(120.0)
    assert [backend.running for backend in registry.status().backends] == [True, True]
    assert well.driver.log == ["run"]


def test_what_a_server_wrote_into_an_error_forges_no_line(
    registry: Registry, broken: ScriptedPlugin, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    broken.driver.end(ValueError("refused:\n2026-01-01 CRITICAL forged\x1b[2J"))
    clock.advance(120.0)
    broken.leave_error = OSError("gone:\nforged")
    error = registry.status().backends[0].error
    registry.stop()
    for said in (error, *(record.getMessage() for record in caplog.records)):
        assert said.isprintable()
    assert "refused:" in error
    assert any("could not leave: gone:" in record.getMessage() for record in caplog.records)
