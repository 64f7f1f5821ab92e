"""The places of a bulkhead on an event loop: none is lost, and none is had twice, whatever comes together."""

from __future__ import annotations

import anyio
import pytest

from pydoudou.contrib.protection.places import LoopPlaces


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _take(places: LoopPlaces, scope: anyio.CancelScope, name: str, took: list[str]) -> None:
    with scope:
        await places.take_in_turn()
        took.append(name)


def test_who_waits_gets_places_in_turn(backend: str) -> None:
    async def run() -> None:
        places, took = LoopPlaces(1), list[str]()
        places.free -= 1
        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(_take, places, anyio.CancelScope(), name, took)
                await anyio.wait_all_tasks_blocked()
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
        places, took, gone = LoopPlaces(1), list[str](), anyio.CancelScope()
        places.free -= 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_take, places, gone, "gone", took)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(_take, places, anyio.CancelScope(), "next", took)
            await anyio.wait_all_tasks_blocked()
            gone.cancel()
            await anyio.wait_all_tasks_blocked()
            places.give_back()
        assert (took, places.free) == (["next"], 0)

    anyio.run(run, backend=backend)


@pytest.mark.parametrize("first", ["the place", "the end"])
def test_a_place_that_comes_together_with_the_end_of_the_wait_is_lost_to_nobody(first: str, backend: str) -> None:
    async def run() -> None:
        places, took, gone = LoopPlaces(1), list[str](), anyio.CancelScope()
        places.free -= 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_take, places, gone, "gone", took)
            await anyio.wait_all_tasks_blocked()
            for what in (places.give_back, gone.cancel) if first == "the place" else (gone.cancel, places.give_back):
                what()
        assert places.free == 1 - len(took)

    anyio.run(run, backend=backend)
