"""The first calls of a service whose backend has to ask for its members, through every HTTP client."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest
import requests
from support.asked import AskedPlugin
from support.http_members import HttpMember
from support.scripted import settings

import pydoudou
from pydoudou import RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount


@pytest.fixture
def member() -> Iterator[HttpMember]:
    with HttpMember() as server:
        yield server


@pytest.fixture
def plugin(member: HttpMember) -> Iterator[AskedPlugin]:
    """The backend of the default registry."""
    asked = AskedPlugin(answers_after=0.1, address=("127.0.0.1", member.port))
    pydoudou.new_node(settings=settings(asked))
    yield asked
    pydoudou.shutdown()


@pytest.mark.usefixtures("plugin")
def test_threads_that_call_first_together_all_find_the_member() -> None:
    session = requests.Session()
    mount(session, "orders")
    with httpx.Client(transport=DiscoveryTransport()) as client, ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(one.get, "http://orders/") for one in (session, client) for _ in range(4)]
        assert [call.result().status_code for call in calls] == [200] * 8
    session.close()


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_that_call_first_together_all_find_the_member(backend: str) -> None:
    async def use() -> list[int]:
        statuses: list[int] = []

        async def call(client: httpx.AsyncClient) -> None:
            statuses.append((await client.get("http://orders/")).status_code)

        async with httpx.AsyncClient(transport=DiscoveryTransport()) as client, anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(call, client)
        return statuses

    assert anyio.run(use, backend=backend) == [200] * 5


@pytest.mark.parametrize("kind", ["requests", "httpx"])
def test_a_deadline_bounds_the_wait_for_the_first_answer(
    plugin: AskedPlugin, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pydoudou.balancers.calls.service.FIRST_ANSWER_WITHIN", 20.0)
    plugin.answers_after = 60.0
    begun = time.monotonic()
    if kind == "requests":
        session = requests.Session()
        mount(session, "orders", RoundRobin("orders"), deadline=0.1)
        with pytest.raises((requests.Timeout, requests.ConnectionError)):
            session.get("http://orders/")
    else:
        with httpx.Client(transport=DiscoveryTransport(deadline=0.1)) as client:
            with pytest.raises((httpx.TimeoutException, httpx.ConnectError)):
                client.get("http://orders/")
    assert time.monotonic() - begun < 5


def test_a_service_that_nobody_knows_holds_up_its_first_call_only(plugin: AskedPlugin) -> None:
    plugin.answers_after = 60.0
    with httpx.Client(transport=DiscoveryTransport()) as client:
        taken = []
        for _ in range(6):
            begun = time.monotonic()
            with pytest.raises(httpx.ConnectError):
                client.get("http://orders/")
            taken.append(time.monotonic() - begun)
    assert 0.4 < taken[0] < 5.0
    assert statistics.median(taken[1:]) < 0.3  # one may be held up by the machine
