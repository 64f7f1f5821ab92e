"""One node under every flood at once, while six others gossip and a client calls all of them a hundred times a second.

    python tests/e2e/hostile.py --seconds 600

Two rounds of the same floods, each for nearly half of that time. It fails if a call fails, a member is declared dead,
or the node is larger afterwards: by 64 MB after the first round, by 8 MB more after the second, or in what its status
says it holds; or 64 MB larger at any time. As root on Linux it runs in a network namespace of its own, which nothing
leaves.

On a machine that is busy with other things the floods are thinned out, so that the node is not kept from the processor
for more than seven tenths of the time. If the second round could therefore send more than the first and left more than
it may, a third one is compared with that, and a fourth at the most. Where the node, or the caller, was kept from the
processor for more than three quarters of the half minute before a death or a failed call, that says nothing about
floods: it is told, and is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.floods import Floods
from support.gossip import FAST_GOSSIP, gossiping
from support.processor_time import ProcessorTime
from support.service_process import ServiceProcess
from support.steady_caller import SteadyCaller
from support.waiting import eventually

from pydoudou import EventKind, MemberEvent

MOST_MB, MOST_MB_AGAIN = 64.0, 8.0
MOST_MB_AT_ONCE = 64.0
"""Strangers' connections may hold 21 MB as they are counted; what is being inflated and decoded, and what the allocator
has not given back, come on top.
"""
PEERS = 6
PATIENT = FAST_GOSSIP | {
    "GDD_MEM_PROBE_INTERVAL": "1s",
    "GDD_MEM_PROBE_TIMEOUT": "500ms",
    "GDD_MEM_GOSSIP_INTERVAL": "200ms",
    "GDD_MEM_SUSPICION_MULT": "6",
    "GDD_MEM_SYNC_INTERVAL": "10s",
    "GDD_MEM_DEAD_TIMEOUT": "5s",
}
"""As in a data centre, but forgetful: what was made up is to be gone between the rounds."""
QUIET = {"GDD_MEM_LOG_DISABLE": "true"}
"""One node that complains is enough."""
CALM_WITHIN = 400.0
MORE, MOST_ROUNDS = 1.2, 4
"""A round that sent a fifth more than the one before, on a machine that had become less busy, is not the same again."""
NAMES = ("the node", "the caller")
STARVED, BEFORE = 0.75, 30.0
_OWN_NAMESPACE = "PYDOUDOU_HOSTILE_NAMESPACE"


def in_own_network() -> bool:
    """Go on in a network namespace, where there is only loopback; returns whether this is one."""
    if os.environ.get(_OWN_NAMESPACE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return True
    with contextlib.suppress(OSError):
        if subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0:
            os.environ[_OWN_NAMESPACE] = "1"
            os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    print("no network namespace of its own (that needs root, unshare and ip): without names that do not exist")
    return False


def megabytes(pid: int, what: str = "VmRSS") -> float:
    """The memory of a process."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def held(node: ServiceProcess) -> dict[str, Any]:
    """What the node says that it holds, and of whom."""
    status = node.status()
    return {name: status[name] for name in ("gauges", "nodes", "members", "restarts")}


def at_rest(node: ServiceProcess) -> str:
    """What the node holds beyond its cluster: "" for nothing.

    Its own push/pulls come and go, so this is asked for until there is a moment in which nothing is under way.
    """
    now = held(node)
    expected = {
        "gauges": [dict.fromkeys(gauges, 0) for gauges in now["gauges"]],
        "nodes": [PEERS + 2],  # itself and the client
        "members": PEERS + 1,
        "restarts": [0],
    }
    return ", ".join(f"{name} {now[name]}" for name in now if now[name] != expected[name])


