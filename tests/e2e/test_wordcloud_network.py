"""The Compose file of the word cloud system on hosts of their own: its network, addresses and gossip settings."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from support.effort import EFFORT
from support.manifests import understood
from support.namespaces import Host, network
from support.waiting import eventually
from support.wordcloud import HERE, SECRETS, Person, skip_without

skip_without()

SUBNET = "172.28.0.0/16"
"""The one of the original's Compose file."""
BEHIND = ("usersvc", "tasksvc", "segsvc", "makersvc")
NODES = ("prometheus-sd", *BEHIND, "bff")
SERVICES = {f"wordcloud-{name}": 1 for name in (*BEHIND, "bff")}
LOGIN = ("admin", SECRETS["GDD_MANAGE_PASS"])
TEXT = b"Gossip spreads news. Gossip finds members, members hear gossip.\n"
BIN = Path(sys.executable).parent
LONGEST_GIVING_UP = 130.0
"""Seconds until gossip has given up a member that was killed: the original's multiplier makes it 60 s of suspicion."""


@attrs.define(eq=False)
class Container:
    """A service of the file, as a process on a host of its own."""

    host: Host
    process: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        """Stop the process, if it runs."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Network:
    """The containers; the first host is the machine on which the network is, where the browser would be.

    The database is a file and the store is moto's, which need nothing to be installed; there is no Redis and no Jaeger.
    """

    def __init__(self, hosts: list[Host], folder: Path) -> None:
        names = (*NODES, "store")
        self._services: Mapping[str, Any] = understood("compose", HERE / "compose.yml", **SECRETS)["services"]
        self._machine, self._spare, *given = hosts
        self._folder = folder
        self.of = {name: Container(host) for name, host in zip(names, given, strict=True)}
        self._names = {name: container.host.address for name, container in self.of.items()}
        self.threads = self._machine.threads(2)

    @property
    def targets(self) -> Path:
        """What the seed tells Prometheus."""
        return self._folder / "targets.json"

    def url(self, name: str) -> str:
        """Where a service is, for the machine."""
        return f"http://{self.of[name].host.address}:6060/"

    def start(self, name: str) -> None:
        """Run what the file says, on the host of the service."""
        container, service = self.of[name], self._services[name]
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("GDD_", "BIZ_"))}
        given = dict(service.get("environment") or {})
        for without in ("BIZ_REDIS_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"):
            given.pop(without, None)
        if "BIZ_DB_URL" in given:
            given["BIZ_DB_URL"] = f"sqlite:///{self._folder / 'wordcloud.db'}"
        command = service["command"]
        if name == "store":
            command = ["moto_server", "-H", "0.0.0.0", "-p", command[command.index("--port") + 1].removeprefix(":")]
        program, *arguments = [word.replace("/sd/targets.json", str(self.targets)) for word in command]
        container.host.know(self._names)
        with (self._folder / f"{name}-{container.host.address}.log").open("wb") as log:
            container.process = subprocess.Popen(
                [*container.host.enter, BIN / program, *arguments],
                env={**ours, **given},
                cwd=HERE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def replace(self, name: str) -> Container:
        """Kill a service without a word and run it on another host; the one that is gone."""
        gone = self.of[name]
        assert gone.process is not None
        gone.process.kill()
        gone.process.wait()
        gone.host.unplug()
        self.of[name] = Container(self._spare)
        self.start(name)
        return gone

    def on_machine(self, function: Callable[..., Any], *given: Any) -> Any:
        """What a function gives that is called there."""
        return self.threads.submit(function, *given).result(60)

    def answers(self, name: str, path: str = "healthz") -> Any:
        """Its JSON, or None while it does not answer."""
        try:
            return httpx.get(self.url(name) + path, auth=LOGIN, timeout=2.0).raise_for_status().json()
        except httpx.TransportError:
            return None

    def view(self, name: str) -> tuple[int, dict[str, int]]:
        """How many nodes a service knows to live, and how many members of each service."""
        found = self.answers(name, "go-doudou/registry.json")
        members: dict[str, int] = {}
        for row in found["rows"]:
            if row["state"] == "up":
                members[row["svcName"]] = members.get(row["svcName"], 0) + 1
        return found["registries"][0]["backends"][0]["nodes"], members

    def everybody_sees_everybody(self) -> bool:
        """Whether all six are in the views of all six; the seed's own is the list of what Prometheus is to scrape."""
        views = [self.on_machine(self.view, name) for name in (*BEHIND, "bff")]
        targets = json.loads(self.targets.read_text("utf-8")) if self.targets.exists() else []
        return views == [(len(NODES), SERVICES)] * 5 and len(targets) == 5

    def end(self) -> None:
        """Everything."""
        self.threads.shutdown()
        for name in ("bff", *BEHIND, "prometheus-sd", "store"):
            self.of[name].end()


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Network]:
    """All containers, in the order that the file asks for."""
    with network(len(NODES) + 3, SUBNET) as hosts:
        net = Network(hosts, folder)
        try:
            for name in ("store", "prometheus-sd", "usersvc"):
                net.start(name)
            eventually(lambda: net.on_machine(net.answers, "usersvc"), timeout=30.0)
            for name in ("tasksvc", "segsvc", "makersvc", "bff"):
                net.start(name)
            for name in ("tasksvc", "segsvc", "makersvc", "bff"):
                eventually(lambda name=name: net.on_machine(net.answers, name), timeout=30.0)
            yield net
        finally:
            net.end()


@pytest.mark.timeout(300)
def test_six_nodes_see_each_other_and_a_killed_seg_is_replaced_without_a_failed_upload(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    with started(tmp_path) as net:
        eventually(net.everybody_sees_everybody, timeout=60.0)
        figures = f"all six in every view after {time.monotonic() - began:.1f} s"
        enough = threading.Event()
        answers: list[tuple[float, float, httpx.Response]] = []

        def upload() -> None:
            name, password = SECRETS["BIZ_FIRST_USER"], SECRETS["BIZ_FIRST_PASSWORD"]
            with Person(net.url("bff"), name, password) as person:
                while not enough.is_set():
                    sent = time.monotonic()
                    response = person.upload(TEXT)
                    answers.append((sent, time.monotonic(), response))

        uploading = net.threads.submit(upload)
        try:
            eventually(lambda: len(answers) >= 2 or uploading.done(), timeout=30.0)
            killed = time.monotonic()
            net.replace("segsvc")
            address = net.of["segsvc"].host.address

            def there() -> bool:
                rows = net.on_machine(net.answers, "makersvc", "go-doudou/registry.json")["rows"]
                return any(address in str(row) for row in rows if row["svcName"] == "wordcloud-segsvc")

            eventually(there, timeout=60.0)
            seen = time.monotonic()
            eventually(lambda: answers[-1][0] > seen or uploading.done(), timeout=100.0)
            figures += f"; a killed seg replaced after {seen - killed:.1f} s"
            if EFFORT > 1:
                eventually(net.everybody_sees_everybody, timeout=LONGEST_GIVING_UP)
                figures += f", and given up by everybody after {time.monotonic() - killed:.0f} s"
        finally:
            enough.set()
        uploading.result(60)
        slowest = max(ended - sent for sent, ended, _ in answers)
        figures += f"; {len(answers)} uploads, all drawn, the slowest in {slowest:.1f} s"
        assert [answer.text for _, _, answer in answers if answer.status_code != 200] == []
        assert slowest < 60.0, "a minute goes to an address at which nothing answers"
        assert any(sent < seen and ended > killed for sent, ended, _ in answers), "one was under way without a seg"
    print(figures)
    record_property("figures", figures)
