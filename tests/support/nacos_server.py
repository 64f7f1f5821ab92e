"""Real Nacos servers, one or a cluster, as processes that a test kills, stops and starts again.

A server dies with the test run: its standard input closes then. HTTP is on its `host` only, gRPC and raft are on every
address, for which Nacos has no setting.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .driven import spawn
from .nacos_api import NacosApi
from .peers import locate
from .tcp_proxy import TcpProxy

__all__ = ["PASSWORD", "USER", "NacosServer", "fresh_service", "nacos_cluster", "pick_ports", "proxy_of", "running"]

USER, PASSWORD = "nacos", "correct-horse"
"""Who may use a server with authentication."""

_READY = b"NACOS READY "
_ATTEMPTS = 2
_PORTS = range(10_000, 30_000, 10)
"""Below the ports that Linux gives to clients, so that nobody gets one of them between a kill and the next start."""
_OFFSETS = (-1000, 0, 1000, 1001)
"""Raft, HTTP, gRPC for clients, gRPC for servers: Nacos computes them all from one."""

_running: list[NacosServer] = []
_picked: set[int] = set()


def running() -> list[NacosServer]:
    """The servers that are in use now, also those that are killed at the moment."""
    return list(_running)


def fresh_service(prefix: str = "orders") -> str:
    """A service name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def pick_ports(count: int = 1, *, offsets: Sequence[int] = _OFFSETS) -> list[int]:
    """That many ports which are free, and free with each offset added. This process gives none of them again: who is to
    listen there may take seconds to start, or be killed at the moment."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        wanted = {port + offset for offset in offsets}
        if not wanted & _picked and all(map(_free, wanted)):
            _picked.update(wanted)
            found.append(port)
            if len(found) == count:
                return found
    raise AssertionError(f"no {count} free ports with {offsets} in {_PORTS}")


def _free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


class NacosServer:
    """A server. Used as a context manager it is started, and ended at last.

    Args:
        home: its state and its logs; made if it does not exist. The database comes ready made: creating it takes long,
            and fails now and then on a busy machine.
        port: of HTTP; a free one by default. It keeps its ports when it is started again.
        host: the address of HTTP.
        auth: whether clients need a user; `USER` with `PASSWORD` is made.
        configuration: whether it keeps configuration as well, which takes it longer to start.
        members: ``host:port`` of all servers of its cluster.
        properties: more of its settings, as in ``application.properties``.
        enter: what to put before the command, to run it in a network namespace.
        start_timeout: seconds for one attempt to start. It takes 5 s on two idle cores, many times that on busy ones.

    Attributes:
        address: ``host:port`` for clients.
        api: its HTTP API.
        ready_at: Unix time when the last start was done.
    """

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        *,
        host: str = "127.0.0.1",
        auth: bool = False,
        configuration: bool = False,
        members: Sequence[str] = (),
        properties: Mapping[str, str] | None = None,
        enter: Sequence[str] = (),
        start_timeout: float = 40.0,
    ) -> None:
        self.home = home
        self.port = port if port is not None else pick_ports()[0]
        self.address = f"{host}:{self.port}"
        self.api = NacosApi(self.address, enter)
        self.ready_at = 0.0
        self._needs_user = auth
        self._start_timeout = start_timeout
        self._command = [*enter, str(locate("nacos-server") / "run"), str(home), str(self.port)]
        self._environment = os.environ | {
            "HOST": host,
            "AUTH": str(auth).lower(),
            "FUNCTIONS": "" if configuration else "naming",
            "MEMBERS": ",".join(members),
            "PROPERTIES": "\n".join(f"{name}={value}" for name, value in (properties or {}).items()),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log = home / "stdout.log"
        self._log_start = 0

    def launch(self) -> None:
        """Start the process, without waiting for it."""
        assert self._process is None, f"the Nacos server {self.address} runs"
        if not self.home.exists():
            shutil.copytree(locate("nacos-server") / "home", self.home)
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = spawn(self._command, stdout=log, stderr=log, env=self._environment)

    def wait_ready(self) -> None:
        """Wait until it serves. A start that hangs is killed and tried once more.

        Raises:
            AssertionError: it never does.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                self.kill()
                self.launch()
            if self._became_ready():
                if self._needs_user:
                    self.api.make_first_user(PASSWORD)
                    self._needs_user = False
                return
        tail = self.log_tail()
        self.kill()
        raise AssertionError(f"the Nacos server {self.address} did not start; the end of {self._log}:\n{tail}")

    def start(self) -> None:
        """Start it and wait until it serves: after `kill` on the same ports, with the same state."""
        self.launch()
        self.wait_ready()

    def _became_ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + self._start_timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            output = self._output()
            found = output.find(_READY)
            if found >= 0 and (end := output.find(b"\n", found)) >= 0:
                self.ready_at = float(output[found + len(_READY) : end])
                return True
            time.sleep(0.02)
        return False

    def _output(self) -> bytes:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that it printed. The details are in files under ``home/nacos/logs``."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:]) if self._log.exists() else ""

    @property
    def pid(self) -> int | None:
        """Its process id, None while it does not run."""
        return self._process.pid if self._process is not None else None

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """End it by SIGKILL or SIGTERM; nothing is left of it but its state when this returns."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal_number)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def pause(self) -> None:
        """Stop it with SIGSTOP: connections stay, the kernel accepts new ones, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> NacosServer:
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            _running.append(self)
            self.start()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, however it is."""
        self.kill()
        if self in _running:
            _running.remove(self)


def proxy_of(server: NacosServer) -> TcpProxy:
    """A proxy before what clients use of a server: HTTP, and gRPC on the port that they compute from it."""
    port = pick_ports(offsets=(0, 1000))[0]
    host, server_port = server.address.rsplit(":", 1)
    return TcpProxy({port + offset: int(server_port) + offset for offset in (0, 1000)}, host)


@contextlib.contextmanager
def nacos_cluster(home: Path, count: int = 3) -> Iterator[list[NacosServer]]:
    """That many servers which share what is registered; clients use ``",".join(server.address for server in servers)``.

    Each is killed and started like a single one. It takes a majority to start.
    """
    ports = pick_ports(count)
    members = [f"127.0.0.1:{port}" for port in ports]
    servers = [NacosServer(home / f"node-{port}", port, members=members, start_timeout=90) for port in ports]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.close)
            _running.append(server)
            server.launch()
        for server in servers:
            server.wait_ready()
        yield servers
