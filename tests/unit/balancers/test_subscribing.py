"""When a balancer has the backends report its service, when no longer, and when a pick waits for them."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import anyio
import pytest
from support.asked import AskedPlugin
from support.scripted import member, settings
from support.waiting import eventually

from pydoudou import NoMemberAvailable, Registry, RoundRobin


@pytest.fixture
def plugin() -> AskedPlugin:
    return AskedPlugin()


@pytest.fixture
def registry(plugin: AskedPlugin) -> Iterator[Registry]:
    with Registry(settings(plugin)) as running:
        yield running


def test_a_balancer_that_nobody_picks_from_asks_for_nothing(plugin: AskedPlugin, registry: Registry) -> None:
    RoundRobin("orders", registry)
    RoundRobin("users", registry).pick()
    eventually(lambda: plugin.wanted == ["users"])


def test_a_service_is_reported_until_the_balancer_is_closed(plugin: AskedPlugin, registry: Registry) -> None:
    first, second = (RoundRobin("orders", registry) for _ in range(2))
    first.pick()
    second.pick()
    first.close()
    second.pick()
    assert plugin.wanted == ["orders"]
    second.close()
    eventually(lambda: plugin.wanted == [])


def test_a_service_is_reported_until_the_balancer_was_collected_and_many_others_after_it(
    plugin: AskedPlugin, registry: Registry
) -> None:
    RoundRobin("orders", registry).pick()
    gc.collect()
    RoundRobin("orders", registry).pick()
    assert plugin.wanted == ["orders"]
    for _ in range(70):
        RoundRobin("users", registry).pick()
    eventually(lambda: plugin.wanted == ["users"])


def test_a_closed_balancer_asks_for_nothing_more(plugin: AskedPlugin, registry: Registry) -> None:
    balancer = RoundRobin("orders", registry)
    balancer.close()
    with pytest.raises(NoMemberAvailable, match="closed"):
        balancer.pick()
    assert balancer.members() == ()
    assert not balancer.wait(0.01)
    assert plugin.wanted == []


def test_the_first_pick_waits_for_an_answer(plugin: AskedPlugin, registry: Registry) -> None:
    plugin.answers_after = 0.1
    assert RoundRobin("orders", registry).pick().service == "orders"


def test_a_pick_for_a_retry_waits_for_the_first_answer_too(plugin: AskedPlugin, registry: Registry) -> None:
    plugin.answers_after = 0.1
    other = member("10.0.0.9")
    assert RoundRobin("orders", registry).pick(exclude=[other]).service == "orders"


def test_the_first_pick_of_a_service_waits_once_whoever_picks(plugin: AskedPlugin, registry: Registry) -> None:
    plugin.answers_after = 60.0
    begun = time.monotonic()
    for _ in range(5):
        with pytest.raises(NoMemberAvailable):
            RoundRobin("orders", registry).pick()
    assert time.monotonic() - begun < 2.0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_pick_in_an_event_loop_does_not_wait_and_wait_async_does(
    plugin: AskedPlugin, registry: Registry, backend: str
) -> None:
    plugin.answers_after = 1.0

    async def use() -> float:
        balancer = RoundRobin("orders", registry)
        begun = time.monotonic()
        with pytest.raises(NoMemberAvailable):
            balancer.pick()
        taken = time.monotonic() - begun
        assert await balancer.wait_async(20.0)
        assert balancer.pick().service == "orders"
        return taken

    assert anyio.run(use, backend=backend) < 0.4  # in a thread without a loop it would wait for half a second


def test_waiting_has_an_end(plugin: AskedPlugin, registry: Registry) -> None:
    plugin.answers_after = 60.0
    assert not RoundRobin("orders", registry).wait(0.05)


def test_a_balancer_without_a_registry_has_nothing_to_wait_for() -> None:
    assert not RoundRobin("orders").wait(5.0)
    assert not anyio.run(RoundRobin("orders").wait_async, 5.0)


def test_threads_that_pick_first_together_subscribe_once(plugin: AskedPlugin, registry: Registry) -> None:
    balancer = RoundRobin("orders", registry)
    threads = [threading.Thread(target=balancer.pick) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plugin.wanted == ["orders"]
    balancer.close()
    eventually(lambda: plugin.wanted == [])
