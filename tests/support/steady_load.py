"""Calls of ``http://orders/`` at a steady rate, in a process of their own, through one of the clients.

As a program it joins with the settings it is given, says ``ready``, calls from ``go`` on, and reports every call when
it is told to ``stop``. The rate is kept whatever the answers do: a slow answer makes no call come later, and each is
timed from when it was due. `SteadyLoad` is the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.driven import Driven

__all__ = ["CLIENTS", "Call", "SteadyLoad"]

CLIENTS = ("httpx", "requests", "aiohttp", "proxy")
"""The last calls one fixed address with a client of aiohttp's own: a proxy that balances by itself."""

URL = "http://orders/"


@attrs.frozen
class Call:
    """One call.

    Attributes:
        due: when it was to begin, by the machine's monotonic clock.
        seconds: from then to the end of the answer.
        error: what the caller saw, "" for an answer with status 200.
        timed_out: seconds that attempts took which were given up, by the address of the member.
        attempts: how many there were.
    """

    due: float
    seconds: float
    error: str
    timed_out: Mapping[str, float]
    attempts: int


class SteadyLoad(Driven):
    """A process that calls.

    Args:
        client: one of `CLIENTS`.
        rate: calls per second.
        variables: the settings with which it looks for members.
        policy: the fields of a `CallPolicy`.
        methods: are taken in turn; the calls of ``POST`` have a body.
        proxy: the address that the client ``proxy`` calls.
    """

    def __init__(
        self,
        client: str,
        rate: float,
        variables: Mapping[str, str],
        policy: Mapping[str, Any],
        *,
        methods: Sequence[str] = ("GET",),
        proxy: str = "",
    ) -> None:
        orders = {
            "client": client,
            "rate": rate,
            "variables": dict(variables),
            "policy": dict(policy),
            "methods": list(methods),
            "proxy": proxy,
        }
        super().__init__(f"calls through {client}", [sys.executable, __file__, json.dumps(orders)])
        self.client = client
        self.wait("ready", lambda event: event["event"] == "ready", timeout=30)

    def begin(self) -> None:
        """Have it call from now on."""
        self.ask(json.dumps({"cmd": "go"}), "go")

    def end(self) -> list[Call]:
        """Have it call no more; returns what became of every call."""
        found = self.ask(json.dumps({"cmd": "stop"}), "stop", timeout=30)["calls"]
        return [Call(*fields) for fields in found]


# -- the process -------------------------------------------------------------------------------------------------------

_One = Callable[[str], Awaitable[tuple[int, Sequence[Any]]]]


def main() -> None:
    """Do as standard input says."""
    orders = json.loads(sys.argv[1])
    import pydoudou

    if orders["variables"]:
        settings = pydoudou.Settings.from_env(orders["variables"], register=False)
        pydoudou.new_node(settings=settings, register=False)
    # Before the first call is due: it takes seconds on a busy machine.
    library = {"proxy": "aiohttp"}.get(orders["client"], orders["client"])
    importlib.import_module(f"pydoudou.contrib.{library}")
    _say("ready")
    calls: list[Call] = []
    stop = threading.Event()
    pace = _Pace(orders["rate"], orders["methods"], stop)
    run = _in_threads if orders["client"] == "requests" else _in_tasks
    calling = threading.Thread(target=run, args=(orders, pace, calls), daemon=True)
    for line in sys.stdin:
        name = json.loads(line)["cmd"]
        if name == "go":
            calling.start()
            _say("result", cmd=name, ok=True)
        else:
            stop.set()
            calling.join(20)
            _say("result", cmd=name, ok=True, calls=[attrs.astuple(call) for call in calls])


class _Pace:
    """When each call is due, and with which method."""

    def __init__(self, rate: float, methods: Sequence[str], stop: threading.Event) -> None:
        self._rate, self._methods, self.stop = rate, methods, stop
        self._began = monotonic()
        self._count = 0

    def next(self) -> tuple[float, str]:
        if self._count == 0:
            self._began = monotonic()
        due = self._began + self._count / self._rate
        method = self._methods[self._count % len(self._methods)]
        self._count += 1
        return due, method


