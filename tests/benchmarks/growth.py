"""What a node of the gossip costs in clusters of growing size, in the simulator.

    python tests/benchmarks/growth.py [--sizes 125,250,500,1000,2000,4000] [--json]

Every size is simulated in a process of its own, with memberlist's LAN profile and 200 bytes of metadata per node: the
cluster is formed at once, has 35 virtual seconds to come to rest, and is measured twice: for 20 seconds, in which there
are no exchanges of states, and for one whole interval of those, in which every node begins one. Then one more node
joins, and one is stopped silently.

All nodes share one processor and one Python, so what counts is the growth down a column. The processor time includes
the simulator's own share, which is the same per packet at every size. The garbage collector leaves alone what was there
when the cluster had formed: it would look through the memory of all nodes for each. A size that needs more memory than
is free is left out.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.simulator import Process, Simulation

from pydoudou.drivers.memberlist.protocol import Config, Dialect
from pydoudou.drivers.memberlist.protocol.addresses import Address
from pydoudou.drivers.memberlist.protocol.events import Event, NodeJoined, NodeLeft, NodeSuspected
from pydoudou.drivers.memberlist.protocol.scaling import push_pull_scale

SIZES = "125,250,500,1000,2000,4000"
META = b"m" * 200
SETTLE_S, QUIET_S = 35.0, 20.0
BYTES_PER_RECORD = 900
"""Of what one simulated node keeps of another."""
PATIENCE_S = 300.0
FLATNESS_GOAL = 3.0

Row = dict[str, Any]


def config(number: int) -> Config:
    host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return Config.lan(f"node-{number:05}", host, 7946, dialect=Dialect.HASHICORP, meta=META)


def memory_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_bytes() -> int:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def grown(size: int) -> Row:
    """One cluster of this size."""
    simulation = Simulation(size)
    before = memory_bytes()
    gc.disable()
    simulation.form(config(number) for number in range(size))
    gc.freeze()
    gc.enable()
    simulation.run(SETTLE_S)
    quiet = at_rest(simulation, size, QUIET_S)
    row = {"nodes": size, "quiet_cpu_ms": quiet["cpu_ms"]}
    row |= at_rest(simulation, size, push_pull_scale(config(0).push_pull_interval, size))
    row["memory_mb"] = (memory_bytes() - before) / size / 2**20
    return row | join(simulation, size) | crash(simulation)


def at_rest(simulation: Simulation, size: int, seconds: float) -> Row:
    """What a node costs per virtual second while nothing happens."""
    datagram_bytes = 0

    def count(sender: Process, to: Address, datagram: bytes) -> None:
        nonlocal datagram_bytes
        datagram_bytes += len(datagram)

    simulation.on_packet = count
    packets, stream_bytes, cpu = simulation.packets, simulation.stream_bytes, time.process_time()
    simulation.run(seconds)
    cpu = time.process_time() - cpu
    simulation.on_packet = None
    per_node_second = size * seconds
    return {
        "cpu_ms": cpu / per_node_second * 1e3,
        "packets": (simulation.packets - packets) / per_node_second,
        "datagram_bytes": datagram_bytes / per_node_second,
        "stream_bytes": (simulation.stream_bytes - stream_bytes) / per_node_second,
    }


def join(simulation: Simulation, size: int) -> Row:
    """How long it takes until everybody has heard of a new node."""
    heard: dict[str, float] = {}
    newcomer, started = config(size), simulation.now

    def note(process: Process, event: Event) -> None:
        if isinstance(event, NodeJoined) and event.node.name == newcomer.name != process.name:
            heard.setdefault(process.name, simulation.now - started)

    simulation.on_event = note
    simulation.add(newcomer, [simulation.live[0].address])
    simulation.run_until(lambda: len(heard) == size, PATIENCE_S)
    simulation.on_event = None
    return {"join_half_s": statistics.median(heard.values()), "join_s": max(heard.values())}


def crash(simulation: Simulation) -> Row:
    """How long it takes until somebody suspects a node that was stopped, until somebody holds it dead, until all do."""
    suspected: list[float] = []
    dead: dict[str, float] = {}
    victim, started = simulation.live[1], simulation.now

    def note(process: Process, event: Event) -> None:
        if isinstance(event, NodeSuspected) and event.node.name == victim.name:
            suspected.append(simulation.now - started)
        elif isinstance(event, NodeLeft) and event.node.name == victim.name:
            dead.setdefault(process.name, simulation.now - started)

    simulation.on_event = note
    simulation.crash(victim)
    simulation.run_until(lambda: len(dead) == len(simulation.live), PATIENCE_S)
    simulation.on_event = None
    return {"suspected_s": min(suspected), "dead_first_s": min(dead.values()), "dead_s": max(dead.values())}


COLUMNS = (
    ("nodes", "nodes", "{:,}"),
    ("quiet_cpu_ms", "CPU ms quiet", "{:.3f}"),
    ("cpu_ms", "CPU ms", "{:.3f}"),
    ("packets", "packets", "{:.2f}"),
    ("datagram_bytes", "datagrams B", "{:,.0f}"),
    ("stream_bytes", "streams B", "{:,.0f}"),
    ("memory_mb", "memory MB", "{:.2f}"),
    ("join_half_s", "join: half s", "{:.1f}"),
    ("join_s", "all s", "{:.1f}"),
    ("suspected_s", "crash: suspected s", "{:.1f}"),
    ("dead_first_s", "dead, first s", "{:.1f}"),
    ("dead_s", "all s", "{:.1f}"),
)


def measured(size: str) -> Row:
    done = subprocess.run([sys.executable, __file__, "--one", size], capture_output=True, text=True, check=True)
    row: Row = json.loads(done.stdout)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="What a node costs in clusters of growing size.")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--json", action="store_true", help="one JSON object per size")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(grown(options.one)))
        return
    if not options.json:
        print("at rest per node and second (CPU, packets, bytes), memory per node; times from the join, the crash")
        print(" | ".join(title for _, title, _ in COLUMNS), flush=True)
    rows = {}
    for size in options.sizes.split(","):
        needed = int(size) ** 2 * BYTES_PER_RECORD
        if needed > free_bytes():
            print(f"{size} nodes are left out: they need about {needed / 2**30:.0f} GB of memory", file=sys.stderr)
            continue
        row = rows[int(size)] = measured(size)
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            print(" | ".join(form.format(row[name]).rjust(len(title)) for name, title, form in COLUMNS), flush=True)
    if not options.json and {125, 2000} <= rows.keys():
        for name, what in (("quiet_cpu_ms", "without exchanges of states"), ("cpu_ms", "with them")):
            ratio = rows[2000][name] / rows[125][name]
            met = "met" if ratio <= FLATNESS_GOAL else "MISSED"
            print(f"CPU per node, 2,000 nodes next to 125, {what}: {ratio:.2f}  goal <= {FLATNESS_GOAL:g}: {met}")


if __name__ == "__main__":
    main()
