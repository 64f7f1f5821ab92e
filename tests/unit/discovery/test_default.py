"""The registry of the process."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import anyio
import attrs
import pytest
from anyio import to_thread
from support.scripted import ScriptedPlugin, settings
from support.waiting import eventually

import pydoudou
from pydoudou.discovery import current


@pytest.fixture(autouse=True)
def _stopped_afterwards() -> Iterator[None]:
    yield
    pydoudou.shutdown()


def test_a_new_node_is_the_current_one_until_the_shutdown(plugin: ScriptedPlugin) -> None:
    node = pydoudou.new_node(settings=settings(plugin))
    assert current() is node
    pydoudou.shutdown()
    assert current() is None
    assert plugin.driver.log == ["run", "leave", "end"]


def test_a_second_node_is_an_error_that_says_what_to_do(plugin: ScriptedPlugin) -> None:
    pydoudou.new_node(settings=settings(plugin))
    with pytest.raises(pydoudou.RegistryStateError, match=r"shutdown\(\)"):
        pydoudou.new_node(settings=settings(plugin))


def test_a_node_can_follow_a_node(plugin: ScriptedPlugin) -> None:
    pydoudou.new_node(settings=settings(plugin))
    pydoudou.shutdown()
    assert pydoudou.new_node(settings=settings(plugin)).running


def test_shutting_down_twice_or_without_a_node_does_nothing(plugin: ScriptedPlugin) -> None:
    pydoudou.shutdown()
    pydoudou.new_node(settings=settings(plugin))
    pydoudou.shutdown()
    pydoudou.shutdown()
    assert plugin.driver.log.count("leave") == 1


def test_the_end_of_a_with_block_makes_room_for_another_node(plugin: ScriptedPlugin) -> None:
    with pydoudou.new_node(settings=settings(plugin)):
        pass
    assert current() is None
    assert pydoudou.new_node(settings=settings(plugin)).running


def test_a_node_that_could_not_start_is_not_the_current_one(plugin: ScriptedPlugin) -> None:
    plugin.start_error = pydoudou.JoinError("nobody answers")
    with pytest.raises(pydoudou.JoinError):
        pydoudou.new_node(settings=settings(plugin))
    assert current() is None


def test_register_false_wins_over_settings_that_would_register(plugin: ScriptedPlugin) -> None:
    registering = attrs.evolve(settings(plugin), register=True, service_name="orders", register_host="10.0.0.7")
    pydoudou.new_node(settings=registering, register=False)
    assert plugin.driver.instance is None


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDD_PORT", "abc")
    with pytest.raises(pydoudou.SettingsError, match="GDD_PORT"):
        pydoudou.new_node()


# -- in an event loop --------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_asynchronous_program_starts_the_node_without_holding_up_its_loop(plugin: ScriptedPlugin) -> None:
    plugin.start_gate = Future()
    async with anyio.create_task_group() as tasks:

        async def start() -> None:
            registry = await pydoudou.new_node_async(settings=settings(plugin))
            assert current() is registry

        tasks.start_soon(start)
        await to_thread.run_sync(eventually, lambda: plugin.drivers and plugin.driver.log)
        assert current() is None
        with pytest.raises(pydoudou.RegistryStateError, match="runs already"):
            await pydoudou.new_node_async(settings=settings(ScriptedPlugin()))
        plugin.start_gate.set_result(None)
    await to_thread.run_sync(pydoudou.shutdown)
    assert plugin.driver.log == ["run", "leave", "end"]


@pytest.mark.anyio
async def test_a_node_for_a_block_is_the_default_one_there_and_has_left_after_it(plugin: ScriptedPlugin) -> None:
    async with pydoudou.node(settings=settings(plugin)) as registry:
        assert current() is registry
    assert current() is None
    assert plugin.driver.log == ["run", "leave", "end"]
    async with pydoudou.node(settings=settings(plugin)):
        pass


@pytest.mark.anyio
async def test_a_node_that_could_not_start_makes_room_for_another_one(plugin: ScriptedPlugin) -> None:
    plugin.start_error = pydoudou.JoinError("nobody answers")
    with pytest.raises(pydoudou.JoinError):
        await pydoudou.new_node_async(settings=settings(plugin))
    assert current() is None
    plugin.start_error = None
    async with pydoudou.node(settings=settings(plugin)):
        assert current() is not None


@pytest.mark.anyio
async def test_a_start_that_holds_up_an_event_loop_says_so_afterwards(
    plugin: ScriptedPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    gate = plugin.start_gate = Future()
    threading.Timer(0.4, gate.set_result, [None]).start()
    pydoudou.new_node(settings=settings(plugin))
    assert "new_node_async" in caplog.text


def test_a_shutdown_from_another_thread_ends_a_start(plugin: ScriptedPlugin) -> None:
    plugin.start_gate = Future()
    with ThreadPoolExecutor(1) as executor:
        starting = executor.submit(pydoudou.new_node, settings=settings(plugin))
        eventually(lambda: plugin.drivers and plugin.driver.log)
        threading.Timer(0.1, plugin.start_gate.set_result, [None]).start()
        pydoudou.shutdown()
        with pytest.raises(pydoudou.RegistryStateError, match="stopped"):
            starting.result(5)
    assert current() is None


# -- what a signature shows --------------------------------------------------------------------------------------------


def test_no_signature_shows_a_variable_of_the_process_and_a_replaced_environment_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert inspect.signature(pydoudou.Settings.from_env).parameters["env"].default is None
    monkeypatch.setattr(os, "environ", {"GDD_SERVICE_DISCOVERY_MODE": "static"})
    assert pydoudou.Settings.from_env(register=False).modes == ("static",)
