"""A process that follows a remote configuration, and tells what holds in it: a JSON line for each line that it is sent.

As a program: settings in the environment, the port of a server that never answers as argument. It serves its registry
page. `status` tells the settings and what of the remote configuration is refused; `call` makes a call to that server,
and tells how long it took to give up.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.server_processes import end_by_its_input

__all__ = ["ConfiguredProcess"]


def main(port: int) -> None:
    """Serve until standard input closes."""
    import requests

    import pydoudou
    from pydoudou.contrib.page import RegistryPage
    from pydoudou.contrib.requests import mount

    with pydoudou.new_node() as registry, requests.Session() as session:
        mount(session, "silent")
        page = make_server("127.0.0.1", 0, RegistryPage(registry).beside_wsgi(_nothing_else), handler_class=_Quiet)
        threading.Thread(target=page.serve_forever, daemon=True).start()
        print(json.dumps({"page": page.server_port}), flush=True)
        for line in sys.stdin:
            answer: dict[str, Any]
            if line.strip() == "call":
                began = time.monotonic()
                try:
                    session.get("http://silent/")
                except requests.RequestException as error:
                    answer = {"error": type(error).__name__, "seconds": time.monotonic() - began}
            else:
                answer = _status(registry)
            print(json.dumps(answer), flush=True)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def _nothing_else(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return []


def _status(registry: Any) -> dict[str, Any]:
    settings, status = registry.settings, registry.status()
    return {
        "probe_interval": settings.drivers["memberlist"].config.probe_interval,
        "gossip_nodes": settings.drivers["memberlist"].config.gossip_nodes,
        "deadline": settings.calls.deadline,
        "password": settings.manage_pass,
        "port": settings.port,
        "weight": registry.registered.weight,
        "level": logging.getLogger("pydoudou").level,
        "configuration": status.to_dict()["configuration"],
        "counters": dict(status.backends[0].driver.counters),
    }


class ConfiguredProcess:
    """The other end. Used as a context manager.

    Args:
        port: of the server that never answers.
        folder: its current folder, and its user's.
    """

    def __init__(self, variables: Mapping[str, str], port: int = 1, folder: Path | None = None) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("GDD_")}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).absolute()), str(port)],
            env=ours | dict(variables) | ({} if folder is None else {"HOME": str(folder)}),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> None:
        """Wait until it has started."""
        self._page = self._read()["page"]

    def look(self, user: str, password: str) -> int:
        """The status with which the registry page answers to this login."""
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self._page}/go-doudou/registry.json", headers={"Authorization": f"Basic {credentials}"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code

    def ask(self, what: str = "status") -> dict[str, Any]:
        """Its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._read()

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it has written to standard error."""
        _, errors = self._process.communicate(timeout=30)
        return self._process.returncode, errors

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process has ended: {self.end()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> ConfiguredProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_by_its_input(self._process)


if __name__ == "__main__":
    main(int(sys.argv[1]))
