"""A thread with a loop: whatever runs on it, it ends within a deadline."""

from __future__ import annotations

import asyncio
import threading
import time

import anyio
import pytest

from pydoudou.drivers.kit.loop_thread import CallAbandoned, LoopThread


def started() -> LoopThread:
    thread = LoopThread("one")
    thread.start()
    return thread


async def running_in() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


def test_other_threads_have_things_done_on_it() -> None:
    thread = started()
    called = threading.Event()
    thread.call_soon(called.set)
    assert called.wait(5)
    assert thread.submit(running_in).result(5) == "one"
    assert not thread.is_current
    assert thread.close(5)


def test_other_loops_wait_for_it_without_blocking_and_cancel_what_they_no_longer_wait_for() -> None:
    cancelled = threading.Event()

    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    async def main() -> None:
        thread = started()
        assert await thread.call(running_in) == "one"
        with anyio.move_on_after(0.05):
            await thread.call(endless)
        assert await thread.aclose(5)

    anyio.run(main)
    assert cancelled.is_set()


def test_what_still_runs_is_cancelled_at_the_end() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    thread = started()
    running = thread.submit(endless)
    assert thread.submit(running_in).result(5) == "one"
    assert thread.close(5)
    assert ended == ["cancelled"]
    assert running.cancelled()


async def waits_for_what_somebody_else_cancels() -> None:
    waited_for: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(waited_for.cancel)
    await waited_for


def test_a_cancellation_there_that_is_not_the_callers_is_an_error() -> None:
    async def main() -> None:
        thread = started()
        with pytest.raises(CallAbandoned):
            await thread.call(waits_for_what_somebody_else_cancels)
        assert await thread.aclose(5)

    anyio.run(main)


def test_who_cleans_up_after_a_cancellation_of_its_own_can_tell_it_from_somebody_elses() -> None:
    told: list[str] = []

    async def main() -> None:
        thread = started()
        with anyio.move_on_after(0.01):
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    try:
                        await thread.call(waits_for_what_somebody_else_cancels)
                    except CallAbandoned:
                        told.append("abandoned")
        assert await thread.aclose(5)

    anyio.run(main)
    assert told == ["abandoned"]


def test_who_waits_for_a_loop_that_ends_meanwhile_is_told_so() -> None:
    async def main() -> None:
        thread = started()
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(CallAbandoned):
                    await thread.call(asyncio.sleep, 3600)

            tasks.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            assert await thread.aclose(5)

    anyio.run(main)


@pytest.mark.parametrize("waiting", ["close", "aclose"])
def test_a_thread_whose_loop_is_blocked_is_left_behind(waiting: str) -> None:
    thread = started()
    unblock, blocked = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        unblock.wait(30)

    thread.call_soon(block)
    assert blocked.wait(5)
    began = time.monotonic()
    ended = thread.close(0.05) if waiting == "close" else anyio.run(thread.aclose, 0.05)
    assert not ended
    assert time.monotonic() - began < 5
    unblock.set()
    assert thread.close(5)


def test_nothing_happens_once_it_has_ended() -> None:
    thread = started()
    assert thread.close(5)
    thread.call_soon(pytest.fail)
    with pytest.raises(CallAbandoned):
        thread.submit(running_in)
    assert thread.close(5)


def test_it_ends_with_what_it_was_made_to_run() -> None:
    began, end = threading.Event(), threading.Event()

    async def main() -> None:
        began.set()
        await anyio.to_thread.run_sync(end.wait)

    thread = LoopThread("one", main)
    assert thread.join(0.0)
    thread.start()
    assert began.wait(5)
    assert not thread.join(0.0)
    end.set()
    assert thread.join(5)


def test_a_loop_that_cannot_be_made_is_told_where_it_is_started() -> None:
    def broken() -> asyncio.AbstractEventLoop:
        raise OSError("too many open files")

    thread = LoopThread("one", make_loop=broken)
    with pytest.raises(OSError, match="too many"):
        thread.start()
    assert thread.join(5)


def test_before_it_runs_nothing_happens() -> None:
    thread = LoopThread("one")
    thread.call_soon(pytest.fail)
    with pytest.raises(CallAbandoned):
        thread.submit(running_in)
