"""Six gossip nodes, Go's and ours, with the default settings: one offers a service and fails, another one calls it.

Three nodes are real Go processes (HashiCorp memberlist in its WAN profile, which is where go-doudou's defaults come
from). The one that fails is a process of ours with an HTTP server. The caller and one more are registries of ours in
this process.
"""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import attrs
import msgpack
import requests

from pydoudou import CallPolicy, LeastLatency, Member, MemberState, Registry, Settings
from pydoudou.contrib.requests import mount

from .go_peer import GoPeer
from .service_process import ServiceProcess

__all__ = ["NODES", "Failure", "failed", "states_told_by"]

NODES = 6
_GO = 3
_SERVICE = "orders"
_CALL_EVERY = 0.1
_ATTEMPT_TIMEOUT = 0.5
_LOOK_EVERY = 0.05
_PATIENCE = 60.0
_OURS = {
    "GDD_SERVICE_DISCOVERY_MODE": "memberlist",
    "GDD_MEM_DIALECT": "hashicorp",
    "GDD_REGISTER_HOST": "127.0.0.1",
    "GDD_MEM_HOST": "127.0.0.1",
    "GDD_MEM_BIND": "127.0.0.1",
    "GDD_MEM_PORT": "0",
}
"""No interval and no timeout: those are the defaults."""


@attrs.frozen
class Failure:
    """One failure, as the others saw it.

    Attributes:
        suspected_after: seconds from the signal until each of the other nodes had the failed one for a suspect.
        probes_hinted: probes that the caller made out of turn.
    """

    suspected_after: dict[str, float]
    probes_hinted: int

    @property
    def by_everybody(self) -> float:
        """Seconds until the last of them had."""
        return max(self.suspected_after.values())


def failed(signal_number: int, *, hint: bool, after: float) -> Failure:
    """Let the cluster form, send the signal `after` seconds later, and see how long the others take.

    The service is called again and again from then on through `requests`, each time with half a second for the answer.

    Args:
        hint: whether the caller's registry does about failed calls what it does by default, or nothing.
    """
    with contextlib.ExitStack() as stack:
        victim = stack.enter_context(ServiceProcess("victim", {**_OURS, "GDD_SERVICE_NAME": _SERVICE}))
        flags = ("-profile", "wan", "-compress=false", "-join", victim.gossip)
        go = [stack.enter_context(GoPeer(f"go-{number}", *flags, fast=False)) for number in range(_GO)]
        kinds = {"caller": Registry if hint else _WithoutHints, "other": Registry}
        ours = [stack.enter_context(_looker(kind, victim.gossip, name)) for name, kind in kinds.items()]
        caller = ours[0]
        _until(lambda: all(_nodes(registry) == NODES for registry in ours), "the cluster to form")
        _until(lambda: all(len(peer.members()) == NODES for peer in go), "the Go nodes to see it")
        node = caller.members(_SERVICE)[0].node
        time.sleep(after)  # at which moment of the round robin it fails is left to chance, and is no condition
        began = time.monotonic()
        victim.kill(signal_number)
        over = threading.Event()
        calls = threading.Thread(target=_call_again_and_again, args=(caller, over), daemon=True)
        calls.start()
        try:
            found = _watch(began, node, go, ours)
        finally:
            over.set()
            calls.join(_ATTEMPT_TIMEOUT + 5)
            victim.kill(signal.SIGKILL)
        return Failure(found, caller.status().backends[0].driver.counters["probes_hinted"])


class _WithoutHints(Registry):
    def probe(self, member: Member) -> None:
        """Nothing."""


@contextlib.contextmanager
def _looker(kind: type[Registry], seed: str, name: str) -> Iterator[Registry]:
    with kind(Settings.from_env({**_OURS, "GDD_MEM_SEED": seed, "GDD_MEM_NAME": name}, register=False)) as registry:
        yield registry


def _nodes(registry: Registry) -> int:
    return registry.status().backends[0].driver.nodes


def _until(condition: Any, what: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {_PATIENCE:g} s for {what}"
        time.sleep(_LOOK_EVERY)


def _call_again_and_again(caller: Registry, over: threading.Event) -> None:
    policy = CallPolicy(attempts=1, attempt_timeout=_ATTEMPT_TIMEOUT)
    with requests.Session() as session:
        mount(session, _SERVICE, LeastLatency(_SERVICE, registry=caller), policy=policy)
        while not over.wait(_CALL_EVERY):
            with contextlib.suppress(requests.RequestException):
                session.get(f"http://{_SERVICE}/")


def _watch(began: float, node: str, go: list[GoPeer], ours: list[Registry]) -> dict[str, float]:
    """Seconds until each of them had `node` for a suspect."""
    found: dict[str, float] = {}
    while len(found) < len(go) + len(ours):
        assert time.monotonic() < began + _PATIENCE, f"{node} is not suspected by everybody: {found}"
        for number, registry in enumerate(ours):
            (member,) = registry.members(_SERVICE) or (None,)
            if member is None or member.state is not MemberState.ALIVE:
                found.setdefault(f"python-{number}", time.monotonic() - began)
        for peer in go:
            if peer.name not in found and states_told_by(peer).get(node, math.inf) != 0:
                found[peer.name] = time.monotonic() - began
        time.sleep(_LOOK_EVERY)
    return found


def states_told_by(peer: GoPeer) -> dict[str, int]:
    """The state of every node as `peer` passes it on: a push/pull by hand, with nothing of ours in it."""
    host, port = peer.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"\x06" + msgpack.packb({"Nodes": 0, "UserStateLen": 0, "Join": False}))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer[:1] == b"\x06"
    reader = msgpack.Unpacker(raw=True)
    reader.feed(answer[1:])
    return {node[b"Name"].decode(): node[b"State"] for node in (next(reader) for _ in range(next(reader)[b"Nodes"]))}
