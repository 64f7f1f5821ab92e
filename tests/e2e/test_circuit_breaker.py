"""An open circuit breaker under threads and tasks, in front of a real server that fails."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import attrs
import httpx
import pytest
import requests
from support.async_clients import async_client
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


Get = Callable[[], object]
ERRORS = (httpx.ConnectError, requests.ConnectionError, aiohttp.ClientConnectorError)
"""What a call ends with that the breaker does not let through."""


@contextlib.contextmanager
def sync_client(library: str, balancer: RoundRobin, policy: CallPolicy = POLICY) -> Iterator[Get]:
    """Something that many threads may call."""
    if library == "httpx":
        transport = DiscoveryTransport(balancer={"orders": balancer}, policy=policy)
        with httpx.Client(transport=transport) as client:
            yield lambda: client.get(URL)
    else:
        with requests.Session() as session:
            mount(session, "orders", balancer, policy=policy, pool_maxsize=32)
            yield lambda: session.get(URL)


def refused(error: BaseException) -> bool:
    return isinstance(error.__cause__, pydoudou.CircuitOpen)


def check(failing: Failing, refusals: int) -> None:
    assert failing.most == 1
    assert 6 + 2 <= failing.all <= 6 + 1 + 1.5 / OPEN_FOR
    assert refusals > failing.all


@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_32_threads_send_one_probe_at_a_time(library: str, failing: Failing, balancer: RoundRobin) -> None:
    refusals: list[bool] = []
    with sync_client(library, balancer) as get:
        for _ in range(6):
            get()
        until = time.monotonic() + 1.5

        def call() -> None:
            while time.monotonic() < until:
                try:
                    get()
                except ERRORS as error:
                    refusals.append(refused(error))
                    time.sleep(0.02)

        threads = [threading.Thread(target=call) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(refusals)
    check(failing, len(refusals))


@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
def test_200_tasks_send_one_probe_at_a_time(library: str, failing: Failing, balancer: RoundRobin) -> None:
    refusals: list[bool] = []

    async def main() -> None:
        async with async_client(library, balancer, POLICY) as get:
            for _ in range(6):
                await get()
            until = time.monotonic() + 1.5

            async def call() -> None:
                while time.monotonic() < until:
                    try:
                        await get()
                    except ERRORS as error:
                        refusals.append(refused(error))
                        await asyncio.sleep(0.1)

            await asyncio.gather(*[call() for _ in range(200)])

    asyncio.run(main())
    assert all(refusals)
    check(failing, len(refusals))


CALLS, ROUNDS = 900, 3
OPEN = POLICY.change(breaker=CircuitBreaker(open_for=30.0))


INTERRUPTED = 0.0001


@attrs.define
class Took:
    """How many seconds calls took that failed.

    Attributes:
        all: of all calls.
        own: of those during which nothing else had the processor for a tenth of a millisecond.
    """

    all: list[float] = attrs.field(factory=list)
    own: list[float] = attrs.field(factory=list)

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.thread_time()
        with pytest.raises(ERRORS) as caught:
            yield
        cpu = time.thread_time() - cpu
        wall = time.perf_counter() - wall
        self.all.append(wall)
        if wall - cpu < INTERRUPTED:
            self.own.append(wall)
        assert refused(caught.value)


def in_a_thread(library: str, balancer: RoundRobin) -> Took:
    took = Took()
    with sync_client(library, balancer, OPEN) as get:
        for _ in range(6):
            get()
        for _ in range(CALLS):
            with took.one():
                get()
    return took


def in_a_task(library: str, balancer: RoundRobin) -> Took:
    took = Took()

    async def main() -> None:
        async with async_client(library, balancer, OPEN) as get:
            for _ in range(6):
                await get()
            for _ in range(CALLS):
                with took.one():
                    await get()

    asyncio.run(main())
    return took


@pytest.mark.parametrize(
    ("library", "measured"),
    [("httpx", in_a_thread), ("requests", in_a_thread), ("httpx", in_a_task), ("aiohttp", in_a_task)],
    ids=["httpx", "requests", "httpx-async", "aiohttp"],
)
def test_a_call_fails_within_a_millisecond_while_it_is_open(
    library: str,
    measured: Callable[[str, RoundRobin], Took],
    failing: Failing,
    balancer: RoundRobin,
    record_property: Callable[[str, object], None],
) -> None:
    took = measured(library, balancer)
    median, p99 = statistics.median(took.all), statistics.quantiles(took.all, n=100)[98]
    rounds = [took.own[len(took.own) * one // ROUNDS : len(took.own) * (one + 1) // ROUNDS] for one in range(ROUNDS)]
    own = min(statistics.quantiles(one, n=100)[98] for one in rounds)
    record_property(
        "figures",
        f"{library}{' (async)' * (measured is in_a_task)}: while the breaker is open a call fails after "
        f"{median * 1e3:.3f} ms (median), {p99 * 1e3:.3f} ms (p99; {own * 1e3:.3f} ms of the {len(took.own)} calls of "
        f"{len(took.all)} that nothing interrupted)",
    )
    assert failing.all == 6, "nothing reaches the member"
    assert median < 0.001
    assert own < 0.001, "what else runs on the machine only adds to it"
