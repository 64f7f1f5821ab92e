"""The Nacos driver next to the SDK alone, in one run against one server: who hears of changes, and who recovers.

    python tests/benchmarks/nacos.py

Two processes of each kind would not be fairer: both register with the same server, subscribe to the same service, and
suffer the same faults at the same time. The SDK is set up as its documentation shows, with its own event loop idle.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.driven import Driven
from support.nacos import nacos_variables
from support.nacos_peers import NacosPeer
from support.nacos_server import NacosServer, fresh_service
from support.peers import built_folder
from support.service_process import ServiceProcess

__all__ = ["SdkAlone", "main"]

CHANGES = 15
DOWN = 5.0
FROZEN = 40.0
PATIENCE = 60.0

PROGRAM = """
import asyncio, json, logging, sys, tempfile, time
from v2.nacos import ClientConfig, NacosNamingService, RegisterInstanceParam, SubscribeServiceParam

server, own, watched, folder = sys.argv[1:]

def say(event, **fields):
    print(json.dumps({"event": event, "ts": time.time(), **fields}), flush=True)

async def changed(instances):
    for instance in instances:
        say("change", address=f"{instance.ip}:{instance.port}", version=instance.metadata.get("version", ""))

async def main():
    config = ClientConfig(server_addresses=server, log_dir=folder, log_level=logging.CRITICAL)
    config.set_cache_dir(folder)
    config.set_load_cache_at_start(False)
    service = await NacosNamingService.create_naming_service(config)
    await service.register_instance(RegisterInstanceParam(service_name=own, ip="127.0.0.1", port=7000))
    await service.subscribe(SubscribeServiceParam(service_name=watched, subscribe_callback=changed))
    say("ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


class SdkAlone(Driven):
    """A process that uses the SDK and nothing of ours: registers `own`, and subscribes to `watched`."""

    def __init__(self, server: str, own: str, watched: str, folder: str) -> None:
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, server, own, watched, folder]
        super().__init__("the SDK alone", command)
        self.wait("ready", lambda event: event["event"] == "ready", timeout=30)


def seen(process: Driven, address: str, version: str, since: float) -> float:
    """Seconds from `since` until the process was told that the service at `address` has this version."""

    def matches(event: dict[str, object]) -> bool:
        data = event.get("data")
        told = data.get("version") if isinstance(data, dict) else event.get("version")
        return event["event"] == "change" and event["address"] == address and told == version

    return float(process.wait(f"version {version}", matches)["ts"]) - since


def listed_after(server: NacosServer, services: dict[str, str], since: Callable[[], float]) -> dict[str, float | None]:
    """For each kind the seconds from `since` until the server lists its service; None if it never does."""
    found: dict[str, float | None] = dict.fromkeys(services)
    deadline = time.time() + PATIENCE
    while None in found.values() and time.time() < deadline:
        for kind, service in services.items():
            if found[kind] is None and server.api.instances(service):
                found[kind] = time.time() - since()
        time.sleep(0.005)
    return found


def row(what: str, ours: float | None, alone: float | None, goal: float) -> Iterator[str]:
    """One line of the table."""

    def shown(value: float | None) -> str:
        return f"{value:8.2f} s" if value is not None else f"never in {PATIENCE:.0f} s"

    met = ours is not None and ours <= goal
    yield f"{what:45} {shown(ours)}   SDK alone {shown(alone)}   goal {goal:.2f} s: {'met' if met else 'MISSED'}"


def main() -> int:
    if built_folder("nacos-server") is None or built_folder("nacos-go") is None:
        print("left out: the Nacos server and the Go client are not built, run make peers")
        return 0
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder, NacosServer(Path(folder) / "nacos") as server:
        names = {"ours": fresh_service("ours"), "alone": fresh_service("alone")}
        watched = fresh_service("watched")
        ours = ServiceProcess("ours", nacos_variables(server.address, names["ours"]), watch=watched)
        alone = SdkAlone(server.address, names["alone"], watched, f"{folder}/sdk")
        with ours, alone:
            with NacosPeer("go", Path(folder) / "go", server.address) as third:
                print(f"{CHANGES} changes of a service", file=sys.stderr, flush=True)
                third.register(watched, "127.0.0.1:7001", metadata={"version": "first"})
                times: dict[str, list[float]] = {"ours": [], "alone": []}
                for number in range(CHANGES):
                    began = third.update(watched, "127.0.0.1:7001", metadata={"version": str(number)})
                    times["ours"].append(seen(ours, "127.0.0.1:7001", str(number), began))
                    times["alone"].append(seen(alone, "127.0.0.1:7001", str(number), began))
            median = {kind: statistics.median(values) for kind, values in times.items()}
            lines += row("a change seen by a subscriber (median)", median["ours"], median["alone"], 0.65)
            print(f"the server is killed, for {DOWN:g} s", file=sys.stderr, flush=True)
            server.kill()
            time.sleep(DOWN)
            server.start()
            back = listed_after(server, names, lambda: server.ready_at)
            lines += row("registered again after a server restart", back["ours"], back["alone"], 0.5)
            listed_after(server, names, time.time)
            print(f"both are frozen, for {FROZEN:g} s", file=sys.stderr, flush=True)
            for process in (ours, alone):
                process.kill(signal.SIGSTOP)
            time.sleep(FROZEN)
            assert not any(server.api.instances(name) for name in names.values())
            thawed = time.time()
            for process in (ours, alone):
                process.kill(signal.SIGCONT)
            back = listed_after(server, names, lambda: thawed)
            lines += row(f"registered again after a freeze of {FROZEN:g} s", back["ours"], back["alone"], 1.0)
    print("\n".join(lines))
    print(json.dumps({"changes": median, "load": Path("/proc/loadavg").read_text().split()[0]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
