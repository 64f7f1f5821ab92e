"""The registry within somebody else's event loop, asyncio or trio."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import anyio
import pytest
from anyio import to_thread
from support.scripted import ScriptedPlugin, member, settings
from support.waiting import eventually

from pydoudou import JoinError, Registry

pytestmark = pytest.mark.anyio


async def test_async_with_starts_and_leaves(plugin: ScriptedPlugin) -> None:
    async with Registry(settings(plugin)) as registry:
        assert registry.running
    assert plugin.driver.log == ["run", "leave", "end"]


async def test_starting_does_not_block_the_callers_event_loop(plugin: ScriptedPlugin) -> None:
    plugin.start_gate = Future()
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            async with Registry(settings(plugin)):
                pass

        tasks.start_soon(run)
        await to_thread.run_sync(eventually, lambda: plugin.drivers and plugin.driver.log)
        assert plugin.driver.log == ["run"]
        plugin.start_gate.set_result(None)
    assert plugin.driver.log == ["run", "leave", "end"]


async def test_a_failed_start_is_raised(plugin: ScriptedPlugin) -> None:
    plugin.start_error = JoinError("nobody answers")
    with pytest.raises(JoinError):
        async with Registry(settings(plugin)):
            pytest.fail("started")


async def test_a_body_that_is_cancelled_leaves_all_the_same(plugin: ScriptedPlugin) -> None:
    with anyio.CancelScope() as scope:
        async with Registry(settings(plugin)):
            scope.cancel()
            await anyio.sleep_forever()
    assert plugin.driver.log == ["run", "leave", "end"]


async def test_a_start_that_is_cancelled_is_undone(plugin: ScriptedPlugin) -> None:
    plugin.start_gate = Future()
    registry = Registry(settings(plugin))

    async def run() -> None:
        async with registry:
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await to_thread.run_sync(eventually, lambda: plugin.drivers and plugin.driver.log)
        tasks.cancel_scope.cancel()
        plugin.start_gate.set_result(None)
    assert not registry.running
    assert plugin.driver.log == ["run", "leave", "end"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_start_whose_task_is_cancelled_by_asyncio_itself_is_undone(plugin: ScriptedPlugin) -> None:
    plugin.start_gate = Future()
    starting = asyncio.ensure_future(Registry(settings(plugin)).__aenter__())
    await to_thread.run_sync(eventually, lambda: plugin.drivers and plugin.driver.log)
    starting.cancel()
    await anyio.wait_all_tasks_blocked()
    plugin.start_gate.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert plugin.driver.log == ["run", "leave", "end"]


async def test_the_synchronous_interface_works_within_an_event_loop(plugin: ScriptedPlugin) -> None:
    with Registry(settings(plugin)) as registry:
        plugin.report(member())
        assert len(registry.members("orders")) == 1
    assert plugin.driver.log == ["run", "leave", "end"]
