"""A process that sends requests to an application with a limit in Redis, at a steady rate.

``python limited_caller.py URL RATE SECONDS PER_SECOND`` says ``ready``, waits for a line, asks, and says what became
of its requests as ``result``. There is no server in it: what is measured is the limit.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.asgi_requests import ask
from support.driven import Driven
from support.processor_time import ran_and_waited

__all__ = ["Limited", "LimitedCaller"]

WITHIN = 5.0
"""Seconds for Redis: a busy machine is no reason for a request to pass uncounted, here."""


@attrs.frozen
class Limited:
    """Requests that were asked.

    Attributes:
        statuses: how many answers had which status.
        seconds: from the first request to the last answer.
        ran, waited: seconds for which the process ran meanwhile, and for which it was ready and was not let run.
    """

    statuses: Counter[str]
    seconds: float
    ran: float
    waited: float

    @property
    def rate(self) -> float:
        """Requests in a second, asked and answered."""
        return self.statuses.total() / self.seconds


class LimitedCaller(Driven):
    """The other end."""

    def __init__(self, url: str, rate: str, seconds: float, per_second: float) -> None:
        command: Sequence[str] = [sys.executable, __file__, url, rate, str(seconds), str(per_second)]
        super().__init__("caller", command)
        self.wait("ready", lambda event: event["event"] == "ready", timeout=30)

    def call(self) -> None:
        """Have it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self) -> Limited:
        """What became of its requests, when it has asked."""
        found = self.wait("result", lambda event: event["event"] == "result", timeout=40)
        statuses = Counter({status: int(found.get(status, 0)) for status in ("200", "429", "503")})
        return Limited(statuses, *(found[name] for name in ("seconds", "ran", "waited")))


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def _call(url: str, rate: str, seconds: float, per_second: float) -> dict[str, float]:
    from pydoudou.contrib.protection.asgi import RateLimit
    from pydoudou.contrib.protection.redis import RedisStore

    app = RateLimit(_hello, rate, store=RedisStore(url, within=WITHIN), key=lambda scope: "everybody")
    print(json.dumps({"event": "ready"}), flush=True)
    await anyio.to_thread.run_sync(sys.stdin.readline)
    statuses: Counter[str] = Counter()

    async def call() -> None:
        statuses[str((await ask(app)).status)] += 1

    before = ran_and_waited(os.getpid())
    async with anyio.create_task_group() as tasks:
        began = time.monotonic()
        for number in range(round(seconds * per_second)):
            now = time.monotonic()
            if now > began + seconds:  # all callers end at the same time, however busy the machine is
                break
            await anyio.sleep(max(0.0, began + number / per_second - now))
            tasks.start_soon(call)
    took = time.monotonic() - began
    ran, waited = (now - then for then, now in zip(before, ran_and_waited(os.getpid()), strict=True))
    return {**statuses, "seconds": took, "ran": ran, "waited": waited}


if __name__ == "__main__":
    said = anyio.run(_call, sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
    print(json.dumps({"event": "result", **said}), flush=True)
