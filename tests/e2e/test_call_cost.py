"""What a balanced call costs, in calls of this library's own functions: seconds depend on what else the machine does.

A coroutine counts each time that it goes on. The numbers below are the most there may be: who needs one more says in
the commit what for.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Callable
from types import FrameType, ModuleType

import aiohttp
import httpx
import httpx2
import pytest
import requests
from support.http_members import GivenMembers, HttpMember

from pydoudou import LeastLatency
from pydoudou.balancers.surroundings import Surroundings
from pydoudou.contrib import httpx as of_httpx
from pydoudou.contrib import httpx2 as of_httpx2
from pydoudou.contrib.aiohttp import discovery_middleware
from pydoudou.contrib.requests import mount
from pydoudou.contrib.urllib3 import DiscoveryPoolManager

URL = "http://orders/items"
WARM, COUNTED = 20, 20
Calls = Callable[[LeastLatency], int]
"""Makes calls through a client, and counts (`counted`)."""


def counted(call: Callable[[], object]) -> int:
    """How many functions of this library a call takes in this thread: the median, for once a second one takes more."""
    found = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal found
        found += event == "call" and frame.f_globals.get("__name__", "").startswith("pydoudou.")

    for _ in range(WARM):
        call()
    calls = []
    sys.setprofile(note)
    try:
        for _ in range(COUNTED):
            found = 0
            call()
            calls.append(found)
    finally:
        sys.setprofile(None)
    return statistics.median_low(calls)


def through_requests(balancer: LeastLatency) -> int:
    with requests.Session() as session:
        mount(session, "orders", balancer)
        return counted(lambda: session.get(URL))


def through_urllib3(balancer: LeastLatency) -> int:
    pool = DiscoveryPoolManager(balancer={"orders": balancer})
    try:
        return counted(lambda: pool.request("GET", URL))
    finally:
        pool.clear()


def through_a_client(library: ModuleType, binding: ModuleType) -> Calls:
    def calls(balancer: LeastLatency) -> int:
        with library.Client(transport=binding.DiscoveryTransport(balancer={"orders": balancer})) as client:
            return counted(lambda: client.get(URL))

    return calls


def through_an_async_client(library: ModuleType, binding: ModuleType) -> Calls:
    def calls(balancer: LeastLatency) -> int:
        with asyncio.Runner() as runner:
            client = library.AsyncClient(transport=binding.DiscoveryTransport(balancer={"orders": balancer}))
            found = counted(lambda: runner.run(client.get(URL)))
            runner.run(client.aclose())
            return found

    return calls


def through_aiohttp(balancer: LeastLatency) -> int:
    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(middlewares=(discovery_middleware(balancer={"orders": balancer}),))

    async def get(session: aiohttp.ClientSession) -> None:
        async with session.get(URL) as response:
            await response.read()

    with asyncio.Runner() as runner:
        session = runner.run(opened())
        found = counted(lambda: runner.run(get(session)))
        runner.run(session.close())
        return found


class StandingStill(GivenMembers, Surroundings):
    """A registry whose time does not go on: what is counted now and then, for many calls together, is left out."""

    clock = staticmethod(lambda: 100.0)


@pytest.mark.parametrize(
    ("calls", "most"),
    [
        pytest.param(through_requests, 42, id="requests"),
        pytest.param(through_urllib3, 52, id="urllib3"),
        pytest.param(through_a_client(httpx, of_httpx), 28, id="httpx"),
        pytest.param(through_a_client(httpx2, of_httpx2), 29, id="httpx2"),
        pytest.param(through_an_async_client(httpx, of_httpx), 35, id="httpx, async"),
        pytest.param(through_an_async_client(httpx2, of_httpx2), 34, id="httpx2, async"),
        pytest.param(through_aiohttp, 18, id="aiohttp"),
    ],
)
def test_a_call_takes_no_more_functions_than_this(calls: Calls, most: int) -> None:
    with HttpMember() as one, HttpMember() as other, HttpMember() as third:
        members = [member.member() for member in (one, other, third)]
        found = calls(LeastLatency("orders", StandingStill(*members)))
    assert 0 < found <= most
