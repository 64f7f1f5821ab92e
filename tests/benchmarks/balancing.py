"""What the balancers by latency and by calls in flight cost, and what is remembered of members takes of memory.

python tests/benchmarks/balancing.py [--json]

A pick is measured when every member has had calls, so that its numbers differ from the others'. `begin` and the end of
a call are what a client pays besides.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydoudou import HealthPolicy, LeastLatency, LeastPending, Member, Registry, RoundRobin
from pydoudou.balancers.service_state import state_of
from pydoudou.balancers.table_balancer import TableBalancer
from pydoudou.discovery.merging.snapshot import Snapshot
from pydoudou.drivers.members import Outcome, Reached

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.scripted import ScriptedPlugin, settings

SIZES = (10, 1_000, 10_000)
ROUNDS, PICKS, CHANGES = 60, 2_000, 2_000
GOAL_NANOSECONDS, GOAL_GROWTH = 1_500, 1.5
BALANCERS = (LeastLatency, LeastPending, RoundRobin)


class Given:
    """A registry of so many members."""

    def __init__(self, size: int) -> None:
        self.show(tuple(Member("orders", "10.0.0.1", port + 1, weight=port % 9 + 1.0) for port in range(size)))

    def show(self, members: tuple[Member, ...]) -> None:
        self.members = Snapshot("orders", members, members)

    def snapshot(self, service: str, /) -> Snapshot:
        return self.members

    def explain(self, service: str) -> str:
        return ""


def called(make: Callable[..., TableBalancer[Any]], registry: Given | Registry, calls: int) -> TableBalancer[Any]:
    """A balancer with so many calls behind it."""
    balancer = make("orders", registry)
    for _ in range(calls):
        call(balancer)
    return balancer


def call(balancer: TableBalancer[Any]) -> None:
    pick = balancer.begin()
    seconds = random.random()
    pick.done(Outcome(pick.member, Reached.ANSWERED, 200, seconds, seconds, True))


def nanoseconds(act: Callable[[], object], times: int) -> float:
    """Of one."""
    started = time.perf_counter_ns()
    for _ in range(times):
        act()
    return (time.perf_counter_ns() - started) / times


def costs() -> dict[str, dict[int, float]]:
    """Nanoseconds by what is done and the number of members: the best of many short rounds that take turns."""
    acts: dict[tuple[str, int], Callable[[], object]] = {}
    for size in SIZES:
        registry = Registry(settings(ScriptedPlugin(members=list(Given(size).members.members))))
        registry.start()
        for make in BALANCERS:
            balancer = called(make, registry, 3 * size)
            acts[f"{make.__name__}.pick", size] = balancer.pick
            acts[f"{make.__name__}.begin and done", size] = lambda balancer=balancer: call(balancer)  # type: ignore[misc]
    best: dict[str, dict[int, float]] = {}
    for _ in range(ROUNDS):
        for (name, size), act in acts.items():
            taken = nanoseconds(act, PICKS if "pick" in name else 100)
            by_size = best.setdefault(name, {})
            by_size[size] = min(taken, by_size.get(size, taken))
    return best


def bytes_held() -> dict[str, float]:
    """What a service and a member take, with every member called often enough to fill its window."""

    def held(size: int) -> tuple[int, Any]:
        registry = Given(size)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        balancer = called(RoundRobin, registry, 20 * size)
        state_of(registry, "orders").in_flight(registry.members.members[0])
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before, balancer

    tracemalloc.start()
    held(10)
    one, _kept = held(1)
    many, _kept_too = held(1_001)
    tracemalloc.stop()
    member = (many - one) / 1_000
    return {"member": member, "service": one - member}


def grown() -> dict[str, int]:
    """Bytes and records after 2,000 changes of 20 members and 100,000 calls, and when three quarters were done."""
    registry = Given(20)
    balancer = LeastLatency("orders", registry)
    balancer.health = HealthPolicy()
    found: dict[str, int] = {}
    tracemalloc.start()
    for change in range(CHANGES):
        members = registry.members.members
        registry.show((*members[1:], Member("orders", "10.0.0.2", change + 1)))
        for _ in range(50):
            call(balancer)
        if change in (CHANGES * 3 // 4 - 1, CHANGES - 1):
            gc.collect()
            name = "at 75 %" if change < CHANGES - 1 else "at the end"
            found[f"bytes {name}"] = tracemalloc.get_traced_memory()[0]
            found[f"records {name}"] = len(state_of(registry, "orders").memory)
    tracemalloc.stop()
    return found


def main() -> int:
    found, held, growth = costs(), bytes_held(), grown()
    if "--json" in sys.argv:
        print(json.dumps({"nanoseconds": found, "bytes": held, "growth": growth}))
    for name, by_size in found.items():
        print(f"{name:32}" + "".join(f"{size:>8} members {cost:6.0f} ns" for size, cost in by_size.items()))
    print(f"remembered: {held['member']:.0f} bytes per member, {held['service']:.0f} per service")
    print(
        "over 100,000 calls and 2,000 changes of the members: "
        + ", ".join(f"{what} {value:,}" for what, value in growth.items())
    )
    picks = found["LeastLatency.pick"]
    flat = picks[SIZES[-1]] / picks[SIZES[0]]
    met = picks[SIZES[-1]] <= GOAL_NANOSECONDS and flat <= GOAL_GROWTH
    bounded = growth["bytes at the end"] <= 1.05 * growth["bytes at 75 %"]
    print(
        f"LeastLatency: 10,000 members cost {picks[SIZES[-1]]:.0f} ns, {flat:.2f} x 10 members: goal "
        f"{'met' if met else 'MISSED'}"
    )
    print(f"nothing grows: goal {'met' if bounded else 'MISSED'}")
    return 0 if met and bounded else 1


if __name__ == "__main__":
    sys.exit(main())
