"""What callers notice of every common fault, through each client, next to an nginx in front of the same members.

    python tests/e2e/survival.py --seconds 60

Four members answer in 5 ms; 200 calls a second come through the client, and as many through nginx. One after the other
a member is killed, one is stopped, one leaves and another comes, one answers 503, and one is twenty times slower; in
the end all are replaced one by one. So it goes for httpx, for requests and for aiohttp. It fails if a call through one
of them fails. It says so, and with ``--strict`` fails too, if the 99th percentile of a fault's time is more than three
times the undisturbed one and more than 50 ms above it (what an attempt at the stopped member took is left out), or if
nginx did better: times are only worth something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.nginx import Nginx, nginx_program
from support.service_process import ServiceProcess
from support.steady_load import Call, SteadyLoad

CLIENTS = ("httpx", "requests", "aiohttp")
RATE = 200.0
ATTEMPT, DEADLINE = 0.5, 5.0
ANSWER_SECONDS = 0.005
SPARE = 6
"""Members that come while calls are made."""
SETTINGS = {
    "GDD_SERVICE_DISCOVERY_MODE": "memberlist",
    "GDD_REGISTER_HOST": "127.0.0.1",
    "GDD_MEM_HOST": "127.0.0.1",
    "GDD_MEM_BIND": "127.0.0.1",
    "GDD_MEM_PORT": "0",
    "GDD_MEM_LOG_DISABLE": "true",
}
"""All intervals are the default ones."""


@attrs.frozen
class Fault:
    """When something was wrong, by the machine's monotonic clock."""

    name: str
    began: float
    ended: float


class Members:
    """The members of the service ``orders``, and whoever has to be told of new ones."""

    def __init__(self, stack: contextlib.ExitStack, changed: Callable[[list[str]], None] | None) -> None:
        self._stack, self._changed = stack, changed
        self._numbers = itertools.count()
        self._spare: list[ServiceProcess] = []
        self.running: list[ServiceProcess] = []

    @property
    def seeds(self) -> str:
        """Where a newcomer finds the others."""
        return ",".join(process.gossip for process in self.running)

    def prepare(self, count: int) -> None:
        """Have so many processes ready to register: starting one takes a processor that callers would miss."""
        for _ in range(count):
            variables = SETTINGS | {"GDD_SERVICE_NAME": "orders", "GDD_MEM_NAME": f"orders-{next(self._numbers)}"}
            if self.seeds:
                variables |= {"GDD_MEM_SEED": self.seeds}
            process = ServiceProcess(variables["GDD_MEM_NAME"], variables, hold=True)
            self._spare.append(self._stack.enter_context(process))

    def start(self) -> ServiceProcess:
        """One of them registers."""
        process = self._spare.pop(0)
        process.go_on()
        process.serve(ANSWER_SECONDS)
        self.running.append(process)
        self._tell()
        return process

    def leave(self, process: ServiceProcess) -> None:
        """One goes in peace."""
        self.running.remove(process)
        self._tell()
        process.leave()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed([process.address for process in self.running])


