"""One of our nodes as a process of its own, for tests whose nodes live on different hosts.

As a program (``python python_peer.py``, settings in the environment) it starts a registry, answers every line on
its standard input with one JSON line, and ends when that closes. `PythonPeer` is the other end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.server_processes import end_by_its_input

__all__ = ["PythonPeer"]


def main() -> None:
    """Serve until standard input closes."""
    import pydoudou

    with pydoudou.new_node() as registry, registry.watch() as watch:
        print(json.dumps({"gossip": registry.status().backends[0].driver.address}), flush=True)
        for _ in sys.stdin:
            driver = registry.status().backends[0].driver
            answer = {
                "nodes": driver.nodes,
                "members": {member.node: member.state.value for member in registry.members()},
                "counters": dict(driver.counters),
            }
            print(json.dumps(answer), flush=True)
        watch.close()


class PythonPeer:
    """A running process of ours. Used as a context manager."""

    def __init__(self, enter: Sequence[str], settings: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [*enter, sys.executable, str(Path(__file__))],
            env=os.environ | dict(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address: str = self._read()["gossip"]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self) -> dict[str, Any]:
        """Its view: how many live nodes, the members and their states, the counters of its driver."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def __enter__(self) -> PythonPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_by_its_input(self._process, within=15)


if __name__ == "__main__":
    main()
