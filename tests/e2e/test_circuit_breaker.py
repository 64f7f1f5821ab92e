"""An open circuit breaker under threads and tasks, in front of a real server that fails."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import attrs
import httpx
import pytest
import requests
from support.http_members import GivenMembers, HttpMember

import pydoudou
from pydoudou import CallPolicy, CircuitBreaker, RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount

OPEN_FOR = 0.2
POLICY = CallPolicy(attempts=1, breaker=CircuitBreaker(open_for=OPEN_FOR))
URL = "http://orders/items"


@attrs.define
class Failing:
    """How a member answers: 503 after a while; how many calls it has at once."""

    lock: threading.Lock = attrs.field(factory=threading.Lock)
    at_once: int = 0
    most: int = 0
    all: int = 0

    def __call__(self, handler: Any) -> None:
        with self.lock:
            self.at_once += 1
            self.all += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.03)
        with self.lock:
            self.at_once -= 1
        handler.reply(503)


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def balancer(failing: Failing) -> Iterator[RoundRobin]:
    with HttpMember(answer=failing) as member:
        yield RoundRobin("orders", GivenMembers(member.member()))


def transport(balancer: RoundRobin) -> DiscoveryTransport:
    return DiscoveryTransport(balancer={"orders": balancer}, policy=POLICY)


def refused(error: BaseException) -> bool:
    return isinstance(error.__cause__, pydoudou.CircuitOpen)


def check(failing: Failing, refusals: int) -> None:
    assert failing.most == 1
    assert 6 + 2 <= failing.all <= 6 + 1 + 1.5 / OPEN_FOR
    assert refusals > failing.all


def test_32_threads_send_one_probe_at_a_time(failing: Failing, balancer: RoundRobin) -> None:
    refusals = []
    with httpx.Client(transport=transport(balancer)) as client:
        for _ in range(6):
            assert client.get(URL).status_code == 503
        until = time.monotonic() + 1.5

        def call() -> None:
            while time.monotonic() < until:
                try:
                    client.get(URL)
                except httpx.ConnectError as error:
                    refusals.append(refused(error))
                    time.sleep(0.02)

        threads = [threading.Thread(target=call) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(refusals)
    check(failing, len(refusals))


def test_200_tasks_send_one_probe_at_a_time(failing: Failing, balancer: RoundRobin) -> None:
    refusals = []

    async def main() -> None:
        async with httpx.AsyncClient(transport=transport(balancer)) as client:
            for _ in range(6):
                assert (await client.get(URL)).status_code == 503
            until = time.monotonic() + 1.5

            async def call() -> None:
                while time.monotonic() < until:
                    try:
                        await client.get(URL)
                    except httpx.ConnectError as error:
                        refusals.append(refused(error))
                        await asyncio.sleep(0.1)

            await asyncio.gather(*[call() for _ in range(200)])

    asyncio.run(main())
    assert all(refusals)
    check(failing, len(refusals))


@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_a_call_fails_within_a_millisecond_while_it_is_open(
    library: str, failing: Failing, balancer: RoundRobin, capsys: pytest.CaptureFixture[str]
) -> None:
    session, client = requests.Session(), httpx.Client(transport=transport(balancer))
    policy = POLICY.change(breaker=CircuitBreaker(open_for=30.0))
    mount(session, "orders", balancer, policy=policy)
    took = []
    with session, client, pydoudou.call_policy(policy):
        get: Any = client.get if library == "httpx" else session.get
        for _ in range(6):
            get(URL)
        for _ in range(200):
            began = time.perf_counter()
            with pytest.raises((httpx.ConnectError, requests.ConnectionError)) as caught:
                get(URL)
            took.append(time.perf_counter() - began)
            assert refused(caught.value)
    median = statistics.median(took)
    with capsys.disabled():
        print(f"\n{library}: while the breaker is open a call fails after {median * 1000:.2f} ms (median)")
    assert failing.all == 6
    assert median < 0.001