def _ended(due: float, status: int, attempts: Sequence[Any], error: BaseException | None = None) -> Call:
    text = f"status {status}" if error is None and status != 200 else ""
    if error is not None:
        text = f"{error!r} because of {error.__cause__!r}"
    timed_out: dict[str, float] = {}
    for attempt in attempts:
        if attempt.left.startswith("timed out"):
            timed_out[attempt.member.address] = timed_out.get(attempt.member.address, 0.0) + attempt.seconds
    return Call(due, monotonic() - due, text, timed_out, max(1, len(attempts)))


def _in_threads(orders: dict[str, Any], pace: _Pace, calls: list[Call]) -> None:
    import requests

    import pydoudou
    from pydoudou.contrib.requests import attempts_of, mount

    session = requests.Session()
    mount(session, "orders", policy=pydoudou.CallPolicy(**orders["policy"]))

    def one(due: float, method: str) -> None:
        try:
            answer = session.request(method, URL, data=b"x" if method == "POST" else None)
        except Exception as error:
            calls.append(_ended(due, 0, attempts_of(error), error))
        else:
            calls.append(_ended(due, answer.status_code, attempts_of(answer)))

    with ThreadPoolExecutor(64) as threads:
        while True:
            due, method = pace.next()
            if pace.stop.wait(max(0.0, due - monotonic())):
                return
            threads.submit(one, due, method)


def _in_tasks(orders: dict[str, Any], pace: _Pace, calls: list[Call]) -> None:
    async def run() -> None:
        async with _client(orders) as (call, attempts_of):

            async def one(due: float, method: str) -> None:
                try:
                    status, attempts = await call(method)
                except Exception as error:
                    calls.append(_ended(due, 0, attempts_of(error), error))
                else:
                    calls.append(_ended(due, status, attempts))

            async with asyncio.TaskGroup() as tasks:
                while not pace.stop.is_set():
                    due, method = pace.next()
                    await asyncio.sleep(max(0.0, due - monotonic()))
                    tasks.create_task(one(due, method))

    asyncio.run(run())


@contextlib.asynccontextmanager
async def _client(orders: dict[str, Any]) -> AsyncIterator[tuple[_One, Callable[[Any], Sequence[Any]]]]:
    import pydoudou

    if orders["client"] == "httpx":
        import httpx

        from pydoudou.contrib.httpx import DiscoveryTransport, attempts_of

        policy = pydoudou.CallPolicy(**orders["policy"])
        async with httpx.AsyncClient(transport=DiscoveryTransport(policy=policy), timeout=5.0) as client:

            async def by_httpx(method: str) -> tuple[int, Sequence[Any]]:
                answer = await client.request(method, URL, content=b"x" if method == "POST" else None)
                return answer.status_code, attempts_of(answer)

            yield by_httpx, attempts_of
        return
    import aiohttp

    url, options, found = orders["proxy"], {}, _no_attempts
    if orders["client"] == "aiohttp":
        from pydoudou.contrib.aiohttp import DiscoveryResponse, attempts_of, discovery_middleware

        policy = pydoudou.CallPolicy(**orders["policy"])
        url, found = URL, attempts_of
        options = {"middlewares": (discovery_middleware(policy=policy),), "response_class": DiscoveryResponse}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0), **options) as session:

        async def by_aiohttp(method: str) -> tuple[int, Sequence[Any]]:
            async with session.request(method, url, data=b"x" if method == "POST" else None) as answer:
                await answer.read()
                return answer.status, found(answer)

        yield by_aiohttp, found


def _no_attempts(_: object) -> Sequence[Any]:
    return ()


def _say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


if __name__ == "__main__":
    main()
