"""Threads and tasks by the hundred call one service while its members come and go.

    python tests/e2e/coming_and_going.py --seconds 30

64 threads (half through one client of httpx, half through one session of requests) and 500 tasks of one event loop
(half through httpx, half through aiohttp) call again and again, while every 50 ms a member goes, comes, is suspected or
registers anew. Of nine members one answers 503, one resets connections and one refuses them; some calls must not be
sent twice, some are cancelled, and some answers are closed unread or dropped. The interpreter switches threads as often
as it can. It fails if a call ends with an exception that is none of its library's, or if an attempt is in flight when
all is over.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import gc
import json
import random
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import httpx
import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.failing_members import FailingMembers
from support.scripted import ScriptedPlugin, settings
from support.server_processes import process_of

from pydoudou import CallPolicy, LeastLatency, Member, MemberState, Registry
from pydoudou.balancers.service_state import state_of
from pydoudou.contrib.aiohttp import DiscoveryResponse, discovery_middleware
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount

THREADS, TASKS = 64, 500
EVERY = 0.05
GOOD = 6
PAUSE = 0.3
"""Seconds that threads rest between calls at most: without that the event loop, a thread among 65, would do nothing."""
URL = "http://orders/items"
POLICY = CallPolicy(attempts=3, deadline=20.0, attempt_timeout=10.0)
"""Half a thousand calls at once on one processor take their time: what is proved here has nothing to do with it."""
DOCUMENTED = (httpx.HTTPError, requests.RequestException, aiohttp.ClientError, TimeoutError)
TARGET = Path(__file__).parents[1] / "benchmarks" / "http_target.py"


@contextlib.contextmanager
def everybody() -> Iterator[list[Member]]:
    """All members that there can be."""
    with contextlib.ExitStack() as stack:
        command = [sys.executable, str(TARGET), str(GOOD)]
        target = stack.enter_context(process_of(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert target.stdin is not None
        assert target.stdout is not None
        ports = json.loads(target.stdout.readline())
        for how in ("503", "reset", "refused"):
            failing = stack.enter_context(FailingMembers(how, 1))
            ports.append(int(failing.addresses[0].rpartition(":")[2]))
        yield [Member("orders", "127.0.0.1", port, registered_at=1.0) for port in ports]


class Turmoil:
    """Members that come and go while the block runs. At least one of those that work is there at any time."""

    def __init__(self, plugin: ScriptedPlugin, members: list[Member], chance: random.Random) -> None:
        self._plugin, self._chance = plugin, chance
        self._members, self._present = dict(enumerate(members)), set(range(len(members)))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.changes: collections.Counter[str] = collections.Counter()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += EVERY
            self._change()

    def _change(self) -> None:
        place = self._chance.randrange(len(self._members))
        member, what = self._members[place], "comes"
        if place not in self._present:
            self._present.add(place)
            self._plugin.report(member)
        elif self._chance.random() < 0.6 and self._present - {place} & set(range(GOOD)):
            what = "goes"
            self._present.discard(place)
            self._plugin.report(member, state=MemberState.LEFT)
        elif self._chance.random() < 0.5:
            what = "registers anew"
            registered = (member.registered_at or 0.0) + 1.0
            self._members[place] = attrs.evolve(member, registered_at=registered, weight=self._chance.choice([1, 2]))
            self._plugin.report(self._members[place])
        else:
            what = "is suspected"
            self._plugin.report(member, state=MemberState.SUSPECT)
        self.changes[what] += 1

    def __enter__(self) -> Turmoil:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@attrs.define
class Results:
    """What became of the calls.

    Attributes:
        ends: how often by client and end: a status, or the name of an exception.
        undocumented: the tracebacks of exceptions that nobody told of.
    """

    ends: collections.Counter[tuple[str, str]] = attrs.field(factory=collections.Counter)
    undocumented: list[str] = attrs.field(factory=list)

    @contextlib.contextmanager
    def call(self, client: str) -> Iterator[list[int]]:
        status: list[int] = []
        try:
            yield status
        except asyncio.CancelledError:
            self.ends[client, "cancelled"] += 1
            raise
        except DOCUMENTED as error:
            self.ends[client, type(error).__name__] += 1
        except BaseException as error:
            self.ends[client, type(error).__name__] += 1
            self.undocumented.append("".join(traceback.format_exception(error)))
        else:
            self.ends[client, str(status[0])] += 1


def method(seed: random.Random) -> str:
    """Of a call: most may be sent twice."""
    return "POST" if seed.random() < 0.3 else "GET"


def in_threads(results: Results, balancer: LeastLatency, until: float, stack: contextlib.ExitStack) -> None:
    """Have the threads call until then; the stack waits for them."""
    transport = DiscoveryTransport(balancer={"orders": balancer}, policy=POLICY)
    client = stack.enter_context(httpx.Client(transport=transport))
    session = stack.enter_context(requests.Session())
    mount(session, "orders", balancer, policy=POLICY, pool_maxsize=THREADS)

    def by_httpx(seed: random.Random) -> int:
        if seed.random() < 0.1:
            with client.stream("GET", URL) as response:  # closed unread
                return response.status_code
        return client.request(method(seed), URL).status_code

    def by_requests(seed: random.Random) -> int:
        # Some are dropped without being read.
        return session.request(method(seed), URL, stream=seed.random() < 0.1).status_code

    def run(number: int) -> None:
        seed, (name, one) = random.Random(number), (("httpx", by_httpx), ("requests", by_requests))[number % 2]
        while time.monotonic() < until:
            with results.call(name) as status:
                status.append(one(seed))
            time.sleep(seed.random() * PAUSE)

    for number in range(THREADS):
        thread = threading.Thread(target=run, args=(number,))
        thread.start()
        stack.callback(thread.join)


async def in_tasks(results: Results, balancer: LeastLatency, until: float) -> None:
    """Have the tasks call until then."""
    transport = DiscoveryTransport(balancer={"orders": balancer}, policy=POLICY)
    middleware = discovery_middleware(balancer={"orders": balancer}, policy=POLICY)
    async with (
        httpx.AsyncClient(transport=transport, limits=httpx.Limits(max_connections=None)) as client,
        aiohttp.ClientSession(
            middlewares=(middleware,), response_class=DiscoveryResponse, connector=aiohttp.TCPConnector(limit=0)
        ) as session,
    ):

        async def by_httpx(seed: random.Random) -> int:
            return (await client.request(method(seed), URL)).status_code

        async def by_aiohttp(seed: random.Random) -> int:
            async with session.request(method(seed), URL) as response:
                if seed.random() < 0.5:  # the others are closed unread
                    await response.read()
                return response.status

        async def call(name: str, one: Callable[[random.Random], Awaitable[int]], seed: random.Random) -> None:
            with results.call(name) as status:
                status.append(await one(seed))

        async def run(number: int) -> None:
            seed = random.Random(number)
            name, one = (("httpx-async", by_httpx), ("aiohttp", by_aiohttp))[number % 2]
            while time.monotonic() < until:
                if seed.random() < 0.1:
                    with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                        async with asyncio.timeout(seed.random() * 0.2):
                            await call(name, one, seed)
                else:
                    await call(name, one, seed)

        await asyncio.gather(*[run(number) for number in range(TASKS)])


def run(seconds: float, seed: int) -> tuple[Results, collections.Counter[str], dict[str, int]]:
    """Returns what became of the calls, what happened to members, and what is in flight by address."""
    results, plugin = Results(), ScriptedPlugin()
    before = sys.getswitchinterval()
    with everybody() as members, Registry(settings(plugin)) as registry:
        plugin.report(*members)
        balancer = LeastLatency("orders", registry)
        sys.setswitchinterval(1e-6)
        try:
            with Turmoil(plugin, members, random.Random(seed)) as turmoil, contextlib.ExitStack() as stack:
                until = time.monotonic() + seconds
                in_threads(results, balancer, until, stack)
                asyncio.run(in_tasks(results, balancer, until))
        finally:
            sys.setswitchinterval(before)
        gc.collect()  # answers that were dropped
        state = state_of(registry, "orders")
        return results, turmoil.changes, {member.address: state.in_flight(member) for member in members}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    results, changes, in_flight = run(arguments.seconds, arguments.seed)
    clients: dict[str, dict[str, Any]] = {}
    for (client, end), count in sorted(results.ends.items()):
        clients.setdefault(client, {})[end] = count
    print(f"seed {arguments.seed}; {changes.total()} changes: {dict(changes)}")
    for client, ends in clients.items():
        print(f"{client:12} {sum(ends.values()):7} calls: {', '.join(f'{end} {n}' for end, n in ends.items())}")
    print(f"in flight at the end: {sum(in_flight.values())}")
    for text in results.undocumented[:5]:
        print(text)
    wrong = bool(results.undocumented) or any(in_flight.values())
    print(f"{len(results.undocumented)} undocumented exceptions: {'FAILED' if wrong else 'passed'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
