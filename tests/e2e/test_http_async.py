"""What only an asynchronous client can do: on asyncio and on trio, with real sockets."""

from __future__ import annotations

import contextlib
import importlib.util
import threading

import pytest
from support.http_callers import CANCELLABLE, AsyncHttpx2Caller, AsyncHttpxCaller, Caller
from support.http_members import GivenMembers, HttpMember, InOrder, in_two_pieces, silent

from pydoudou import RoundRobin

needs_trio = pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="needs trio: pip install trio")

pytestmark = [
    pytest.mark.parametrize("caller_class", CANCELLABLE, ids=lambda one: one.__doc__),
    pytest.mark.parametrize("backend", ["asyncio", pytest.param("trio", marks=needs_trio)]),
]
CallerClass = type[Caller]


@pytest.fixture(autouse=True)
def on_its_loops(caller_class: CallerClass, backend: str) -> None:
    """Leave out what the library does not run on."""
    if backend != "asyncio" and not caller_class.has_backends:
        pytest.skip("runs on asyncio only")


def test_a_streamed_answer_is_read_as_it_arrives(caller_class: CallerClass, backend: str) -> None:
    rest = threading.Event()
    with (
        HttpMember(answer=in_two_pieces(rest)) as member,
        caller_class(InOrder(member.member()), backend=backend) as caller,
        caller.opened() as answer,
    ):
        pieces = answer.pieces(10)
        first = next(pieces)
        rest.set()
        assert [first, *pieces] == [b"0123456789", b"abcdefghij"]


def test_a_deadline_ends_with_the_head_of_the_answer(caller_class: CallerClass, backend: str) -> None:
    rest = threading.Event()
    with (
        HttpMember(answer=in_two_pieces(rest)) as member,
        caller_class(InOrder(member.member()), backend=backend, deadline=0.6) as caller,
        caller.opened() as answer,
    ):
        threading.Timer(0.9, rest.set).start()
        assert answer.read() == b"0123456789abcdefghij"


def test_concurrent_requests_share_one_transport(caller_class: CallerClass, backend: str) -> None:
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(HttpMember()) for _ in range(2)]
        registry = GivenMembers(*(member.member() for member in members))
        with caller_class(RoundRobin("orders", registry), backend=backend) as caller:
            caller.together(20)
        assert [len(member.served) for member in members] == [10, 10]


def test_a_cancelled_request_leaves_the_connections_usable(caller_class: CallerClass, backend: str) -> None:
    if caller_class not in (AsyncHttpxCaller, AsyncHttpx2Caller):
        pytest.skip("its connections are limited in another way")
    library = caller_class.library
    with (
        HttpMember(answer=silent) as member,
        caller_class(
            InOrder(member.member()),
            backend=backend,
            transport=lambda: library.AsyncHTTPTransport(limits=library.Limits(max_connections=1)),
        ) as caller,
    ):
        caller.cancelled(after=0.1)
        member.answer = lambda handler: handler.reply(204)
        assert caller.call().status == 204


def test_a_cancelled_request_does_not_move_on(caller_class: CallerClass, backend: str) -> None:
    with (
        HttpMember(answer=silent) as slow,
        HttpMember() as good,
        caller_class(InOrder(slow.member(), good.member()), backend=backend) as caller,
    ):
        caller.cancelled(after=0.1)
    assert good.served == []
