"""What registration and metrics cost a hello service, as a share of the requests that it answers in a second without.

    python tests/benchmarks/served.py [--json] [--seconds S]

FastAPI under uvicorn and Flask under gunicorn, each in two processes: as it is, and registered, with its requests
counted; then with a bulkhead as well. Both are asked by turns, a quarter of a second each, over connections that stay
and as fast as they answer. The goal is for the median of five such runs. Where the machine has other work that is
chance; what says more then is printed too: the share of the best turns, and what the service computes for a request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import attrs

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from support.server_processes import children, free_port, kill_with_children

GOAL = 0.95
RUNS = 5
SLICE = 0.25
CONNECTIONS = 8
REQUEST = b"GET / HTTP/1.1\r\nHost: hello\r\nAccept: */*\r\n\r\n"
GOSSIP = {
    "GDD_SERVICE_DISCOVERY_MODE": "memberlist",
    "GDD_SERVICE_NAME": "hello",
    **dict.fromkeys(("GDD_REGISTER_HOST", "GDD_MEM_HOST", "GDD_MEM_BIND"), "127.0.0.1"),
    "GDD_MEM_PORT": "0",
    "GDD_DRAIN_TIME": "1ms",
}


@attrs.frozen
class Run:
    """Requests in a second, in all turns and in the best one, and the processor time for one of them in seconds."""

    rate: float
    best: float
    cost: float


class Service:
    """A running hello service; `with` ends it."""

    def __init__(self, framework: str, hello: str) -> None:
        self._framework, self._hello = framework, hello

    def _start(self) -> None:
        self.port = free_port()
        program = str(HERE / "hello_service.py")
        command = {
            "FastAPI": [program, str(self.port)],
            "Flask": ["-m", "gunicorn", "-c", program, "-b", f"127.0.0.1:{self.port}", "hello_service:flask_app()"],
        }[self._framework]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("GDD_")}
        environment |= GOSSIP | {"GDD_PORT": str(self.port), "HELLO": self._hello}
        self._process = subprocess.Popen([sys.executable, *command], env=environment, cwd=HERE)

    def worked(self) -> float:
        """Seconds of processor time so far, of the process that answers."""
        pid = (children(self._process.pid) or [self._process.pid])[-1]  # gunicorn's only worker
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Service:
        for _ in range(3):  # somebody else may have taken the port meanwhile
            self._start()
            if self._answers(within=60.0):
                return self
            self.__exit__()
        raise RuntimeError("the service does not answer")

    def _answers(self, within: float) -> bool:
        until = time.monotonic() + within
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5):
                return True
            time.sleep(0.05)
        return False

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            kill_with_children(self._process)


class Asking(asyncio.Protocol):
    """One connection: a request as soon as the last one is answered, until its time is over."""

    def __init__(self, until: float, done: asyncio.Future[int]) -> None:
        self._until, self._done, self._answers, self._read = until, done, 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._read.rstrip().endswith(b"}"):  # the body comes last
            return
        assert self._read.startswith(b"HTTP/1.1 200"), self._read
        self._answers, self._read = self._answers + 1, b""
        if time.perf_counter() < self._until:
            self._transport.write(REQUEST)
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._done.set_result(self._answers)


async def ask(port: int, seconds: float) -> tuple[int, float]:
    """How many requests are answered, and in how many seconds."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    all_done = [loop.create_future() for _ in range(CONNECTIONS)]
    for done in all_done:
        await loop.create_connection(lambda done=done: Asking(began + seconds, done), "127.0.0.1", port)  # type: ignore[misc]
    return sum(await asyncio.gather(*all_done)), time.perf_counter() - began


def run(services: tuple[Service, ...], seconds: float) -> list[Run]:
    """Of each, by turns."""
    before = [service.worked() for service in services]
    answers, took, best = [0] * len(services), [0.0] * len(services), [0.0] * len(services)
    for _ in range(max(1, round(seconds / SLICE))):
        for number, service in enumerate(services):
            answered, lasted = asyncio.run(ask(service.port, SLICE))
            answers[number] += answered
            took[number] += lasted
            best[number] = max(best[number], answered / lasted)
    worked = [service.worked() - started for service, started in zip(services, before, strict=True)]
    return [
        Run(count / lasted, most, cost / count)
        for count, lasted, most, cost in zip(answers, took, best, worked, strict=True)
    ]


def compare(framework: str, hello: str, seconds: float) -> dict[str, float]:
    """The medians of the runs, and of the share in each."""
    with Service(framework, "plain") as plain, Service(framework, hello) as full:
        run((plain, full), SLICE)  # what is slower the first time
        pairs = [run((plain, full) if turn % 2 else (full, plain), seconds) for turn in range(RUNS)]
    pairs = [pair if turn % 2 else pair[::-1] for turn, pair in enumerate(pairs)]
    median = statistics.median
    return {
        "without_per_s": median(without.rate for without, _ in pairs),
        "with_per_s": median(full.rate for _, full in pairs),
        "share": median(full.rate / without.rate for without, full in pairs),
        "best_share": max(full.best for _, full in pairs) / max(without.best for without, _ in pairs),
        "without_cpu": median(without.cost for without, _ in pairs),
        "with_cpu": median(full.cost for _, full in pairs),
    }


def report(results: dict[str, dict[str, float]]) -> None:
    print(f"{'service':22}{'without/s':>12}{'with/s':>10}{'share':>8}{'best':>8}{'us without':>12}{'us with':>10}")
    for name, result in results.items():
        costs = f"{result['without_cpu'] * 1e6:12.0f}{result['with_cpu'] * 1e6:10.0f}"
        shares = f"{result['share']:8.3f}{result['best_share']:8.3f}"
        goal = "  goal met" if result["share"] >= GOAL else f"  goal missed: {GOAL}"
        print(f"{name:22}{result['without_per_s']:12.0f}{result['with_per_s']:10.0f}{shares}{costs}{goal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run (default: %(default)s)")
    arguments = parser.parse_args()
    results = {
        f"{framework}, {hello}": compare(framework, hello, arguments.seconds)
        for framework in ("FastAPI", "Flask")
        for hello in ("seen", "protected")
    }
    print(json.dumps(results)) if arguments.json else report(results)


if __name__ == "__main__":
    main()
