"""Rolling restarts of two instances by SIGTERM, with nothing but the README's code under `new_node()`.

    python tests/e2e/rolling.py --restarts 4

Each instance in turn is ended and started again; the next one is ended when both are seen again. Meanwhile a program
calls: through requests and through httpx, which try another member when a call fails, and by a pick and a plain
connection, which do not. It fails if a call through the integrations fails; of the others it prints how many did.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
import requests
from support.gossip import FAST_GOSSIP, gossip_address
from support.server_processes import free_port
from support.waiting import eventually

import pydoudou
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount

__all__ = ["SERVICE", "instance"]

INSTANCES = 2
EVERY = 0.005
SERVICE = """
import http.server, os
import pydoudou

class Items(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["GDD_PORT"])), Items)
with pydoudou.new_node({"zone": "a"}):
    server.serve_forever()
"""


def instance(port: int, seed: str) -> subprocess.Popen[bytes]:
    """One process of the service."""
    variables = {"GDD_SERVICE_NAME": "orders", "GDD_PORT": str(port), "GDD_MEM_SEED": seed}
    return subprocess.Popen([sys.executable, "-c", SERVICE], env=os.environ | FAST_GOSSIP | variables)


class Calls:
    """Calls over and over through one client while the block runs."""

    def __init__(self, call: Callable[[], bytes]) -> None:
        self.answered = 0
        self.failed: collections.Counter[str] = collections.Counter()
        self._call = call
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                assert self._call() == b"ok"
            except Exception as error:
                self.failed[f"{type(error).__name__}: {error}"[:200]] += 1
            else:
                self.answered += 1

    def __enter__(self) -> Calls:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def pick_and_call(orders: pydoudou.RoundRobin) -> bytes:
    """One attempt, with what Python has."""
    member = orders.pick()
    with contextlib.closing(http.client.HTTPConnection(member.host, member.port, timeout=5)) as connection:
        connection.request("GET", "/items")
        return connection.getresponse().read()


@contextlib.contextmanager
def clients() -> Iterator[dict[str, Callable[[], bytes]]]:
    """Ways to call, by name; the last one does not try again."""
    orders = pydoudou.RoundRobin("orders")
    with requests.Session() as session, httpx.Client(transport=DiscoveryTransport()) as client:
        mount(session, "orders")
        yield {
            "requests": lambda: session.get("http://orders/items").content,
            "httpx": lambda: client.get("http://orders/items").content,
            "pick and call": lambda: pick_and_call(orders),
        }


def roll(restarts: int) -> dict[str, Calls]:
    """Restart everybody so often while everybody is called."""
    os.environ.update(FAST_GOSSIP)
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(pydoudou.new_node(register=False))
        seed = gossip_address(registry)

        def both_are_seen() -> None:
            eventually(lambda: {m.port for m in registry.members("orders")} == set(running), timeout=30)

        running = {port: instance(port, seed) for port in (free_port() for _ in range(INSTANCES))}
        stack.callback(lambda: [(process.kill(), process.wait()) for process in running.values()])
        both_are_seen()
        calls = {name: stack.enter_context(Calls(call)) for name, call in stack.enter_context(clients()).items()}
        for _ in range(restarts):
            for port, process in list(running.items()):
                time.sleep(0.5)  # calls while nothing happens, and on connections that are kept
                process.send_signal(signal.SIGTERM)
                process.wait(10)
                eventually(lambda port=port: port not in {m.port for m in registry.members("orders")}, timeout=30)
                running[port] = instance(port, seed)
                both_are_seen()
        time.sleep(0.5)
    return calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=4)
    calls = roll(parser.parse_args().restarts)
    for name, made in calls.items():
        print(f"{name}: {made.answered:,} answered, {made.failed.total()} failed {dict(made.failed) or ''}")
    retried = [made for name, made in calls.items() if name != "pick and call"]
    return 1 if any(made.failed or not made.answered for made in retried) else 0


if __name__ == "__main__":
    sys.exit(main())