class Trouble:
    """The faults, one after the other.

    Args:
        seconds: for all of them.
    """

    def __init__(self, members: Members, seconds: float) -> None:
        self._members, self._unit = members, seconds / 60.0
        self.faults: list[Fault] = []
        self.stopped = ""

    def run(self) -> None:
        """Let it all happen."""
        a, b, c, d = self._members.running
        with self._fault("undisturbed"):
            self._wait(8)
        with self._fault("killed (SIGKILL)"):
            a.kill(signal.SIGKILL)
            self._wait(4)
        with self._fault("restarted on another port"):
            self._members.running.remove(a)
            a = self._members.start()
            self._wait(4)
        with self._fault("stopped (SIGSTOP)"):
            self.stopped = b.address
            b.kill(signal.SIGSTOP)
            self._wait(10)
            b.kill(signal.SIGCONT)
            self._wait(4)
        with self._fault("leaves"):
            self._members.leave(c)
            self._wait(4)
            self._members.start()
            self._wait(2)
        with self._fault("answers 503"):
            d.serve(ANSWER_SECONDS, 503)
            self._wait(10)
            d.serve(ANSWER_SECONDS)
            self._wait(2)
        with self._fault("20 times slower"):
            a.serve(20 * ANSWER_SECONDS)
            self._wait(10)
            a.serve(ANSWER_SECONDS)
            self._wait(2)
        with self._fault("all replaced, one by one"):
            for old in tuple(self._members.running):
                self._members.start()
                self._wait(1)
                self._members.leave(old)
                self._wait(1)

    @contextlib.contextmanager
    def _fault(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.faults.append(Fault(name, began, time.monotonic()))

    def _wait(self, units: float) -> None:
        time.sleep(units * self._unit)


def p99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else 0.0


@attrs.frozen
class Row:
    """How one client fared during one fault; times in seconds."""

    fault: str
    client: str
    calls: int
    failed: int
    median: float
    p99: float
    p99_aside: float
    attempts: float
    errors: Sequence[str]


def rows(trouble: Trouble, calls: Mapping[str, Sequence[Call]]) -> list[Row]:
    """What became of the calls that were due during each fault."""
    found = []
    for fault in trouble.faults:
        for client, all_calls in calls.items():
            during = [call for call in all_calls if fault.began <= call.due < fault.ended]
            seconds = [call.seconds for call in during]
            aside = [call.seconds - call.timed_out.get(trouble.stopped, 0.0) for call in during]
            errors = [call.error for call in during if call.error]
            found.append(
                Row(
                    fault.name,
                    client,
                    len(during),
                    len(errors),
                    statistics.median(seconds),
                    p99(seconds),
                    p99(aside),
                    statistics.fmean(call.attempts for call in during),
                    errors,
                )
            )
    return found


def faults_of(found: Sequence[Row]) -> tuple[list[str], list[str]]:
    """What is not as it has to be: calls that failed, and times."""
    wrong, slow = [], []
    undisturbed = {row.client: row.p99 for row in found if row.fault == "undisturbed"}
    proxied = {row.fault: row for row in found if row.client == "proxy"}
    for row in found:
        if row.client == "proxy":
            continue
        allowed = max(3 * undisturbed[row.client], undisturbed[row.client] + 0.05)
        what = f"{row.fault}, {row.client}"
        if row.failed:
            wrong.append(f"{what}: {row.failed} of {row.calls} calls failed: {row.errors[0]}")
        if row.p99_aside > allowed:
            slow.append(f"{what}: the 99th percentile is {row.p99_aside * 1e3:.0f} ms; {allowed * 1e3:.0f} are allowed")
        nginx = proxied.get(row.fault)
        if nginx is not None and row.failed > nginx.failed:
            wrong.append(f"{what}: nginx failed in {nginx.failed} calls only")
        if nginx is not None and row.p99 > max(nginx.p99 * 1.1, nginx.p99 + 0.02):
            slow.append(f"{what}: nginx had a 99th percentile of {nginx.p99 * 1e3:.0f} ms, ours is {row.p99 * 1e3:.0f}")
    return wrong, slow


def measure(seconds: float, client: str, with_nginx: bool) -> list[Row]:
    """Run it for one client."""
    policy = {"attempt_timeout": ATTEMPT, "deadline": DEADLINE}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nginx = stack.enter_context(Nginx(folder, ATTEMPT, DEADLINE)) if with_nginx else None
        members = Members(stack, None if nginx is None else nginx.balance)
        for _ in range(4):
            members.prepare(1)
            members.start()
        members.prepare(SPARE)
        variables = SETTINGS | {"GDD_MEM_SEED": members.seeds}
        loads = [stack.enter_context(SteadyLoad(client, RATE, variables, policy))]
        if nginx is not None:
            loads.append(stack.enter_context(SteadyLoad("proxy", RATE, {}, policy, proxy=nginx.url)))
        for load in loads:
            load.begin()
        time.sleep(2)  # connections are made, code is warm
        trouble = Trouble(members, seconds)
        trouble.run()
        return rows(trouble, {load.client: load.end() for load in loads})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for the faults that one client meets")
    parser.add_argument("--clients", nargs="+", default=CLIENTS, choices=CLIENTS)
    parser.add_argument("--strict", action="store_true", help="fail for times as well")
    arguments = parser.parse_args()
    with_nginx = nginx_program() is not None
    if not with_nginx:
        print("without nginx, which is not installed (Debian: nginx-light): nothing to compare with")
    print(f"{'fault':28}{'client':10}{'calls':>7}{'failed':>8}{'median':>9}{'p99':>9}{'p99*':>9}{'attempts':>10}")
    wrong, slow = [], []
    for client in arguments.clients:
        found = measure(arguments.seconds, client, with_nginx)
        for row in found:
            times = "".join(f"{value * 1e3:7.1f}ms" for value in (row.median, row.p99, row.p99_aside))
            print(f"{row.fault:28}{row.client:10}{row.calls:7}{row.failed:8}{times}{row.attempts:10.3f}", flush=True)
        for said, lines in zip((wrong, slow), faults_of(found), strict=True):
            said += lines
    print("p99*: without what attempts at the stopped member took")
    for line in slow:
        print(f"slow: {line}")
    for line in wrong:
        print(f"FAILED: {line}")
    return 1 if wrong or (slow and arguments.strict) else 0


if __name__ == "__main__":
    sys.exit(main())
