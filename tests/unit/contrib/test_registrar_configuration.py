"""What a registrar hands on of the configuration that a server keeps."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest

from pydoudou.contrib.servers.registrar.frames import Frames, frame
from pydoudou.contrib.servers.registrar.handed_on import HandedOn
from pydoudou.contrib.servers.registrar.messages import ToldConfiguration

pytestmark = pytest.mark.anyio
TEXTS = {"first": "GDD_WEIGHT=2\n", "second": None}


def test_a_message_is_the_same_after_its_way_and_keeps_its_secrets_out_of_a_log() -> None:
    for said in (ToldConfiguration(TEXTS, True, "connected"), ToldConfiguration(message="no server")):
        (message,) = Frames().feed(frame(said.to_message()))
        assert ToldConfiguration.of_message(message) == said
        assert "GDD_WEIGHT" not in repr(said)


async def test_what_is_said_is_told_once_and_in_force_when_it_was_taken() -> None:
    told: list[Mapping[str, str | None]] = []
    taken = anyio.Event()

    async def take(texts: Mapping[str, str | None]) -> None:
        told.append(texts)
        await taken.wait()

    async with anyio.create_task_group() as tasks:
        followed = HandedOn()
        await tasks.start(followed.follow, take)
        assert HandedOn.here() is followed
        with anyio.fail_after(5):
            await followed.in_force()  # there is nothing yet
        followed.hear(ToldConfiguration(message="no server"))
        assert not followed.status().ready
        followed.hear(ToldConfiguration(TEXTS, True, "connected"))
        followed.hear(ToldConfiguration(TEXTS, True, "connected again"))
        assert (followed.status().ready, followed.status().message) == (True, "connected again")
        with anyio.move_on_after(0.05) as waited:
            await followed.in_force()
        assert waited.cancelled_caught, "who took it is not done"
        later = ToldConfiguration({"first": "GDD_WEIGHT=3\n"}, True, "connected")
        followed.hear(later)  # does not wait
        taken.set()
        with anyio.fail_after(5):
            await followed.in_force()
        assert told == [TEXTS, later.texts]
        followed.lose()
        assert not followed.status().ready
        assert "last holds" in followed.status().message
        followed.hear(later)
        assert followed.status().ready
        assert len(told) == 2, "another registrar says the same"
        tasks.cancel_scope.cancel()


async def test_who_waits_while_more_is_said_waits_for_the_last_of_it_and_no_longer() -> None:
    told: list[Mapping[str, str | None]] = []
    taken = anyio.Event()
    in_force: list[Mapping[str, str | None]] = []

    async def take(texts: Mapping[str, str | None]) -> None:
        await taken.wait()
        told.append(texts)

    async def wait() -> None:
        await followed.in_force()
        in_force.append(told[-1])

    async with anyio.create_task_group() as tasks:
        followed = HandedOn()
        await tasks.start(followed.follow, take)
        first, second, third = ({"first": f"GDD_WEIGHT={weight}\n"} for weight in (1, 2, 3))
        followed.hear(ToldConfiguration(first, True, "connected"))
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        followed.hear(ToldConfiguration(second, True, "connected"))
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        followed.hear(ToldConfiguration(third, True, "connected"))
        taken.set()
        await anyio.wait_all_tasks_blocked()
        assert told == [first, third], "what is no longer so is not told"
        assert in_force == [third, third]
        followed.lose()
        followed.hear(ToldConfiguration(message="not connected yet"))
        with anyio.fail_after(5):
            await followed.in_force()  # a successor that has heard nothing yet
        tasks.cancel_scope.cancel()


async def test_where_no_server_keeps_configuration_nothing_is_waited_for() -> None:
    nobody = HandedOn.here()
    nobody.hear(ToldConfiguration(TEXTS, True, "connected"))
    with anyio.fail_after(5):
        await nobody.in_force()
