"""Requests per second through each HTTP integration, as a share of what the plain client does at the same members.

    python tests/benchmarks/http_clients.py [--json] [--rounds N] [--requests N] [--client NAME]

The target is a server in a process of its own that answers from one buffer, on three ports of loopback: three members
for the balanced calls, which follow the default policy and go to the member that `LeastLatency` chooses; the plain
client calls the three by their addresses in turn. A third client calls one of them only: what more than one connection
costs is no merit of who balances. All take turns within one run, and the share is the median of the rounds: what
disturbs the machine disturbs all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import httpx2
import requests

from pydoudou.balancers import LeastLatency
from pydoudou.contrib import httpx as of_httpx
from pydoudou.contrib import httpx2 as of_httpx2
from pydoudou.contrib.aiohttp import discovery_middleware
from pydoudou.contrib.requests import mount
from pydoudou.discovery.merging.snapshot import Snapshot
from pydoudou.drivers.members import Member

GOALS = {
    "requests": 0.95,
    "httpx.Client": 0.93,
    "httpx.AsyncClient": 0.93,
    "httpx2.Client": 0.93,
    "httpx2.AsyncClient": 0.93,
    "aiohttp": 0.90,
}
MEMBERS = 3

Batch = Callable[[int], None]
"""Sends that many requests, one after the other."""


@contextlib.contextmanager
def serving() -> Iterator[list[Member]]:
    """The members, answered for by another process."""
    command = [sys.executable, str(Path(__file__).with_name("http_target.py")), str(MEMBERS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield [Member("orders", "127.0.0.1", port) for port in json.loads(process.stdout.readline())]
        finally:
            process.stdin.close()


class GivenMembers:
    """What a balancer needs of a registry, with members that never change."""

    def __init__(self, members: list[Member]) -> None:
        self._snapshot = Snapshot("orders", tuple(members), tuple(members))

    def snapshot(self, service: str) -> Snapshot:
        return self._snapshot

    def explain(self, service: str) -> str:
        return f"{service}: given"


def requests_batch(urls: Sequence[str], balancer: LeastLatency | None) -> Batch:
    session = requests.Session()
    if balancer is not None:
        mount(session, "orders", balancer)

    def run(count: int) -> None:
        for number in range(count):
            session.get(urls[number % len(urls)])

    return run


def mounts(library: ModuleType, balancer: LeastLatency | None) -> dict[str, Any] | None:
    """The integration with the default policy, for the service."""
    binding = of_httpx if library is httpx else of_httpx2
    return None if balancer is None else {"http://orders": binding.DiscoveryTransport(balancer={"orders": balancer})}


def httpx_batch(urls: Sequence[str], balancer: LeastLatency | None, library: ModuleType = httpx) -> Batch:
    client = library.Client(mounts=mounts(library, balancer))

    def run(count: int) -> None:
        for number in range(count):
            client.get(urls[number % len(urls)])

    return run


def async_batch(
    urls: Sequence[str], balancer: LeastLatency | None, loop: asyncio.AbstractEventLoop, library: ModuleType = httpx
) -> Batch:
    client = library.AsyncClient(mounts=mounts(library, balancer))

    async def get(count: int) -> None:
        for number in range(count):
            await client.get(urls[number % len(urls)])

    return lambda count: loop.run_until_complete(get(count))


def aiohttp_batch(
    urls: Sequence[str],
    balancer: LeastLatency | None,
    loop: asyncio.AbstractEventLoop,
    opened_here: list[aiohttp.ClientSession],
) -> Batch:
    middlewares = () if balancer is None else (discovery_middleware(balancer={"orders": balancer}),)

    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(middlewares=middlewares)

    session = loop.run_until_complete(opened())
    opened_here.append(session)

    async def get(count: int) -> None:
        for number in range(count):
            async with session.get(urls[number % len(urls)]) as response:
                await response.read()

    return lambda count: loop.run_until_complete(get(count))


def rate(batch: Batch, count: int) -> float:
    """Requests per second."""
    start = time.perf_counter()
    batch(count)
    return count / (time.perf_counter() - start)


def compare(batches: dict[str, Batch], rounds: int, count: int) -> dict[str, float]:
    """The medians over the rounds; who goes first changes."""
    rates: dict[str, list[float]] = {name: [] for name in batches}
    for batch in batches.values():
        batch(count)
    names = list(batches)
    for turn in range(rounds):
        first = turn % len(names)
        for name in (*names[first:], *names[:first]):
            rates[name].append(rate(batches[name], count))
    shares = [ours / plain for ours, plain in zip(rates["balanced"], rates["plain"], strict=True)]
    return {
        **{f"{name}_per_s": statistics.median(each) for name, each in rates.items()},
        "share": statistics.median(shares),
    }


def run(rounds: int, count: int, clients: Sequence[str] = ()) -> dict[str, dict[str, float | bool]]:
    loop = asyncio.new_event_loop()
    results: dict[str, dict[str, float | bool]] = {}
    sessions: list[aiohttp.ClientSession] = []
    with serving() as members:
        fixed = [f"{member.base_url}/items" for member in members]
        makers: dict[str, Callable[[Sequence[str], LeastLatency | None], Batch]] = {
            "requests": requests_batch,
            "httpx.Client": httpx_batch,
            "httpx.AsyncClient": lambda urls, balancer: async_batch(urls, balancer, loop),
            "aiohttp": lambda urls, balancer: aiohttp_batch(urls, balancer, loop, sessions),
            "httpx2.Client": lambda urls, balancer: httpx_batch(urls, balancer, httpx2),
            "httpx2.AsyncClient": lambda urls, balancer: async_batch(urls, balancer, loop, httpx2),
        }
        for name, make in makers.items():
            if clients and name not in clients:
                continue
            batches = {
                "one_url": make(fixed[:1], None),
                "plain": make(fixed, None),
                "balanced": make(["http://orders/items"], LeastLatency("orders", GivenMembers(members))),
            }
            measured = compare(batches, rounds, count)
            results[name] = {**measured, "goal": GOALS[name], "met": measured["share"] >= GOALS[name]}
        for session in sessions:
            loop.run_until_complete(session.close())
    loop.close()
    return results


def report(results: dict[str, dict[str, float | bool]]) -> None:
    print(f"{'client':18}{'one URL/s':>12}{'plain/s':>12}{'balanced/s':>12}{'share':>8}{'goal':>7}")
    for name, result in results.items():
        verdict = "goal met" if result["met"] else "goal missed"
        print(
            f"{name:18}{result['one_url_per_s']:12.0f}{result['plain_per_s']:12.0f}{result['balanced_per_s']:12.0f}"
            f"{result['share']:8.3f}{result['goal']:7.2f}  {verdict}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--rounds", type=int, default=201, help="rounds of all kinds (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=20, help="requests per round and kind (default: %(default)s)")
    parser.add_argument("--client", action="append", choices=GOALS, help="only this one; may be given again")
    arguments = parser.parse_args()
    results = run(arguments.rounds, arguments.requests, arguments.client or ())
    print(json.dumps(results)) if arguments.json else report(results)


if __name__ == "__main__":
    main()
