"""What importing the package and starting a node cost, next to the interpreter and the libraries alone, in one run.

    python tests/benchmarks/imports.py [--json]

Nothing here waits for anything, so processor time is what the wall clock shows on an idle machine; both are printed.
The goals are ratios to the processor time of the libraries that a node needs, measured in the same run: milliseconds
say more of the machine than of the package. The package imports its rooms when they are asked for, so the names that
most programs use have a line of their own.
"""

from __future__ import annotations

import collections
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time

import attrs

ROUNDS = 15
SHOWN = 12
LOOPBACK = {"GDD_MEM_HOST": "127.0.0.1", "GDD_MEM_BIND": "127.0.0.1", "GDD_MEM_PORT": "0"}
IMPORT = "import pydoudou"
NAMES = "import pydoudou; pydoudou.new_node, pydoudou.RoundRobin, pydoudou.Settings"
NODE = "import pydoudou; pydoudou.new_node(register=False)"
LIBRARIES = "import asyncio, logging, importlib.metadata, attrs, anyio, anyio.from_thread, tenacity, msgpack; " + (
    "from cryptography.hazmat.primitives.ciphers.aead import AESGCM"
)
INTERPRETER = "nothing: the interpreter"
BASELINE = "the libraries of a node"
PROGRAMS = {
    INTERPRETER: "pass",
    BASELINE: LIBRARIES,
    "import pydoudou": IMPORT,
    "and the names of most programs": NAMES,
    "new_node(), import included": NODE,
}
GOALS = {"import pydoudou": 0.6, "new_node(), import included": 1.7}
SDK = "the SDK of Nacos"

_TIMED = """
import sys, time
began, worked = time.perf_counter(), time.process_time()
{}
print(time.perf_counter() - began, time.process_time() - worked, flush=True)
"""


@attrs.frozen
class Cost:
    """Milliseconds after the interpreter's own start, medians.

    Attributes:
        process: from outside, interpreter and exit included.
    """

    wall: float
    processor: float
    process: float


def _environment() -> dict[str, str]:
    """That of this process, but bytecode is written: without it every run compiles the package anew, and only that."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GDD_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | LOOPBACK


def _once(program: str) -> tuple[float, float, float]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(program)], env=_environment(), capture_output=True, text=True, check=True
    )
    wall, processor = map(float, done.stdout.split())
    return 1000 * wall, 1000 * processor, 1000 * (time.perf_counter() - began)


def measure() -> dict[str, Cost]:
    """By program; they take turns, so that noise hits all alike. The first round writes caches and does not count."""
    programs = dict(PROGRAMS)
    if importlib.util.find_spec("v2") is not None:
        programs[SDK] = "import v2.nacos"
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in programs}
    for turn in range(ROUNDS + 1):
        for name, program in programs.items():
            sample = _once(program)
            if turn:
                samples[name].append(sample)
    return {name: Cost(*map(statistics.median, zip(*taken, strict=True))) for name, taken in samples.items()}


def contributors(program: str) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds by distribution and by module, of the modules' own code, in the quickest of some runs under
    ``-X importtime``, which makes everything slower.
    """
    runs = [_import_times(program) for _ in range(5)]
    modules = min(runs, key=lambda run: sum(run.values()))
    packages: collections.Counter[str] = collections.Counter()
    for module, cost in modules.items():
        top = module.partition(".")[0]
        packages["the standard library" if top in sys.stdlib_module_names else top] += cost
    return dict(packages), modules


def _import_times(program: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = {}
    for line in done.stderr.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdigit():
            found[rest.rpartition("|")[2].strip()] = int(own) / 1000
    return found


def _largest(costs: dict[str, float]) -> str:
    largest = sorted(costs.items(), key=lambda item: -item[1])[:SHOWN]
    return ", ".join(f"{name} {cost:.1f}" for name, cost in largest)


def main() -> None:
    costs = measure()
    if "--json" in sys.argv:
        print(json.dumps({name: attrs.asdict(cost) for name, cost in costs.items()}))
        return
    interpreter, libraries = costs[INTERPRETER].process, costs[BASELINE].processor
    print(f"{'medians in ms':31}{'wall':>7}{'CPU':>7}{'x libraries':>13}{'process':>9}{'x interpreter':>15}")
    for name, cost in costs.items():
        print(
            f"{name:31}{cost.wall:7.0f}{cost.processor:7.0f}{cost.processor / libraries:13.2f}"
            f"{cost.process:9.0f}{cost.process / interpreter:15.1f}"
        )
    for name, goal in GOALS.items():
        ratio = costs[name].processor / libraries
        met = "goal met" if ratio <= goal else "goal MISSED"
        print(f"{name}: {ratio:.2f} x {BASELINE}, at most {goal:.1f} wanted: {met}")
    for name in ("and the names of most programs", "new_node(), import included"):
        packages, modules = contributors(PROGRAMS[name])
        print(f"\n{name}, ms of the modules' own code under -X importtime ({sum(modules.values()):.0f} in all)")
        print(f"  by package: {_largest(packages)}")
        print(f"  by module:  {_largest(modules)}")


if __name__ == "__main__":
    main()
