"""The gossip driver next to the Go library, in one run, as ratios.

    python tests/benchmarks/gossip.py [--runs 5] [--sizes 50,100] [--only pings,alive,clusters,exchange] [--json]

Needs `make peers`, but not for `--only exchange`, which has no other side. Both sides run memberlist's LAN profile on
loopback, with 200 bytes of metadata per node, in one process each. They take turns, so that a noisy machine hits both.
A cluster of 100 takes half a minute per run and side.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus

sys.path.insert(0, str(Path(__file__).parents[1]))
from pydoudou.drivers.memberlist import GossipNode
from pydoudou.drivers.memberlist.protocol import Config, Dialect, Swim
from pydoudou.drivers.memberlist.protocol.events import NodeLeft
from pydoudou.drivers.memberlist.protocol.messages import Alive
from pydoudou.drivers.memberlist.protocol.packet import compound

META = b"m" * 200
VSN = bytes((1, 5, 2, 0, 0, 0))
KNOWN = 1_000
ALIVES = 100_000
PER_PACKET = 5
MANY = 10_000
PARTS = ("pings", "alive", "clusters", "exchange")
REST_GOALS = {50: 1.2}
"""Processor time of a node at rest, in ms per second, by the size of the cluster."""
STILL = {"probe_interval": 600.0, "push_pull_interval": 0.0}
"""For a node that is to do nothing but what is measured."""
SOURCE = ("10.0.0.1", 7946)

Row = dict[str, Any]


def lan(name: str, **changes: Any) -> Config:
    return Config.lan(name, "127.0.0.1", 0, dialect=Dialect.HASHICORP, meta=META, **changes)


# -- our side, each in a process of its own ---------------------------------------------------------------------------


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def serve() -> None:
    """One node, until standard input closes; prints its port."""
    node = GossipNode(lan("ours"), bind="127.0.0.1")
    async with anyio.create_task_group() as tasks:
        await tasks.start(node.run)
        print(json.dumps({"port": node.swim.config.advertise_port}), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)
        tasks.cancel_scope.cancel()


def known_alive(number: int, incarnation: int) -> bytes:
    addr = bytes((10, 1, number >> 8, number & 255))
    return Alive(incarnation, f"node-{number:05}", addr, 7946, META, VSN).encode()


def a_node_that_knows(count: int) -> Swim:
    node = Swim(Config.lan("me", "127.0.0.1", 7946, dialect=Dialect.HASHICORP), random=random.Random(1),
                random_bytes=os.urandom, now=0.0)  # fmt: skip
    for number in range(count):
        node.packet_received(known_alive(number, 1), SOURCE, 0.0)
    node.take()
    return node


def digest(stale: bool) -> Row:
    """Alive messages per second, of nodes that are known."""
    node = a_node_that_knows(KNOWN)
    packets = []
    for start in range(0, ALIVES, PER_PACKET):
        numbers = range(start, start + PER_PACKET)
        incarnations = (1 if stale else 2 + number // KNOWN for number in numbers)
        parts = [known_alive(number % KNOWN, inc) for number, inc in zip(numbers, incarnations, strict=True)]
        packets.append(compound(parts)[0])
    began, cpu = time.perf_counter(), cpu_seconds()
    for packet in packets:
        node.packet_received(packet, SOURCE, 0.0)
        node.take()
    took = time.perf_counter() - began
    return {"msgs_per_s": ALIVES / took, "cpu_us_per_msg": (cpu_seconds() - cpu) / ALIVES * 1e6}


async def cluster(size: int) -> Row:
    """Form a cluster, let it rest, and stop one node silently."""
    row: Row = {}
    before = rss_bytes()
    gone: dict[int, float] = {}
    victim = f"node-{size - 1}"

    def watch(number: int) -> Callable[[Any], None]:
        def on_events(events: Any) -> None:
            for event in events:
                if isinstance(event, NodeLeft) and event.node.name == victim:
                    gone.setdefault(number, time.monotonic())

        return on_events

    nodes = [GossipNode(lan(f"node-{n}"), bind="127.0.0.1", on_events=watch(n)) for n in range(size)]
    async with anyio.create_task_group() as tasks:
        scopes = [anyio.CancelScope() for _ in nodes]

        async def run(number: int, *, task_status: TaskStatus[None]) -> None:
            with scopes[number]:
                await nodes[number].run(task_status=task_status)

        for number in range(size):
            await tasks.start(run, number)
        began = time.monotonic()
        limit = anyio.CapacityLimiter(16)

        async def join(node: GossipNode) -> None:
            async with limit:
                await node.join([("127.0.0.1", nodes[0].swim.config.advertise_port)])

        async with anyio.create_task_group() as joins:
            for node in nodes[1:]:
                joins.start_soon(join, node)
        while any(node.swim.known < size for node in nodes):
            await anyio.sleep(0.002 * size / 50)
        row["form_s"] = time.monotonic() - began
        while any(node.swim.queued for node in nodes):
            await anyio.sleep(0.1)  # gossip about the forming goes on after everybody knows everybody
        await anyio.sleep(1)
        row["rss_kb_per_node"] = (rss_bytes() - before) / size / 1024
        began, cpu = time.monotonic(), cpu_seconds()
        await anyio.sleep(3)
        row["cpu_ms_per_node_s"] = (cpu_seconds() - cpu) / (time.monotonic() - began) / size * 1e3
        killed = time.monotonic()
        scopes[-1].cancel()
        while len(gone) < size - 1:
            await anyio.sleep(0.005)
        row["kill_s"] = max(gone.values()) - killed
        tasks.cancel_scope.cancel()
    return row


class Holds:
    """For how many seconds an event loop was held up at most, and what the garbage collector's longest pass took."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.collector_s = 0.0
        self._pass_began = 0.0

    async def beat(self) -> None:
        while True:
            before = time.perf_counter()
            await anyio.sleep(0.001)
            self.longest_s = max(self.longest_s, time.perf_counter() - before - 0.001)

    def collecting(self, phase: str, info: object) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._pass_began = now
        else:
            self.collector_s = max(self.collector_s, now - self._pass_began)

    @contextlib.asynccontextmanager
    async def watch(self) -> AsyncIterator[None]:
        gc.callbacks.append(self.collecting)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.beat)
            yield
            tasks.cancel_scope.cancel()
        gc.callbacks.remove(self.collecting)


