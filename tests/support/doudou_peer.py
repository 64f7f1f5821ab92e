"""go-doudou itself, as a process that is driven over its standard input and output."""

from __future__ import annotations

import json
import os
from typing import Any

from .driven import Driven
from .peers import locate

__all__ = ["DoudouPeer"]


class DoudouPeer(Driven):
    """A Go program with go-doudou's limiter, and a node of its gossip once it has joined.

    Args:
        variables: the settings of its node, ``GDD_…``.
    """

    def __init__(self, **variables: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GDD_")}
        command = ["env", *(f"{name}={value}" for name, value in variables.items()), str(locate("go-doudou") / "peer")]
        super().__init__("go-doudou", ["env", "-i", *(f"{k}={v}" for k, v in environment.items()), *command])
        self.wait("ready", lambda event: event["event"] == "ready")

    def take(self, redis_port: int, key: str, times: int, *, every: float = 0.0, **limit: Any) -> tuple[int, int]:
        """Ask the limiter so many times, with a number of milliseconds between two: how often it passed, and did not.

        Args:
            limit: ``rate``, ``period`` in seconds, ``burst``.
        """
        redis = f"127.0.0.1:{redis_port}"
        result = self._do("take", redis=redis, key=key, times=times, every=every, **limit)
        return result["allowed"], result["refused"]

    def join(self, service: str) -> None:
        """Join the gossip, to call `service`."""
        self._do("join", service=service)

    def pick(self, balancer: str, times: int) -> dict[str, float]:
        """The share of the picks that each URL gets: of ``round robin`` or of ``smooth weighted``."""
        picks = self._do("pick", times=times)["picks"][balancer]
        return {url: count / times for url, count in picks.items()}

    def _do(self, name: str, **asked: Any) -> dict[str, Any]:
        return self.ask(json.dumps({"cmd": name, **asked}), name, timeout=30)
