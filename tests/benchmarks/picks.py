"""What a pick costs through a running registry, as ratios to what Python can do instead, in one run.

python tests/benchmarks/picks.py [--json]
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from pydoudou import LeastLatency, LeastPending, Member, Registry, RoundRobin, SmoothWeighted, WeightedRandom

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.scripted import ScriptedPlugin, settings

SIZES = (10, 1_000, 10_000)
ROUNDS = 60
PICKS = 2_000
CHANGES = 7
GOAL_NANOSECONDS = 1_000
GOAL_NANOSECONDS_OF_TWO = 1_500
"""For balancers that look at two members."""
GOAL_GROWTH = 1.5
GOAL_OVER_CYCLE = 250
GOAL_MILLISECONDS = 2.0
BALANCERS = (RoundRobin, WeightedRandom, SmoothWeighted, LeastPending, LeastLatency)


def nanoseconds(pick: Callable[[], object], picks: int) -> float:
    """Of one call."""
    started = time.perf_counter_ns()
    for _ in range(picks):
        pick()
    return (time.perf_counter_ns() - started) / picks


def contenders(size: int) -> dict[str, tuple[Callable[[], object], int]]:
    """By name: what is called, and how often."""
    members = tuple(Member("orders", "10.0.0.1", port + 1, weight=port % 9 + 1) for port in range(size))
    weights = [member.weight for member in members]
    registry = Registry(settings(ScriptedPlugin(members=list(members))))
    registry.start()
    cycle = itertools.cycle(members)
    made: dict[str, tuple[Callable[[], object], int]] = {
        "next(itertools.cycle)": (lambda: next(cycle), PICKS),
        "random.choices": (lambda: random.choices(members, weights), max(5, PICKS // size)),
    }
    for make in BALANCERS:
        balancer = make("orders", registry)
        balancer.pick()
        made[make.__name__] = (balancer.pick, PICKS)
    return made


def measure() -> dict[str, dict[int, float]]:
    """Nanoseconds by name and size: of many short rounds the best, because what else runs on the machine only adds to
    them; the contenders take turns.
    """
    samples: dict[tuple[str, int], list[float]] = {}
    all_contenders = {size: contenders(size) for size in SIZES}
    for _ in range(ROUNDS):
        for size, made in all_contenders.items():
            for name, (pick, picks) in made.items():
                samples.setdefault((name, size), []).append(nanoseconds(pick, picks))
    best: dict[str, dict[int, float]] = {}
    for (name, size), values in samples.items():
        best.setdefault(name, {})[size] = min(values)
    return best


def slowest(size: int) -> dict[str, dict[str, float]]:
    """The longest single picks in milliseconds, with `size` members of different weights: the first pick after a
    change of the view, and a pick that excludes somebody. Of each the median of the rounds, each round's the longest
    of its picks: the collector's pauses are not the pick's.
    """
    members = [Member("orders", "10.0.0.1", place + 1, weight=1 + place) for place in range(size)]
    plugin = ScriptedPlugin(members=members)
    found: dict[str, dict[str, float]] = {}
    with Registry(settings(plugin)) as registry:
        for make in BALANCERS:
            balancer = make("orders", registry)
            firsts, retries = [], []
            for turn in range(CHANGES):
                plugin.report(attrs.evolve(members[0], weight=size + turn + 1))
                longest = 0.0
                for _ in range(20):
                    picked, taken = timed(balancer.pick)
                    longest = max(longest, taken)
                firsts.append(longest)
                retries.append(max(timed(lambda: balancer.pick(exclude=[picked]))[1] for _ in range(50)))  # noqa: B023
            found[make.__name__] = {"pick": statistics.median(firsts), "excluded": statistics.median(retries)}
    return found


def timed(pick: Callable[[], Member]) -> tuple[Member, float]:
    started = time.perf_counter_ns()
    member = pick()
    return member, (time.perf_counter_ns() - started) / 1e6


def main() -> int:
    costs, longest = measure(), slowest(1_000)
    if "--json" in sys.argv:
        print(json.dumps({"nanoseconds": costs, "milliseconds": longest}))
    cycle, choices = costs["next(itertools.cycle)"], costs["random.choices"]
    print(f"{'':24}{'members':>8}{'ns':>10}{'picks/s':>14}{'x cycle':>9}{'x choices':>11}")
    for name, by_size in costs.items():
        for size, cost in by_size.items():
            ratios = f"{cost / cycle[size]:9.2f}{cost / choices[size]:11.4f}"
            print(f"{name:24}{size:8}{cost:10.0f}{1e9 / cost:14,.0f}{ratios}")
    missed = 0
    for name in (make.__name__ for make in BALANCERS):
        growth, most = costs[name][10_000] / costs[name][10], max(costs[name].values())
        goal = GOAL_NANOSECONDS_OF_TWO if name.startswith("Least") else GOAL_NANOSECONDS
        missed += verdict(
            growth <= GOAL_GROWTH and most < goal,
            f"{name}: 10,000 members cost {growth:.2f} x 10 members, at most {most:.0f} ns",
        )
        worst = max(longest[name].values())
        missed += verdict(
            worst < GOAL_MILLISECONDS,
            f"{name}: 1,000 members of different weights, the longest pick after a change {longest[name]['pick']:.2f} "
            f"ms, the longest that excludes somebody {longest[name]['excluded']:.2f} ms",
        )
    more = statistics.median(costs["RoundRobin"][size] - cycle[size] for size in SIZES)
    missed += verdict(more <= GOAL_OVER_CYCLE, f"RoundRobin: {more:.0f} ns more than next(itertools.cycle)")
    return min(missed, 1)


def verdict(met: bool, text: str) -> bool:
    """Print it; whether the goal was missed."""
    print(f"{text}: goal {'met' if met else 'MISSED'}")
    return not met


if __name__ == "__main__":
    sys.exit(main())
