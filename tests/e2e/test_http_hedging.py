"""A second attempt beside one that waits, through the async clients of httpx and aiohttp, against real servers."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import aiohttp
import anyio
import attrs
import httpx
import httpx2
import pytest
import trio
from support.http_members import GivenMembers, HttpMember, reset
from support.waiting import eventually_async

import pydoudou.contrib.httpx
import pydoudou.contrib.httpx2
from pydoudou import CallPolicy, Hedging, RoundRobin
from pydoudou.balancers.service_state import state_of
from pydoudou.contrib.aiohttp import attempts_of, discovery_middleware

POLICY = CallPolicy(deadline=20.0, hedge=Hedging(most_extra=1.0))
USUAL = 0.05
"""Seconds within which 95 % of the answers began so far."""


class Signals:
    """What one member tells the other, so that who comes first is not left to the machine."""

    def __init__(self) -> None:
        self.second_came, self.first_failed, self.over = threading.Event(), threading.Event(), threading.Event()


Scene = Callable[[Signals, Any], None]


def answers(signals: Signals, handler: Any) -> None:
    handler.reply(body=b"answer")


def is_silent(signals: Signals, handler: Any) -> None:
    signals.over.wait(20)


def answers_once_the_other_one_came(signals: Signals, handler: Any) -> None:
    signals.second_came.wait(20)
    answers(signals, handler)


def fails_once_the_other_one_came(signals: Signals, handler: Any) -> None:
    signals.second_came.wait(20)
    reset(handler)
    signals.first_failed.set()


def answers_after_the_other_one_failed(signals: Signals, handler: Any) -> None:
    signals.first_failed.wait(20)
    time.sleep(0.3)  # the client reads of the failure meanwhile
    answers(signals, handler)


def fails_after_the_other_one_failed(signals: Signals, handler: Any) -> None:
    signals.first_failed.wait(20)
    time.sleep(0.3)
    reset(handler)


@attrs.define(slots=False)
class Service:
    """Two members, of which the first one called behaves like this and the second one like that."""

    first: Scene
    second: Scene

    def __enter__(self) -> Service:
        self.signals, turns = Signals(), itertools.count()

        def answer(handler: Any) -> None:
            if next(turns) == 0:
                self.first(self.signals, handler)
            else:
                self.signals.second_came.set()
                self.second(self.signals, handler)

        self.members = [HttpMember(name, answer=answer) for name in ("a", "b")]
        for member in self.members:
            member.__enter__()
        self.registry = GivenMembers(*[member.member() for member in self.members])
        self.balancer = RoundRobin("orders", self.registry)
        for _ in range(100):
            self.balancer.calls.head(USUAL)
        return self

    def __exit__(self, *_: object) -> None:
        self.signals.over.set()
        for member in self.members:
            member.__exit__()

    @property
    def served(self) -> int:
        return sum(len(member.served) for member in self.members)

    @property
    def in_flight(self) -> int:
        return sum(state_of(self.registry, "orders").in_flight(member.member()) for member in self.members)


Use = Callable[[Callable[[Any], Awaitable[None]], Service], None]


@attrs.frozen
class Aiohttp:
    """A session of aiohttp, with what the steps use of a client of httpx."""

    session: aiohttp.ClientSession

    async def get(self, url: str) -> Any:
        return await self._request("GET", url, None)

    async def post(self, url: str, content: bytes) -> Any:
        return await self._request("POST", url, content)

    async def _request(self, method: str, url: str, content: bytes | None) -> Any:
        async with self.session.request(method, url, data=content) as response:
            return SimpleNamespace(text=await response.text(), attempts=attempts_of(response))


@pytest.fixture(
    params=[*itertools.product((httpx, httpx2), ("asyncio", "trio")), (aiohttp, "asyncio")],
    ids=lambda it: f"{it[0].__name__}-{it[1]}",
)
def using(request: pytest.FixtureRequest) -> Use:
    library: ModuleType = request.param[0]
    if library is aiohttp:
        return using_aiohttp
    contrib: Any = pydoudou.contrib.httpx if library is httpx else pydoudou.contrib.httpx2

    def use(steps: Callable[[Any], Awaitable[None]], service: Service) -> None:
        async def main() -> None:
            transport = contrib.DiscoveryTransport(balancer={"orders": service.balancer}, policy=POLICY)
            async with library.AsyncClient(transport=transport, timeout=20) as client:
                await steps(client)

        asyncio.run(main()) if request.param[1] == "asyncio" else trio.run(main)

    return use


def using_aiohttp(steps: Callable[[Any], Awaitable[None]], service: Service) -> None:
    async def main() -> None:
        middleware = discovery_middleware(balancer={"orders": service.balancer}, policy=POLICY)
        async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
            await steps(Aiohttp(session))

    asyncio.run(main())


def left(response_or_error: Any) -> list[str]:
    attempts = getattr(response_or_error, "attempts", None) or response_or_error.extensions["attempts"]
    return [attempt.left for attempt in attempts]


async def one_answers_first(client: Any) -> None:
    response = await client.get("http://orders/items")
    assert response.text == "answer"
    assert left(response) == ["the other attempt answered first", ""]


def test_a_silent_member_is_overtaken(using: Use) -> None:
    with Service(is_silent, answers) as service:
        using(one_answers_first, service)
        assert (service.served, service.in_flight) == (2, 0)
        assert service.balancer.calls.counters == {"hedges": 1}


def test_the_first_one_is_the_answer_if_it_comes_first(using: Use) -> None:
    with Service(answers_once_the_other_one_came, is_silent) as service:
        using(one_answers_first, service)
        assert (service.served, service.in_flight) == (2, 0)


def test_one_that_fails_leaves_the_call_to_the_other(using: Use) -> None:
    async def steps(client: Any) -> None:
        response = await client.get("http://orders/items")
        assert response.text == "answer"
        first, second = left(response)
        assert first.startswith("broken (")
        assert second == ""

    with Service(fails_once_the_other_one_came, answers_after_the_other_one_failed) as service:
        using(steps, service)
        assert (service.served, service.in_flight) == (2, 0)


def test_when_both_fail_the_last_one_is_the_error(using: Use) -> None:
    async def steps(client: Any) -> None:
        with pytest.raises((httpx.TransportError, httpx2.TransportError, aiohttp.ClientError)) as caught:
            await client.get("http://orders/items")
        assert [why.startswith("broken (") for why in left(caught.value)] == [True, True]

    with Service(fails_once_the_other_one_came, fails_after_the_other_one_failed) as service:
        using(steps, service)
        assert (service.served, service.in_flight) == (2, 0)


def test_a_call_that_may_not_happen_twice_is_not_hedged(using: Use) -> None:
    async def steps(client: Any) -> None:
        assert (await client.post("http://orders/items", content=b"tea")).text == "answer"

    def late(signals: Signals, handler: Any) -> None:
        signals.second_came.wait(6 * USUAL)
        answers(signals, handler)

    with Service(late, is_silent) as service:
        using(steps, service)
        assert (service.served, service.in_flight) == (1, 0)


def test_a_call_that_is_given_up_leaves_nothing_behind(using: Use) -> None:
    async def steps(client: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.get, "http://orders/items")
            await eventually_async(lambda: service.served == 2)
            assert service.in_flight == 2
            tasks.cancel_scope.cancel()

    with Service(is_silent, is_silent) as service:
        using(steps, service)
        assert (service.served, service.in_flight) == (2, 0)


def test_an_answer_in_time_costs_no_second_one(using: Use) -> None:
    async def steps(client: Any) -> None:
        assert left(await client.get("http://orders/items")) == [""]

    with Service(answers, is_silent) as service:
        for _ in range(1000):
            service.balancer.calls.head(9.0)
        using(steps, service)
        assert (service.served, service.in_flight) == (1, 0)