def measure(seconds: float, seed: int, unknown_names: bool, log: IO[str]) -> Iterator[str]:
    """Run it. Yields what is wrong; what the node says goes to `log`."""
    with contextlib.ExitStack() as stack:
        variables = PATIENT | {"GDD_SERVICE_NAME": "orders"}
        victim = stack.enter_context(ServiceProcess("victim", variables | {"GDD_MEM_NAME": "victim"}, errors=log))
        variables |= QUIET | {"GDD_MEM_SEED": victim.gossip}
        names = [f"peer-{number}" for number in range(PEERS)]
        for name in names:
            stack.enter_context(ServiceProcess(name, variables | {"GDD_MEM_NAME": name}))
        client = stack.enter_context(gossiping(**PATIENT, **QUIET, GDD_MEM_SEED=victim.gossip))
        times = stack.enter_context(ProcessorTime(dict(zip(NAMES, (victim.pid, os.getpid()), strict=True))))
        dead: list[str] = []
        watch = stack.enter_context(client.watch("orders"))
        threading.Thread(target=_note_dead, args=(watch, dead), daemon=True).start()
        eventually(lambda: not at_rest(victim), timeout=CALM_WITHIN)
        caller = stack.enter_context(SteadyCaller(client, "orders"))
        # What an undisturbed node takes has been taken before it is measured: its first calls, its first push/pull.
        eventually(lambda: victim.status()["counters"][0]["push_pulls"] and caller.calls.total() > 300, timeout=60)
        before = first = megabytes(victim.pid)
        host, _, port = victim.gossip.rpartition(":")
        floods = Floods((host, int(port)), ["victim", *names], seed, unknown_names)
        number = sent_before = 0
        again = True
        while again:
            number += 1
            began = time.time()
            sent = floods.run(seconds, lambda: times.pace)
            lasted = time.time() - began
            print(f"round {number}:", ", ".join(f"{count:,} {kind}" for kind, count in sent.items()), flush=True)
            ended = time.monotonic()
            with contextlib.suppress(AssertionError):
                eventually(lambda: not at_rest(victim), timeout=CALM_WITHIN)
            rest = time.monotonic() - ended
            if still := at_rest(victim):
                yield f"round {number}: {rest:.0f} s after it the node still holds {still}"
            after, peak = megabytes(victim.pid), megabytes(victim.pid, "VmHWM")
            free = victim.status()["free_heap_bytes"] / 2**20
            print(
                f"round {number}: {before:.1f} MB before it, {peak:.1f} at most, {after:.1f} after it "
                f"and {rest:.0f} s of rest, up to {free:.1f} of them free heap; the node waited for the processor "
                f"{times.waited_share(NAMES[0], lasted, began + lasted):.0%} of the time that it wanted it",
                flush=True,
            )
            more_sent = sent.total() > sent_before * MORE
            most = MOST_MB if number == 1 else MOST_MB_AGAIN
            again = number == 1 or (after - before >= most and more_sent and number < MOST_ROUNDS)
            if again and number > 1:
                print(f"round {number} could send more than the one before: compared is the next one", flush=True)
                most = MOST_MB
            for grown, allowed, when in ((after - before, most, "after it"), (peak - first, MOST_MB_AT_ONCE, "in it")):
                if grown >= allowed:
                    yield f"round {number}: {when} the node was {grown:.1f} MB larger, {allowed:.0f} are allowed"
            before, sent_before = after, sent.total()
        print(f"{caller.calls.total():,} calls, {len(caller.failures)} failed; declared dead: {dead or 'nobody'}")
        for what, happened in [("declared dead:", each) for each in dead] + [
            ("", each) for each in caller.failures[:10]
        ]:
            at = float(happened.split()[0])
            starved = [name for name in NAMES if times.waited_share(name, BEFORE, at) > STARVED]
            if starved:
                print(f"not counted, {starved[0]} was kept from the processor: {what} {happened}"[:400])
            else:
                yield f"{what} {happened}".strip()
        caller.failures.clear()


def _note_dead(watch: Iterable[MemberEvent], dead: list[str]) -> None:
    dead.extend(f"{time.time():.3f} {event.member.node}" for event in watch if event.kind is EventKind.LEFT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="for two rounds together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("hostile: left out, it reads /proc and sends from many loopback addresses")
        return 0
    alone = in_own_network()
    print(f"seed {arguments.seed}", flush=True)
    faults: list[str] = []
    with tempfile.TemporaryFile("w+") as log:
        try:
            faults.extend(measure(arguments.seconds / 2 - 10, arguments.seed, alone, log))
        except Exception as error:
            traceback.print_exc(file=sys.stdout)
            faults.append(repr(error))
        if faults:
            log.seek(0)
            print(
                "the last of what the node said:", *(line.rstrip()[:200] for line in log.readlines()[-20:]), sep="\n  "
            )
    for fault in faults:  # at the very end, for who sees no more of it
        print(f"FAILED (seed {arguments.seed}): {fault[:400]}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
