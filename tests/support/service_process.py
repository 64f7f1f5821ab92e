"""One of our services as a process of its own: an HTTP server and a registry, to be killed and frozen.

As a program (``python service_process.py``, settings in the environment) it says ``ready`` once it is registered, then
every change that it sees as an event, takes commands in JSON lines, and leaves when its standard input closes.
`ServiceProcess` is the other end.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.driven import Driven, Event
from support.heap import free_heap_bytes

__all__ = ["ServiceProcess"]


class ServiceProcess(Driven):
    """A running service.

    Args:
        variables: the settings; ``GDD_PORT`` is its own.
        watch: the service whose changes it reports; "" for none.
        enter: a command that runs the rest of its command line elsewhere, in a network namespace for example.
        errors: takes its log; by default that goes where ours does.
        hold: whether it registers only when `go_on` is called: starting a process takes a processor for a while, which
            whoever measures times does not want to see in them.

    Attributes:
        address: ``host:port`` of its HTTP server.
        gossip: ``host:port`` of its gossip node, "" without one.
        pid: its process id.
    """

    def __init__(
        self,
        name: str,
        variables: Mapping[str, str],
        *,
        watch: str = "",
        enter: Sequence[str] = (),
        errors: IO[str] | None = None,
        hold: bool = False,
    ) -> None:
        orders = {"watch": watch, "hold": "yes" if hold else "", **variables}
        super().__init__(name, [*enter, sys.executable, __file__, json.dumps(orders)], errors=errors)
        if hold:
            self._await("loaded")
        else:
            self._registered()

    def go_on(self) -> None:
        """Have it register, and wait until it has."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._registered()

    def _await(self, event: str) -> Event:
        try:
            return self.wait(event, lambda seen: seen["event"] == event, timeout=30)
        except BaseException:
            self.close()
            raise

    def _registered(self) -> None:
        ready = self._await("ready")
        self.address: str = ready["http"]
        self.gossip: str = ready["gossip"]
        self.pid: int = ready["pid"]

    def update(self, data: Mapping[str, Any]) -> float:
        """Register other metadata. Returns the Unix time just before."""
        began = time.time()
        self.ask(json.dumps({"cmd": "update", "data": dict(data)}), "update")
        return began

    def busy(self, seconds: float) -> None:
        """Have its main thread compute for so long, and return when it does."""
        self.ask(json.dumps({"cmd": "busy", "seconds": seconds}), "busy")

    def serve(self, seconds: float, status: int = 200) -> None:
        """Have its server answer after so many seconds with this status and four bytes."""
        self.ask(json.dumps({"cmd": "serve", "seconds": seconds, "status": status}), "serve")

    def members(self, service: str) -> list[dict[str, Any]]:
        """What it knows of a service: address, state, sources, weight, data; and whether that is stale."""
        found: list[dict[str, Any]] = self.ask(json.dumps({"cmd": "members", "service": service}), "members")["members"]
        return found

    def status(self) -> dict[str, Any]:
        """``judging`` by mode, which services are ``stale``, and what is held: ``gauges``, ``nodes``, ``members``; and
        ``counters`` and ``free_heap_bytes``, which are not.
        """
        return self.ask(json.dumps({"cmd": "status"}), "status")

    def wait_for_change(
        self, kind: str, address: str, *, state: str = "", since: float = 0.0, timeout: float = 10.0
    ) -> float:
        """The Unix time of the first change of this kind about this address, from `since` on; waits for it."""
        wanted = ({"event": "change", "kind": kind, "address": address} | ({"state": state} if state else {})).items()
        found = self.wait(
            f"{kind} of {address}",
            lambda event: wanted <= event.items() and event["ts"] >= since,
            timeout=timeout,
        )
        return float(found["ts"])

    def leave(self) -> None:
        """Have it leave, and wait until it has ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(15)


def main() -> None:
    """Serve until standard input closes."""
    from support.http_members import HttpMember, paced

    import pydoudou

    variables: dict[str, str] = json.loads(sys.argv[1])
    watched, hold = variables.pop("watch"), variables.pop("hold")
    if hold:
        _say("loaded")
        sys.stdin.readline()
    register = bool(variables.get("GDD_SERVICE_NAME"))
    with HttpMember(variables.get("GDD_SERVICE_NAME", "")) as server:
        settings = pydoudou.Settings.from_env({**variables, "GDD_PORT": str(server.port)}, register=register)
        with pydoudou.Registry(settings) as registry:
            if watched:
                threading.Thread(target=_report, args=(registry.watch(watched),), daemon=True).start()
            gossip = next((backend.driver.address for backend in registry.status().backends), "")
            host = variables.get("GDD_REGISTER_HOST", "127.0.0.1")
            _say("ready", http=f"{host}:{server.port}", gossip=gossip, pid=os.getpid())
            for line in sys.stdin:
                command = json.loads(line)
                if command["cmd"] == "serve":
                    server.answer = paced(command["seconds"], command["status"])
                _say("result", cmd=command["cmd"], ok=True, **_obey(registry, command))
                if command["cmd"] == "busy":
                    _compute(command["seconds"])


def _obey(registry: Any, command: dict[str, Any]) -> dict[str, Any]:
    if command["cmd"] == "update":
        registry.update(command["data"])
    elif command["cmd"] == "members":
        return {
            "members": [
                {
                    "address": member.address,
                    "state": member.state.value,
                    "sources": member.sources,
                    "weight": member.weight,
                    "data": dict(member.data),
                }
                for member in registry.members(command["service"])
            ]
        }
    elif command["cmd"] == "status":
        status = registry.status()
        judging = {backend.mode: backend.judging for backend in status.backends}
        drivers = [backend.driver for backend in status.backends]
        return {
            "judging": judging,
            "stale": list(status.stale),
            "gauges": [dict(driver.gauges) for driver in drivers],
            "counters": [dict(driver.counters) for driver in drivers],
            "nodes": [driver.nodes for driver in drivers],
            "members": len(registry.members()),
            "restarts": [backend.restarts for backend in status.backends],
            "free_heap_bytes": free_heap_bytes(),
        }
    return {}


def _compute(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


def _report(watch: Any) -> None:
    for event in watch:
        _say(
            "change",
            kind=event.kind.value,
            address=event.member.address,
            state=event.member.state.value,
            data=dict(event.member.data),
        )


_saying = threading.Lock()


def _say(event: str, **fields: Any) -> None:
    with _saying:
        print(json.dumps({"event": event, "ts": time.time(), **fields}), flush=True)


if __name__ == "__main__":
    main()
