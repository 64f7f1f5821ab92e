"""``with balancer.call()``: a call by any client, whose end the block tells."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio
from support.http_members import GivenMembers

from pydoudou import Member, NoMemberAvailable, RoundRobin
from pydoudou.balancers.own_call import reached_by
from pydoudou.balancers.service_state import state_of
from pydoudou.drivers.members import Reached

A, B = (Member("orders", "127.0.0.1", port) for port in (1, 2))


class Calling:
    """A balancer of one member, and what is remembered of it."""

    def __init__(self, *members: Member) -> None:
        self.registry = GivenMembers(*members)
        self.balancer = RoundRobin("orders", self.registry)

    def record(self, member: Member = A) -> Any:
        state = state_of(self.registry, "orders")
        assert state.in_flight(member) == 0, "nothing is in flight any more"
        return state.memory.record(member)


class Wrapped(Exception):
    """What a client makes of an error of the system."""


def raise_after(step: Callable[[], None], error: Exception) -> None:
    step()
    raise error


def wrapped(cause: BaseException) -> Exception:
    error = Wrapped()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reached"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Reached.UNCONNECTED),
        (ConnectionRefusedError(), Reached.UNCONNECTED),
        (OSError(errno.EHOSTUNREACH, "no route"), Reached.UNCONNECTED),
        (socket.gaierror(-2, "unknown"), Reached.UNCONNECTED),
        (wrapped(ConnectionRefusedError()), Reached.UNCONNECTED),
        (wrapped(wrapped(ConnectionResetError())), Reached.BROKEN),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Reached.BROKEN),
        (BrokenPipeError(), Reached.BROKEN),
        (EOFError(), Reached.BROKEN),
        (TimeoutError(), Reached.TIMED_OUT),
        (wrapped(TimeoutError()), Reached.TIMED_OUT),
        (ValueError(), None),
        (FileNotFoundError(errno.ENOENT, "none"), None),
        (KeyboardInterrupt(), None),
        (asyncio.CancelledError(), None),
        (wrapped(asyncio.CancelledError()), None),
    ],
    ids=repr,
)
def test_an_exception_tells_how_far_the_call_got(error: BaseException, reached: Reached | None) -> None:
    assert reached_by(error) is reached
    calling = Calling(A)
    with pytest.raises(type(error)), calling.balancer.call():
        raise error
    record = calling.record()
    assert record.outcomes == ({} if reached is None else {reached: 1})
    assert record.cancelled == (reached is None)


def test_a_block_that_ends_well_is_an_answer() -> None:
    calling = Calling(A)
    with calling.balancer.call():
        assert state_of(calling.registry, "orders").in_flight(A) == 1
    assert calling.record().outcomes == {Reached.ANSWERED: 1}


def test_what_breaks_off_after_it_began_is_an_answer_that_is_not_complete() -> None:
    calling = Calling(A)
    call = calling.balancer.call()
    with pytest.raises(ConnectionResetError), call:
        raise_after(call.answered, ConnectionResetError())
    assert (calling.record().outcomes, calling.record().incomplete) == ({Reached.ANSWERED: 1}, 1)


def test_a_block_may_tell_itself_how_far_it_got() -> None:
    calling = Calling(A)
    with calling.balancer.call() as call:
        call.failed(Reached.REFUSED)
        call.answered(200)
    assert calling.record().outcomes == {Reached.REFUSED: 1}


def test_another_call_may_leave_out_who_was_tried() -> None:
    calling = Calling(A, B)
    with calling.balancer.call() as first, calling.balancer.call(exclude=[first.member]) as second:
        assert {first.member, second.member} == {A, B}


def test_nobody_to_call_is_told_when_the_block_begins() -> None:
    with pytest.raises(NoMemberAvailable), Calling().balancer.call():
        pytest.fail("there is nobody")


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_it_serves_async_code_alike(run: Callable[..., Any]) -> None:
    calling = Calling(A)

    async def main() -> None:
        async with calling.balancer.call() as call:
            assert call.member == A
        with pytest.raises(ConnectionRefusedError):
            async with calling.balancer.call():
                raise ConnectionRefusedError

    run(main) if run is trio.run else run(main())
    assert calling.record().outcomes == {Reached.ANSWERED: 1, Reached.UNCONNECTED: 1}


def test_a_real_refusal_and_a_real_answer_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        lives, refuses = (Member("orders", *one.getsockname()) for one in (server, closed))
        calling = Calling(lives, refuses)
        for _ in range(2):
            try:
                with calling.balancer.call() as call:
                    socket.create_connection((call.member.host, call.member.port), timeout=5).close()
            except ConnectionRefusedError:
                pass
        assert calling.record(lives).outcomes == {Reached.ANSWERED: 1}
        assert calling.record(refuses).outcomes == {Reached.UNCONNECTED: 1}
