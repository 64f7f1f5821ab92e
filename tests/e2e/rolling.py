"""Rolling restarts of all instances by SIGTERM, while everybody calls.

    python tests/e2e/rolling.py --restarts 4

Each instance in turn is ended and started again; the next one is ended when all are seen again. Meanwhile a program
calls 200 times a second, as far as the machine can, through each of httpx, requests and aiohttp, with their default
policy, GET and POST by turns; and by a pick and a plain connection, which does not try again.

The instances stand behind `pydoudou run`, and drain. With ``--bare`` they are the README's code, `new_node()` alone:
they leave and end at once, so only what may be repeated is called, and what has picked may fail. The program fails if
any call does that should not.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import aiohttp
import httpx
import requests
from anyio.from_thread import start_blocking_portal
from support.calls_while_draining import CalledEverySoOften, called_again
from support.gossip import FAST_GOSSIP, gossip_address
from support.server_processes import free_port, kill_with_children
from support.waiting import eventually

import pydoudou
from pydoudou.contrib.aiohttp import discovery_middleware
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount

INSTANCES = 2
URL = "http://orders/items"
SERVER = """
import http.server, os

class Items(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET

    def log_message(self, *arguments):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["GDD_PORT"])), Items)
"""
BARE = f"""{SERVER}
import pydoudou
with pydoudou.new_node({{"zone": "a"}}):
    server.serve_forever()
"""
RUN = [sys.executable, "-m", "pydoudou", "run", "--"]


def instance(port: int, seed: str, bare: bool) -> subprocess.Popen[bytes]:
    """One process of the service, or two."""
    variables = {"GDD_SERVICE_NAME": "orders", "GDD_PORT": str(port), "GDD_MEM_SEED": seed}
    program = [sys.executable, "-c", BARE if bare else f"{SERVER}server.serve_forever()"]
    return subprocess.Popen([*([] if bare else RUN), *program], env=os.environ | FAST_GOSSIP | variables)


def pick_and_call(orders: pydoudou.RoundRobin, method: str) -> int:
    """One attempt, with what Python has."""
    member = orders.pick()
    with contextlib.closing(http.client.HTTPConnection(member.host, member.port, timeout=5)) as connection:
        connection.request(method, "/items")
        response = connection.getresponse()
        response.read()
        return response.status


@contextlib.contextmanager
def clients() -> Iterator[dict[str, Callable[[str], int]]]:
    """Ways to call with a method, by name; the last one does not try again. Each for one thread."""
    orders = pydoudou.RoundRobin("orders")
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        mount(session, "orders")
        client = stack.enter_context(httpx.Client(transport=DiscoveryTransport()))
        portal = stack.enter_context(start_blocking_portal())

        async def opened() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(middlewares=(discovery_middleware(),))

        asynchronous = portal.call(opened)
        stack.callback(portal.call, asynchronous.close)

        async def call(method: str) -> int:
            async with asynchronous.request(method, URL) as answer:
                await answer.read()
                return answer.status

        yield {
            "requests": lambda method: session.request(method, URL).status_code,
            "httpx": lambda method: client.request(method, URL).status_code,
            "aiohttp": lambda method: portal.call(call, method),
            "pick and call": lambda method: pick_and_call(orders, method),
        }


def over_and_over(call: Callable[[str], int], methods: list[str]) -> CalledEverySoOften:
    """Calls by turns with each method."""
    turns = itertools.cycle(methods)
    return CalledEverySoOften(lambda: call(next(turns)))


def roll(restarts: int, bare: bool) -> dict[str, CalledEverySoOften]:
    """Restart everybody so often while everybody is called."""
    os.environ.update(FAST_GOSSIP)
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(pydoudou.new_node(register=False))
        seed = gossip_address(registry)

        def all_are_seen() -> None:
            eventually(lambda: {m.port for m in registry.members("orders")} == set(running), timeout=30)

        running = {port: instance(port, seed, bare) for port in (free_port() for _ in range(INSTANCES))}
        stack.callback(lambda: [(kill_with_children(process), process.wait()) for process in running.values()])
        all_are_seen()
        methods = ["GET"] if bare else ["GET", "POST"]
        calls = {
            name: stack.enter_context(over_and_over(call, methods))
            for name, call in stack.enter_context(clients()).items()
        }
        for _ in range(restarts):
            for port, process in list(running.items()):
                called_again(calls.values())  # on connections that are kept, while nothing happens
                process.send_signal(signal.SIGTERM)
                process.wait(10)
                eventually(lambda port=port: port not in {m.port for m in registry.members("orders")}, timeout=30)
                running[port] = instance(port, seed, bare)
                all_are_seen()
        called_again(calls.values())
    return calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--bare", action="store_true")
    options = parser.parse_args()
    calls = roll(options.restarts, options.bare)
    for name, made in calls.items():
        failed = f"{made.failed.total()} failed {dict(made.failed) or ''}"
        print(f"{name}: {made.answered:,} answered at {made.per_second:.0f}/s, {failed}")
    to_hold = [made for name, made in calls.items() if name != "pick and call" or not options.bare]
    return 1 if any(made.failed or not made.answered for made in to_hold) else 0


if __name__ == "__main__":
    sys.exit(main())
