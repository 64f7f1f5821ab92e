"""A caller that is itself in trouble ejects nobody; a member that really is gets no calls, and gets them again at once.

Real members and a real gossip between registries, all on loopback.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import anyio
import attrs
import httpx
import pytest
import requests
from support.gossip import gossip_address, gossiping
from support.http_members import Behaviour, HttpMember, reset
from support.waiting import eventually

from pydoudou import CallPolicy, LeastLatency, Registry, RoundRobin
from pydoudou.balancers.service_state import state_of
from pydoudou.contrib.aiohttp import DiscoveryResponse, discovery_middleware
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount

URL = "http://orders/items"
MEMBERS = 4
BLOCKED, FREE = 0.3, 0.05
"""Seconds that the caller's event loop stands still, and runs, in turn."""
TASKS = 20

Get = Callable[[], Awaitable[object]]


def soon(handler: Any) -> None:
    """Answer after 20 ms."""
    handler.owner.served.clear()
    time.sleep(0.02)
    handler.reply()


@attrs.frozen
class Cluster:
    """Members of ``orders``, each with a registry, and the registry of who calls them."""

    members: list[HttpMember]
    registries: list[Registry]
    caller: Registry

    @property
    def health(self) -> Any:
        """What the caller holds of the members' health."""
        return state_of(self.caller, "orders").memory.health

    def ejections(self) -> dict[str, int]:
        """What the rules have done, by name."""
        return {name: count for name, count in self.health.counts.items() if name.startswith("ejections_")}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        caller = stack.enter_context(gossiping())
        members = [stack.enter_context(HttpMember(str(number), answer=soon)) for number in range(MEMBERS)]
        registries = [
            stack.enter_context(gossiping("orders", GDD_PORT=str(one.port), GDD_MEM_SEED=gossip_address(caller)))
            for one in members
        ]
        eventually(lambda: len(caller.members("orders")) == MEMBERS)
        yield Cluster(members, registries, caller)


@contextlib.asynccontextmanager
async def calling(library: str, registry: Registry, policy: CallPolicy) -> AsyncIterator[Get]:
    balancer = LeastLatency("orders", registry)
    if library == "httpx":
        transport = DiscoveryTransport(balancer={"orders": balancer}, policy=policy)
        async with httpx.AsyncClient(transport=transport) as client:
            yield lambda: client.get(URL)
    else:
        middleware = discovery_middleware(balancer={"orders": balancer}, policy=policy)
        async with aiohttp.ClientSession(middlewares=(middleware,), response_class=DiscoveryResponse) as session:

            async def get() -> None:
                async with session.get(URL) as answer:
                    await answer.read()

            yield get


@pytest.mark.parametrize("attempt_timeout", [0.2, 0.25])
@pytest.mark.parametrize(
    ("library", "backend"),
    [("httpx", "asyncio"), ("httpx", "trio"), ("aiohttp", "asyncio")],
    ids=["httpx", "httpx-trio", "aiohttp"],
)
def test_a_caller_whose_own_event_loop_is_blocked_ejects_nobody_and_says_why(
    library: str, backend: str, attempt_timeout: float, cluster: Cluster
) -> None:
    policy = CallPolicy(attempts=3, deadline=5.0, attempt_timeout=attempt_timeout)

    async def main() -> None:
        async with calling(library, cluster.caller, policy) as get, anyio.create_task_group() as tasks:
            until = time.monotonic() + 3.0

            async def call() -> None:
                while time.monotonic() < until:
                    with contextlib.suppress(httpx.TransportError, aiohttp.ClientError):
                        await get()

            async def be_busy() -> None:
                while time.monotonic() < until:
                    await anyio.sleep(FREE)
                    time.sleep(BLOCKED)  # noqa: ASYNC251

            tasks.start_soon(be_busy)
            for _ in range(TASKS):
                tasks.start_soon(call)

    anyio.run(main, backend=backend)
    health = cluster.health
    assert health.counts["failures_in_doubt"] > 0, "nothing failed: the test shows nothing"
    assert cluster.ejections() == {}
    assert not health.ejections.out
    assert "late" in cluster.caller.status().doubt
    assert "late" in cluster.caller.explain_members("orders").doubt
    assert health.doubted is not None


def unavailable(handler: Any) -> None:
    """Answer 503."""
    handler.reply(503)


@contextlib.contextmanager
def getting(library: str, registry: Registry) -> Iterator[Callable[[], Any]]:
    """Calls through the client with the default policy, in turn to all members."""
    balancer = RoundRobin("orders", registry)
    if library == "httpx":
        with httpx.Client(transport=DiscoveryTransport(balancer={"orders": balancer})) as client:
            yield lambda: client.get(URL)
    else:
        with requests.Session() as session:
            mount(session, "orders", balancer)
            yield lambda: session.get(URL)


@pytest.mark.parametrize("library", ["httpx", "requests"])
@pytest.mark.parametrize("how", [unavailable, reset], ids=["503", "reset"])
def test_a_bad_member_is_out_with_its_fifth_call_and_back_within_a_second_of_its_restart(
    library: str, how: Behaviour, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    bad = cluster.members[1]
    bad.answer = how
    with getting(library, cluster.caller) as get, contextlib.ExitStack() as stack:
        while not cluster.health.ejections.out:
            assert get().status_code == 200
            # On a machine that does not keep up this process doubts itself meanwhile, and is right.
            assert len(bad.served) <= 5 + cluster.health.counts["failures_in_doubt"]
        assert sum(cluster.ejections().values()) == 1
        ejected = len(bad.served)
        for _ in range(5 * MEMBERS):
            assert get().status_code == 200
        assert len(bad.served) == ejected, "it gets no calls"
        cluster.registries[1].stop()
        bad.answer = soon
        stack.enter_context(gossiping("orders", GDD_PORT=str(bad.port), GDD_MEM_SEED=gossip_address(cluster.caller)))
        restarted = time.monotonic()
        while cluster.health.ejections.out:
            assert get().status_code == 200
            assert time.monotonic() < restarted + 10.0
        back = time.monotonic() - restarted
        assert back < 1.0 or cluster.caller.doubt()
    kind = "503" if how is unavailable else "reset"
    record_property(
        "figures",
        f"a member that fails each call ({kind}, {library}): out after {ejected}, back {back:.2f} s after its restart",
    )
