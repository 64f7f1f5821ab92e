"""The demo: real processes on loopback, real calls, and two of them go away while the calls continue.

Nothing in it is scripted except the order of events: who answers, when a member is withdrawn and whether a call
fails is measured.
"""

from __future__ import annotations

import collections
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import anyio
import attrs
import httpx
import requests

import pydoudou

from ..httpx import DiscoveryTransport
from ..requests import mount
from .demo_screen import Screen
from .demo_service import GOSSIP, SERVICE

__all__ = ["run_demo"]

_WEIGHTS = {"orders-1": 1, "orders-2": 2, "orders-3": 3}
_PATIENCE = 20.0
_CALLS_AFTERWARDS = 20
_URL = f"http://{SERVICE}/items?page=1"


@attrs.define
class Tally:
    """What the calls brought so far; written by one thread per client."""

    by_member: dict[str, collections.Counter[str]] = attrs.field(
        factory=lambda: {name: collections.Counter() for name in _WEIGHTS}
    )
    clients: collections.Counter[str] = attrs.field(factory=collections.Counter)
    balancers: collections.Counter[str] = attrs.field(factory=collections.Counter)
    errors: list[str] = attrs.field(factory=list)
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    counting_shares: bool = True

    @contextlib.contextmanager
    def recording(self, client: str, balancer: str) -> Iterator[Callable[[str], None]]:
        """Record one call: who answered, or why nobody did."""
        names: list[str] = []
        try:
            yield names.append
        except (requests.RequestException, httpx.HTTPError) as error:
            self.errors.append(f"{client} through {balancer}: {error!r}")
        with self.lock:
            self.clients[client] += 1
            self.balancers[balancer] += 1
            for name in names:
                self.by_member[name]["calls"] += 1
                self.by_member[name][balancer] += self.counting_shares

    def shares(self, balancer: str) -> dict[str, float]:
        """The share of each member in the calls while all three were there."""
        with self.lock:
            counts = {name: counter[balancer] for name, counter in self.by_member.items()}
        total = sum(counts.values())
        return {name: count / total if total else 0.0 for name, count in counts.items()}

    def rows(self) -> list[tuple[str, int, int]]:
        """Name, calls and weight of each member."""
        with self.lock:
            return [(name, counter["calls"], _WEIGHTS[name]) for name, counter in self.by_member.items()]

    @property
    def calls(self) -> int:
        """All calls so far."""
        return self.clients.total()


# -- the services -----------------------------------------------------------------------------------------------------


