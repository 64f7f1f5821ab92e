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

from pydoudou import Member, Registry, RoundRobin, SmoothWeighted, WeightedRandom

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.scripted import ScriptedPlugin, settings

SIZES = (10, 1_000, 10_000)
ROUNDS = 7
PICKS = 20_000
GOAL_NANOSECONDS = 1_000
GOAL_GROWTH = 1.5


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
        "random.choices": (lambda: random.choices(members, weights), max(50, PICKS // size)),
    }
    for make in (RoundRobin, WeightedRandom, SmoothWeighted):
        balancer = make("orders", registry)
        balancer.pick()
        made[make.__name__] = (balancer.pick, PICKS)
    return made


def measure() -> dict[str, dict[int, float]]:
    """Median nanoseconds by name and size; the contenders take turns, so that noise hits all alike."""
    samples: dict[tuple[str, int], list[float]] = {}
    all_contenders = {size: contenders(size) for size in SIZES}
    for _ in range(ROUNDS):
        for size, made in all_contenders.items():
            for name, (pick, picks) in made.items():
                samples.setdefault((name, size), []).append(nanoseconds(pick, picks))
    medians: dict[str, dict[int, float]] = {}
    for (name, size), values in samples.items():
        medians.setdefault(name, {})[size] = statistics.median(values)
    return medians


def main() -> None:
    medians = measure()
    if "--json" in sys.argv:
        print(json.dumps(medians))
        return
    cycle, choices = medians["next(itertools.cycle)"], medians["random.choices"]
    print(f"{'':24}{'members':>8}{'ns':>10}{'picks/s':>14}{'x cycle':>9}{'x choices':>11}")
    for name, by_size in medians.items():
        for size, cost in by_size.items():
            ratios = f"{cost / cycle[size]:9.2f}{cost / choices[size]:11.4f}"
            print(f"{name:24}{size:8}{cost:10.0f}{1e9 / cost:14,.0f}{ratios}")
    for name in ("RoundRobin", "WeightedRandom", "SmoothWeighted"):
        growth, most = medians[name][10_000] / medians[name][10], max(medians[name].values())
        met = growth <= GOAL_GROWTH and most < GOAL_NANOSECONDS
        verdict = "goal met" if met else "goal MISSED"
        print(f"{name}: 10,000 members cost {growth:.2f} x 10 members, at most {most:.0f} ns: {verdict}")


if __name__ == "__main__":
    main()
