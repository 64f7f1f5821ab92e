"""The stream of events: one interface for threads, asyncio and trio."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from anyio import to_thread
from support.scripted import ScriptedPlugin, member, settings

from pydoudou import EventKind, MemberEvent, MemberState, Registry, RegistryStateError, Watch
from pydoudou.discovery.merging.view import MergedView

pytestmark = pytest.mark.anyio


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def seen(events: list[MemberEvent]) -> list[tuple[EventKind, str]]:
    return [(event.kind, event.member.host) for event in events]


def test_changes_arrive_in_order(registry: Registry, plugin: ScriptedPlugin) -> None:
    with registry.watch() as events:
        plugin.report(member("10.0.0.1"), member("10.0.0.2"))
        plugin.report(member("10.0.0.1", weight=3))
        plugin.report(member("10.0.0.2", state=MemberState.LEFT))
        assert seen([next(events) for _ in range(4)]) == [
            (EventKind.JOINED, "10.0.0.1"),
            (EventKind.JOINED, "10.0.0.2"),
            (EventKind.UPDATED, "10.0.0.1"),
            (EventKind.LEFT, "10.0.0.2"),
        ]


@pytest.mark.parametrize("name", ["orders", "orders_rest"])
def test_a_watch_of_one_service_hears_of_no_other(registry: Registry, plugin: ScriptedPlugin, name: str) -> None:
    with registry.watch(name) as events:
        plugin.report(member(service="users"), member(service="orders"))
        assert next(events).member.service == "orders"


def test_a_thread_that_waits_is_woken_by_a_change(
    registry: Registry, plugin: ScriptedPlugin, thread: ThreadPoolExecutor
) -> None:
    with registry.watch() as events:
        waiting = thread.submit(next, events)
        plugin.report(member())
        assert waiting.result(5).kind is EventKind.JOINED


def test_the_stream_ends_when_the_registry_stops_after_what_is_queued(
    registry: Registry, plugin: ScriptedPlugin
) -> None:
    events = registry.watch()
    plugin.report(member())
    registry.stop()
    assert seen(list(events)) == [(EventKind.JOINED, "10.0.0.1")]


def test_a_waiting_reader_is_released_when_the_registry_stops(registry: Registry, thread: ThreadPoolExecutor) -> None:
    waiting = thread.submit(list, registry.watch())
    registry.stop()
    assert waiting.result(5) == []


def test_a_closed_stream_ends_at_once_and_can_be_closed_again(registry: Registry, plugin: ScriptedPlugin) -> None:
    events = registry.watch()
    plugin.report(member())
    events.close()
    events.close()
    assert list(events) == []


def test_a_registry_that_does_not_run_cannot_be_watched(plugin: ScriptedPlugin) -> None:
    with pytest.raises(RegistryStateError, match="start"):
        Registry(settings(plugin)).watch()


def test_a_watcher_that_does_not_read_keeps_no_more_than_one_event_for_each_member_beyond_the_limit() -> None:
    view = MergedView(("scripted",))
    with Watch(None, lambda watch: None, kept=10) as events:
        for weight in range(1, 1000):
            events.publish(view.observe("scripted", [member(host, weight=weight) for host in ("a", "b")], 0.0))
        events.publish(view.observe("scripted", [member("b", state=MemberState.LEFT)], 0.0))
        events.end()
        queued = list(events)
    assert len(queued) <= 20
    assert queued[0].previous is None
    assert {event.member.host: event.member.weight for event in queued}["a"] == 999


async def test_async_for_wakes_for_changes_and_ends_with_the_registry(plugin: ScriptedPlugin) -> None:
    async with Registry(settings(plugin)) as registry:
        events = registry.watch()
        received: list[MemberEvent] = []

        async def read() -> None:
            received.extend([event async for event in events])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await to_thread.run_sync(plugin.report, member())
            await anyio.wait_all_tasks_blocked()
            await to_thread.run_sync(registry.stop)
    assert seen(received) == [(EventKind.JOINED, "10.0.0.1")]


async def test_a_cancelled_async_reader_loses_no_event(plugin: ScriptedPlugin) -> None:
    async with Registry(settings(plugin)) as registry, registry.watch() as events:
        with anyio.move_on_after(0.01):
            await anext(events)
        await to_thread.run_sync(plugin.report, member())
        assert (await anext(events)).kind is EventKind.JOINED