@attrs.define
class Service:
    """One service process."""

    name: str
    process: subprocess.Popen[str]
    gossip: str

    @classmethod
    def start(cls, name: str, weight: int, seed: str) -> Service:
        process = subprocess.Popen(
            [sys.executable, "-m", "pydoudou.contrib.cli.demo_service", name, str(weight), seed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # a Ctrl-C is for the demo alone, which has them leave
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the service {name} did not start: exit code {process.wait()}")
        return cls(name, process, json.loads(line)["gossip"])

    def leave(self) -> None:
        """Ask it to go."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def close(self) -> None:
        """Make sure it is gone."""
        self.leave()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def _services() -> Iterator[dict[str, Service]]:
    started: dict[str, Service] = {}
    try:
        for name, weight in _WEIGHTS.items():
            seed = next(iter(started.values())).gossip if started else ""
            started[name] = Service.start(name, weight, seed)
        yield started
    except BaseException:
        for service in started.values():  # somebody who interrupts it does not wait for them to leave
            service.process.kill()
        raise
    finally:
        for service in started.values():
            service.close()


# -- the clients ------------------------------------------------------------------------------------------------------


_BALANCERS: dict[str, Callable[[str], pydoudou.Balancer]] = {
    "RoundRobin": pydoudou.RoundRobin,
    "WeightedRandom": pydoudou.WeightedRandom,
}


def _call_with_requests(tally: Tally, stop: threading.Event) -> None:
    with contextlib.ExitStack() as stack:
        sessions = {name: stack.enter_context(requests.Session()) for name in _BALANCERS}
        for name, session in sessions.items():
            mount(session, SERVICE, balancer=_BALANCERS[name](SERVICE))
        while not stop.is_set():
            for balancer, session in sessions.items():
                with tally.recording("requests", balancer) as answer:
                    answer(session.get(_URL, timeout=5).json()["name"])


def _call_with_httpx(tally: Tally, stop: threading.Event) -> None:
    with contextlib.ExitStack() as stack:
        clients = {
            name: stack.enter_context(httpx.Client(transport=DiscoveryTransport(balancer=balancer)))
            for name, balancer in _BALANCERS.items()
        }
        while not stop.is_set():
            for balancer, client in clients.items():
                with tally.recording("httpx", balancer) as answer:
                    answer(client.get(_URL).json()["name"])


async def _call_with_async_httpx(tally: Tally, stop: threading.Event) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(httpx.AsyncClient(transport=DiscoveryTransport(balancer=balancer)))
            for name, balancer in _BALANCERS.items()
        }
        while not stop.is_set():
            for balancer, client in clients.items():
                with tally.recording("httpx async", balancer) as answer:
                    answer((await client.get(_URL)).json()["name"])


@contextlib.contextmanager
def _calling(tally: Tally) -> Iterator[None]:
    stop = threading.Event()
    threads = [
        threading.Thread(target=_call_with_requests, args=(tally, stop)),
        threading.Thread(target=_call_with_httpx, args=(tally, stop)),
        threading.Thread(target=anyio.run, args=(_call_with_async_httpx, tally, stop)),
    ]
    try:
        for thread in threads:  # a Ctrl-C between two of them stops those that run
            thread.start()
        yield
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


# -- the play ---------------------------------------------------------------------------------------------------------


def _wait(what: str, condition: Callable[[], bool]) -> float:
    """Wait for a condition with a deadline; the seconds that it took."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > _PATIENCE:
            raise TimeoutError(f"{what} did not happen within {_PATIENCE:g} s")
        time.sleep(0.01)
    return time.monotonic() - started


def run_demo(*, as_json: bool, calls: int) -> int:
    """Play it; the exit code is 0 if no call failed.

    Args:
        calls: of each client through each balancer before anything is switched off; 500 give shares within 5 points.
    """
    tally = Tally()
    screen = Screen(tally, as_json=as_json)
    with _services() as services, screen:
        screen.say(f"three services gossip on loopback: {', '.join(services)}")
        seed = services["orders-1"].gossip
        settings = pydoudou.Settings.from_env(GOSSIP | {"GDD_MEM_SEED": seed}, register=False)
        with pydoudou.new_node(settings=settings, register=False) as registry:
            summary = _play(registry, services, tally, screen, calls * 6)
    screen.summary(summary)
    for error in tally.errors[:5]:
        screen.say(f"failed: {error}")
    return 1 if tally.errors else 0


def _play(
    registry: pydoudou.Registry, services: dict[str, Service], tally: Tally, screen: Screen, goal: int
) -> dict[str, object]:
    def members() -> dict[str, str]:
        return {member.node: member.state.value for member in registry.members(SERVICE)}

    def picked() -> set[str]:
        return {member.node for member in registry.snapshot(SERVICE).candidates}

    screen.watch(members)
    _wait("finding the three services", lambda: len(picked()) == len(services))
    found = len(members())
    screen.say("the client, which registers nothing, sees all three; it calls them now")
    with _calling(tally):
        _wait(f"{goal} calls", lambda: tally.calls >= goal)
        tally.counting_shares = False
        shares = {name: tally.shares(name) for name in tally.balancers}
        screen.say("orders-3 is killed (SIGKILL)")
        services["orders-3"].process.kill()
        withdrawn_after = _wait("withdrawing orders-3", lambda: "orders-3" not in picked())
        screen.say(f"orders-3 gets no more calls, {withdrawn_after:.2f} s after it was killed; orders-2 leaves")
        services["orders-2"].leave()
        left_after = _wait("the leave of orders-2", lambda: "orders-2" not in members())
        screen.say(f"orders-2 is gone from the view, {left_after:.2f} s after it was asked to leave")
        goal = tally.calls + _CALLS_AFTERWARDS * 6
        _wait("calls of the one that is left", lambda: tally.calls >= goal)
    return {
        "members": found,
        "calls": tally.calls,
        "failed": len(tally.errors),
        "clients": dict(tally.clients),
        "balancers": dict(tally.balancers),
        "by_member": {
            name: {
                "weight": _WEIGHTS[name],
                "calls": counter["calls"],
                "share": round(shares["WeightedRandom"][name], 3),
                "round_robin_share": round(shares["RoundRobin"][name], 3),
            }
            for name, counter in tally.by_member.items()
        },
        "withdrawn_after_s": round(withdrawn_after, 3),
        "left_after_s": round(left_after, 3),
    }
