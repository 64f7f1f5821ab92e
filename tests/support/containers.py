"""The services of a Compose file as processes without containers: each has an address of its own on loopback, and the
names and ports that the file gives mean the same to all of them.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from support.server_processes import free_port, kill_with_children

__all__ = ["Container", "Topology"]

_BIN = Path(sys.executable).parent


@attrs.define(eq=False)
class Container:
    """One container of a service: a process, and the address that it would have."""

    service: str
    address: str
    process: subprocess.Popen[bytes] | None = None

    def stop(self) -> int:
        """SIGTERM, as `docker stop` sends it; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)


class Topology:
    """All services of a project that have a command. `with` ends them.

    Args:
        project: as Compose understands it.
        folder: of the file, where the programs are.
        scratch: an empty folder, for what is a tmpfs in a container.
    """

    def __init__(self, project: Mapping[str, Any], folder: Path, scratch: Path) -> None:
        self._services: Mapping[str, Any] = project["services"]
        self._folder, self._scratch = folder, scratch
        net = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"
        names = [name for name, one in self._services.items() for _ in range(one.get("deploy", {}).get("replicas", 1))]
        self.containers = [Container(name, f"{net}.{number}") for number, name in enumerate(names, 1)]
        self._runtime = tempfile.TemporaryDirectory()  # a short path: a Unix socket stands in it
        self._ports = {port: str(free_port()) for port in ("7946", "8080", "6379")}

    def of(self, service: str) -> list[Container]:
        """The containers of one service."""
        return [container for container in self.containers if container.service == service]

    def port(self, port: int) -> int:
        """The one that is used here for a port of the file."""
        return int(self._ports[str(port)])

    def environment(self, container: Container) -> dict[str, str]:
        """What a process in the container has, and what it has here to stay on loopback."""
        given = self._services[container.service].get("environment", {})
        variables = {name: self._here(text) for name, text in given.items()}
        if "GDD_MEM_SEED" in variables:
            seeds = [f"{one.address}:{self._ports['7946']}" for one in self.of(given["GDD_MEM_SEED"])]
            variables["GDD_MEM_SEED"] = ",".join(seeds)
            variables |= dict.fromkeys(("GDD_MEM_HOST", "GDD_MEM_BIND", "GDD_REGISTER_HOST"), container.address)
        if "PROMETHEUS_MULTIPROC_DIR" in variables:
            variables["PROMETHEUS_MULTIPROC_DIR"] = str(self._scratch)
        ours = {name: text for name, text in os.environ.items() if not name.startswith("GDD_")}
        listening = f"--bind {container.address}:{self._ports['8080']}"
        return ours | variables | {"GUNICORN_CMD_ARGS": listening, "XDG_RUNTIME_DIR": self._runtime.name}

    def start(self, container: Container) -> None:
        """Run its command."""
        name, *arguments = self._services[container.service]["command"]
        here = [self._here(text).replace("0.0.0.0", container.address) for text in arguments]
        container.process = subprocess.Popen([_BIN / name, *here], cwd=self._folder, env=self.environment(container))

    def healthy(self, container: Container) -> bool:
        """Whether its health check passes."""
        test = self._services[container.service]["healthcheck"]["test"]
        command = [self._here(text).replace("127.0.0.1", container.address) for text in test[2:]]
        return (
            subprocess.run([_BIN / test[1], *command], stderr=subprocess.DEVNULL, timeout=20, check=False).returncode
            == 0
        )

    def run(self, container: Container, program: str) -> str:
        """What a Python program in the container prints."""
        command = [sys.executable, "-c", program]
        environment = self.environment(container)
        return subprocess.run(
            command, cwd=self._folder, env=environment, capture_output=True, text=True, timeout=40, check=True
        ).stdout

    @contextlib.contextmanager
    def running(self, *services: str) -> Iterator[None]:
        """These services."""
        try:
            for container in self.containers:
                if container.service in services:
                    self.start(container)
            yield
        finally:
            started = [container.process for container in self.containers if container.process is not None]
            for process in started:
                process.terminate()
            for process in started:
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    kill_with_children(process)
            self._runtime.cleanup()

    def _here(self, text: str) -> str:
        """With the ports that are used here, and addresses for the names of services in URLs."""
        for port, other in self._ports.items():
            text = re.sub(rf"\b{port}\b", other, text)
        return re.sub(
            r"(?<=//)(\w+)(?=:)", lambda name: self.of(name[1])[0].address if self.of(name[1]) else name[1], text
        )
