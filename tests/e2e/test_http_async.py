"""What only an asynchronous client can do: on asyncio and on trio, with real sockets."""

from __future__ import annotations

import contextlib
import importlib.util
import threading

import anyio
import httpx
import pytest
from support.http_members import GivenMembers, HttpMember, InOrder, in_two_pieces, silent

from pydoudou import RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport

needs_trio = pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="needs trio: pip install trio")

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", pytest.param("trio", marks=needs_trio)])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that the test runs on."""
    return str(request.param)


async def test_a_streamed_answer_is_read_as_it_arrives() -> None:
    rest = threading.Event()
    with HttpMember(answer=in_two_pieces(rest)) as member:
        transport = DiscoveryTransport(balancer={"orders": InOrder(member.member())})
        async with (
            httpx.AsyncClient(transport=transport) as client,
            client.stream("GET", "http://orders/items") as response,
        ):
            pieces = response.aiter_bytes()
            first = await anext(pieces)
            rest.set()
            assert [first, *[piece async for piece in pieces]] == [b"0123456789", b"abcdefghij"]


async def test_a_deadline_ends_with_the_head_of_the_answer() -> None:
    rest = threading.Event()
    with HttpMember(answer=in_two_pieces(rest)) as member:
        transport = DiscoveryTransport(balancer={"orders": InOrder(member.member())}, deadline=0.6)
        async with (
            httpx.AsyncClient(transport=transport) as client,
            client.stream("GET", "http://orders/items") as response,
        ):
            threading.Timer(0.9, rest.set).start()
            assert await response.aread() == b"0123456789abcdefghij"


async def test_concurrent_requests_share_one_transport() -> None:
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(HttpMember()) for _ in range(2)]
        registry = GivenMembers(*(member.member() for member in members))
        transport = DiscoveryTransport(balancer={"orders": RoundRobin("orders", registry)})
        async with httpx.AsyncClient(transport=transport) as client, anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(client.get, "http://orders/items")
        assert [len(member.served) for member in members] == [10, 10]


async def test_a_cancelled_request_leaves_the_connections_usable() -> None:
    limits = httpx.Limits(max_connections=1)
    with HttpMember(answer=silent) as member:
        transport = DiscoveryTransport(
            lambda: httpx.AsyncHTTPTransport(limits=limits), balancer={"orders": InOrder(member.member())}
        )
        async with httpx.AsyncClient(transport=transport, timeout=5) as client:
            with anyio.move_on_after(0.1) as scope:
                await client.get("http://orders/items")
            assert scope.cancelled_caught
            member.answer = lambda handler: handler.reply(204)
            assert (await client.get("http://orders/items")).status_code == 204


async def test_a_cancelled_request_does_not_move_on() -> None:
    with HttpMember(answer=silent) as slow, HttpMember() as good:
        transport = DiscoveryTransport(balancer={"orders": InOrder(slow.member(), good.member())})
        async with httpx.AsyncClient(transport=transport) as client:
            with anyio.move_on_after(0.1):
                await client.get("http://orders/items")
    assert good.served == []