async def teach() -> None:
    """A node that knows ten thousand others, until standard input closes; prints its port, and at the end how long its
    loop was held up.
    """
    holds = Holds()
    node = GossipNode(lan("teacher", **STILL), bind="127.0.0.1")
    async with anyio.create_task_group() as tasks:
        await tasks.start(node.run)
        for number in range(MANY):
            node.swim.packet_received(known_alive(number, 1), SOURCE, time.monotonic())
        node.swim.take()
        async with holds.watch():
            print(json.dumps({"port": node.swim.config.advertise_port}), flush=True)
            await anyio.to_thread.run_sync(sys.stdin.read)
            print(json.dumps({"teacher_hold_ms": holds.longest_s * 1e3}), flush=True)
        tasks.cancel_scope.cancel()


async def learn(port: str) -> Row:
    """Join the node that knows ten thousand others."""
    holds = Holds()
    node = GossipNode(lan("pupil", **STILL), bind="127.0.0.1")
    before = rss_bytes()
    async with anyio.create_task_group() as tasks:
        await tasks.start(node.run)
        async with holds.watch():
            began, cpu = time.perf_counter(), cpu_seconds()
            await node.join([("127.0.0.1", int(port))])
            row = {"join_ms": (time.perf_counter() - began) * 1e3, "cpu_ms": (cpu_seconds() - cpu) * 1e3}
            row |= {"hold_ms": holds.longest_s * 1e3, "collector_ms": holds.collector_s * 1e3}
        assert node.swim.known >= MANY
        row["kb_per_member"] = (rss_bytes() - before) / MANY / 1024
        began = time.perf_counter()
        await node.join([("127.0.0.1", int(port))])
        row["again_ms"] = (time.perf_counter() - began) * 1e3
        tasks.cancel_scope.cancel()
    return row


