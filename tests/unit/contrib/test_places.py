"""The places of a bulkhead on an event loop: none is lost, and none is had twice, whatever comes together."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import TaskGroup

from pydoudou.contrib.protection.places import LoopPlaces


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def waiting(tasks: TaskGroup, places: LoopPlaces, name: str, took: list[str]) -> anyio.CancelScope:
    """Another task that waits for a place already; it is cancelled by what is returned."""

    async def take() -> None:
        with scope:
            await places.take_in_turn()
            took.append(name)

    scope = anyio.CancelScope()
    tasks.start_soon(take)
    await anyio.wait_all_tasks_blocked()
    return scope


def test_who_waits_gets_places_in_turn(backend: str) -> None:
    async def run() -> None:
        places, took = LoopPlaces(1), list[str]()
        assert places.take()
        async with anyio.create_task_group() as tasks:
            for name in "abc":
                await waiting(tasks, places, name, took)
            for number in (1, 2, 3):
                places.give_back()
                assert places.free == 0
                await anyio.wait_all_tasks_blocked()
                assert took == ["a", "b", "c"][:number]
        places.give_back()
        assert places.free == 1

    anyio.run(run, backend=backend)


def test_who_is_cancelled_has_no_place_and_is_not_waited_for(backend: str) -> None:
    async def run() -> None:
        places, took = LoopPlaces(1), list[str]()
        assert places.take()
        async with anyio.create_task_group() as tasks:
            gone = await waiting(tasks, places, "gone", took)
            await waiting(tasks, places, "next", took)
            gone.cancel()
            await anyio.wait_all_tasks_blocked()
            places.give_back()
        assert (took, places.free) == (["next"], 0)

    anyio.run(run, backend=backend)


@pytest.mark.parametrize("first", ["the place", "the end"])
def test_a_place_that_comes_together_with_the_end_of_the_wait_is_lost_to_nobody(first: str, backend: str) -> None:
    async def run() -> None:
        places, took = LoopPlaces(1), list[str]()
        assert places.take()
        async with anyio.create_task_group() as tasks:
            gone = await waiting(tasks, places, "gone", took)
            for what in (places.give_back, gone.cancel) if first == "the place" else (gone.cancel, places.give_back):
                what()
        assert places.free == 1 - len(took)

    anyio.run(run, backend=backend)
