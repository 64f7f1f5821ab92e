"""What Prometheus' collector costs: calls with it and without it, taking turns; and a scrape.

    python tests/benchmarks/metrics.py [--json] [--rounds N] [--requests N]

The members are those of http_clients.py, in a process of their own. The collector is registered for every second
batch of calls. The share is the median over the rounds of the rate with the collector to that without it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence

from http_clients import Batch, async_batch, httpx_batch, rate, requests_batch, serving
from prometheus_client import CollectorRegistry, generate_latest

from pydoudou import Registry, Settings
from pydoudou.balancers import LeastLatency
from pydoudou.contrib.prometheus import Metrics
from pydoudou.drivers.members import Member, Outcome, Reached

GOAL = 0.95
URLS = ["http://orders/items"]


def knowing(members: Sequence[Member]) -> Registry:
    """A registry with these members of orders."""
    addresses = ",".join(member.base_url for member in members)
    fixed = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": addresses}
    return Registry(Settings.from_env(fixed, register=False))


def picks(registry: Registry) -> Batch:
    """Attempts that no client makes: what a balancer and its memory cost alone."""
    balancer = LeastLatency("orders", registry)

    def run(count: int) -> None:
        for _ in range(count):
            pick = balancer.begin()
            pick.done(Outcome(pick.member, Reached.ANSWERED, 200, 0.001, 0.001, True))

    return run


def compare(batch: Batch, metrics: Metrics, collectors: CollectorRegistry, rounds: int, count: int) -> dict[str, float]:
    """The medians over the rounds; who goes first changes. One client makes all calls: two would differ by chance."""
    rates: dict[str, list[float]] = {"without": [], "with": []}
    batch(count)
    for turn in range(rounds):
        for name in sorted(rates, reverse=bool(turn % 2)):
            metrics.register(collectors) if name == "with" else metrics.unregister(collectors)
            rates[name].append(rate(batch, count))
    shares = [on / off for on, off in zip(rates["with"], rates["without"], strict=True)]
    return {
        **{f"{name}_per_s": statistics.median(each) for name, each in rates.items()},
        "share": statistics.median(shares),
    }


def run(rounds: int, count: int) -> dict[str, dict[str, float]]:
    loop, collectors = asyncio.new_event_loop(), CollectorRegistry()
    makers: dict[str, Callable[[Registry], Batch]] = {
        "requests": lambda registry: requests_batch(URLS, LeastLatency("orders", registry)),
        "httpx.Client": lambda registry: httpx_batch(URLS, LeastLatency("orders", registry)),
        "httpx.AsyncClient": lambda registry: async_batch(URLS, LeastLatency("orders", registry), loop),
        "begin and done": picks,
    }
    with serving() as members, knowing(members) as registry:
        metrics = Metrics(registry)
        results = {}
        for name, make in makers.items():
            many = count if name != "begin and done" else 50 * count
            results[name] = compare(make(registry), metrics, collectors, rounds, many)
        metrics.register(collectors)
        took = []
        for _ in range(rounds):
            began = time.perf_counter()
            generate_latest(collectors)
            took.append(time.perf_counter() - began)
    loop.close()
    return {**results, "scrape": {"seconds": statistics.median(took)}}


def report(results: dict[str, dict[str, float]]) -> None:
    print(f"{'client':20}{'without/s':>12}{'with/s':>12}{'share':>8}{'us more':>9}")
    for name, result in results.items():
        if name == "scrape":
            print(f"a scrape takes {result['seconds'] * 1000:.2f} ms")
            continue
        more = (1 / result["with_per_s"] - 1 / result["without_per_s"]) * 1e6
        goal = "" if name == "begin and done" else "  goal met" if result["share"] >= GOAL else "  goal missed"
        print(
            f"{name:20}{result['without_per_s']:12.0f}{result['with_per_s']:12.0f}{result['share']:8.3f}{more:9.1f}{goal}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--rounds", type=int, default=101, help="rounds of both kinds (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=20, help="requests per round and kind (default: %(default)s)")
    arguments = parser.parse_args()
    results = run(arguments.rounds, arguments.requests)
    print(json.dumps(results)) if arguments.json else report(results)


if __name__ == "__main__":
    main()