def push_pull() -> Row:
    """A join that brings ten thousand members; each node is a process."""
    with subprocess.Popen(
        [sys.executable, __file__, "--ours", "teach"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        row = ours("learn", str(json.loads(process.stdout.readline())["port"]))
        last_words, _ = process.communicate()
    return row | json.loads(last_words)


SERVERS = {"serve": serve, "teach": teach}
OURS: dict[str, Callable[..., Any]] = {
    "new": lambda: digest(stale=False),
    "stale": lambda: digest(stale=True),
    "cluster": lambda size: anyio.run(cluster, int(size)),
    "learn": lambda port: anyio.run(learn, port),
}


def ours(what: str, *arguments: str) -> Row:
    command = [sys.executable, __file__, "--ours", what, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


# -- Go's side ------------------------------------------------------------------------------------------------------


def go(*arguments: str) -> dict[str, Row]:
    """One run of the Go benchmark: its rows by phase."""
    from support.peers import built_folder  # brings pytest, which the processes that are measured do without

    built = built_folder("memberlist-bench")
    if built is None:
        sys.exit("the Go benchmark is not built: run make peers")
    done = subprocess.run([str(built / "bench"), *arguments], capture_output=True, text=True, check=True)
    return {row["phase"]: row for row in map(json.loads, done.stdout.splitlines())}


def ping_pairs() -> Row:
    """Acks per second of a Go node and of one of ours, asked by the same Go client."""
    with subprocess.Popen(
        [sys.executable, __file__, "--ours", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        asked = go("ping", "-secs", "2", "-addr", f"127.0.0.1:{port}", "-node", "ours")["ping"]
        process.communicate()
    return {"ours": asked["acks_per_s"], "go": go("ping", "-secs", "2")["ping"]["acks_per_s"]}


# -- both -----------------------------------------------------------------------------------------------------------


Figures = Iterator[tuple[str, list[float], list[float], str]]
"""Name, our figures, Go's figures, and the goal as a test of (ours, Go's) medians."""


def pings(runs: int) -> Figures:
    pairs = [ping_pairs() for _ in range(runs)]
    yield "ping->ack per second", [p["ours"] for p in pairs], [p["go"] for p in pairs], ">= 4"


def alive(runs: int) -> Figures:
    for what, flag, goal in (("new", (), ">= 0.5"), ("stale", ("-stale",), ">= 1")):
        options = ("alive", "-known", str(KNOWN), "-msgs", str(ALIVES), "-perpkt", str(PER_PACKET), *flag)
        pairs = [(ours(what), go(*options)["alive"]) for _ in range(runs)]
        yield f"{what} alive per second", [a["msgs_per_s"] for a, _ in pairs], [b["msgs_per_s"] for _, b in pairs], goal
        yield (
            f"{what} alive per CPU second",
            [1e6 / a["cpu_us_per_msg"] for a, _ in pairs],
            [1e6 / b["cpu_us_per_msg"] for _, b in pairs],
            goal,
        )


def clusters(runs: int, size: int) -> Figures:
    pairs = []
    for _ in range(runs):
        theirs = go("cluster", "-n", str(size), "-config", "lan", "-steady", "3s")
        pairs.append((ours("cluster", str(size)), theirs))
    rows = (
        ("form, s", "form_s", "form", "converge_s", "<= 1.15"),
        ("silent stop known everywhere, s", "kill_s", "kill", "all_s", "<= 1.15"),
        (
            "CPU at rest, ms per node and s",
            "cpu_ms_per_node_s",
            "steady",
            "cpu_ms_per_node_s",
            f"ours <= {REST_GOALS.get(size, 2.5)}",
        ),
        ("memory, KB per node", "rss_kb_per_node", "steady", "rss_kb_per_node", "ours <= 400"),
    )
    for name, mine, phase, field, goal in rows:
        # A Go run that does not form within its two minutes has no later phases; it counts with what it has.
        theirs = [row[phase][field] for _, row in pairs if phase in row]
        yield f"{size} nodes: {name}", [a[mine] for a, _ in pairs], theirs, goal


def exchange(runs: int) -> Figures:
    big = [push_pull() for _ in range(runs)]
    yield f"push/pull of {MANY:,} members, ms", [b["join_ms"] for b in big], [], "ours <= 180"
    yield "  processor time of the joining side, ms", [b["cpu_ms"] for b in big], [], "ours <= 180"
    yield "  its loop held up at most, ms", [b["hold_ms"] for b in big], [], "ours <= 20"
    yield "  of that, Python's garbage collector, ms", [b["collector_ms"] for b in big], [], ""
    yield "  the other side's loop, ms", [b["teacher_hold_ms"] for b in big], [], "ours <= 20"
    yield "  the same again, nothing has changed, ms", [b["again_ms"] for b in big], [], ""
    yield "memory, KB per known member", [b["kb_per_member"] for b in big], [], "ours <= 1.5"


def measure(runs: int, sizes: list[int], parts: list[str]) -> Figures:
    if "pings" in parts:
        yield from pings(runs)
    if "alive" in parts:
        yield from alive(runs)
    if "clusters" in parts:
        for size in sizes:
            yield from clusters(runs, size)
    if "exchange" in parts:
        yield from exchange(runs)


def verdict(mine: float, theirs: float | None, goal: str) -> str:
    if not goal:
        return ""
    subject, value = (mine, goal.removeprefix("ours ")) if goal.startswith("ours") else (mine / (theirs or 1.0), goal)
    relation, bound = value.split()
    met = subject >= float(bound) if relation == ">=" else subject <= float(bound)
    return f"goal {goal}: {'met' if met else 'MISSED'}"


def main() -> None:
    parser = argparse.ArgumentParser(description="The gossip driver next to the Go library.")
    parser.add_argument("--ours", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sizes", default="50,100")
    parser.add_argument("--only", default=",".join(PARTS), help="some of the parts (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    options = parser.parse_args()
    if options.ours:
        what, *arguments = options.ours
        if what in SERVERS:
            anyio.run(SERVERS[what])
        else:
            print(json.dumps(OURS[what](*arguments)))
        return
    parts = options.only.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"--only: {', '.join(unknown)}; accepted: {', '.join(PARTS)}")
    print(f"medians of {options.runs} runs (worst), ours / Go / ratio", flush=True)
    for name, mine, theirs, goal in measure(options.runs, [int(size) for size in options.sizes.split(",")], parts):
        median = statistics.median(mine)
        other = statistics.median(theirs) if theirs else None
        if options.json:
            print(json.dumps({"figure": name, "ours": mine, "go": theirs, "goal": goal}), flush=True)
            continue
        worst = min if goal.startswith(">=") else max
        beside = f"{other:12,.2f} ({worst(theirs):,.2f}) {median / other:8.2f}" if other else ""
        print(f"{name:44}{median:12,.2f} ({worst(mine):,.2f}){beside}  {verdict(median, other, goal)}", flush=True)


if __name__ == "__main__":
    main()
