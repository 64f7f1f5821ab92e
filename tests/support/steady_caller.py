"""A client that calls a service again and again through a balancer, and notes what failed."""

from __future__ import annotations

import collections
import threading
import time
from types import TracebackType

import httpx

from pydoudou import Registry, RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport

__all__ = ["SteadyCaller"]

_EVERY = 0.01


class SteadyCaller:
    """Calls ``http://orders/`` every 10 ms while the block runs.

    Attributes:
        calls: how often so far, by the address of the member that answered.
        failures: what went wrong, with the time and how long the call took.
    """

    def __init__(self, registry: Registry, service: str) -> None:
        transport = DiscoveryTransport(services={"orders": service}, balancer=lambda name: RoundRobin(name, registry))
        self._client = httpx.Client(transport=transport, timeout=5.0)
        self.calls: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + _EVERY, began := time.monotonic())
            try:
                answer = self._client.get("http://orders/")
                answer.raise_for_status()
            except Exception as error:
                took = time.monotonic() - began
                self.failures.append(f"{time.time():.3f} after {took:.2f} s {error!r} because of {error.__cause__!r}")
            else:
                self.calls[answer.extensions["member"].address] += 1

    def __enter__(self) -> SteadyCaller:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()
        if kind is None:
            assert self.failures == [], (
                f"{len(self.failures)} of {self.calls.total() + len(self.failures)} calls failed"
            )
            assert self.calls.total() > 0
