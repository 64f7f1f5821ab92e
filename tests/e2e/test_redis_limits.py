"""Limits that are counted in a real Redis: by several processes, and when it is stopped, frozen and back."""

from __future__ import annotations

import contextlib
import logging
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis import Redis
from support.asgi_requests import ask
from support.calls_while_draining import get
from support.limited_caller import LimitedCaller
from support.redis_server import RedisServer
from support.server_processes import free_port, process_of
from support.waiting import eventually

from pydoudou.contrib.protection import asgi, wsgi
from pydoudou.contrib.protection.rate import Rate
from pydoudou.contrib.protection.redis import RedisStore

UNHURRIED = 5.0
"""Seconds for Redis where a test is not about them: this machine may be busy."""


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def wsgi_hello(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


@contextlib.contextmanager
def asked(kind: str, store: RedisStore, rate: str = "2/h") -> Iterator[Callable[[], int]]:
    """Asks an application with that limit, and gives the status: in threads, or on one event loop of that kind."""
    if kind == "wsgi":
        app = wsgi.RateLimit(wsgi_hello, rate, store=store)

        def call() -> int:
            said: list[str] = []
            list(app({"REMOTE_ADDR": "192.0.2.1"}, lambda status, headers: said.append(status)))
            return int(said[-1][:3])

        yield call
        return
    limited = asgi.RateLimit(hello, rate, store=store)

    async def one() -> int:
        return (await ask(limited)).status

    with anyio.from_thread.start_blocking_portal(kind) as portal:
        yield lambda: portal.call(one)
        portal.call(lambda: ask(limited, type="lifespan"))  # the server's end: connections are closed


def empty(bucket: Any) -> int:
    """Take all that there is at once, so that what passes between two times is the rate alone; returns how many."""
    taken = 0
    while bucket.take("everybody") is None:
        taken += 1
    return taken


KINDS = ["wsgi", "asyncio", "trio"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


OFFERED = 1000.0
STARVED = 0.5
"""The part of the time in which a process wants a processor that it may have to wait for one: with more of that the
machine has too much to do, and it says nothing of us that fewer requests were made than were to be.
"""


def test_four_processes_together_get_no_more_and_no_less_than_the_rate(
    redis: RedisServer, record_property: Callable[[str, object], None]
) -> None:
    """At 1,000 requests in a second, or it is skipped, and says why: it has held at those that there were."""
    text, seconds = "100/s burst 1000", 3  # a burst for ten seconds in which a busy machine asks too little
    rate = Rate.parsed(text)
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(LimitedCaller(redis.url, text, seconds, per_second=260)) for _ in range(4)]
        bucket = RedisStore(redis.url, within=UNHURRIED).bucket("default", rate)
        empty(bucket)
        began = time.monotonic()
        for caller in callers:
            caller.call()
        results = [caller.result() for caller in callers]
        answers = sum((result.statuses for result in results), Counter[str]())
        answers["200"] += empty(bucket)
        took = time.monotonic() - began
    allowed = rate.requests / rate.seconds * took
    offered = sum(result.rate for result in results)
    ran, waited = (sum(times) for times in zip(*((result.ran, result.waited) for result in results), strict=True))
    cost = ran / sum(result.statuses.total() for result in results)
    record_property(
        "figures",
        f"a limit in Redis, 4 processes: {offered:.0f} requests/s asked and answered in {took:.1f} s, "
        f"{answers['200']} passed, {answers['200'] / allowed:.4f} of what the rate allows; "
        f"{cost * 1e6:.0f} us of a processor for each",
    )
    assert answers["503"] == 0
    assert answers["200"] == pytest.approx(allowed, rel=0.01)
    assert answers["429"] > answers["200"]
    if offered < OFFERED and waited > STARVED * (ran + waited):
        pytest.skip(f"it holds at {offered:.0f} requests/s: this machine has no time for {OFFERED:.0f}")
    assert offered >= OFFERED


def test_what_is_kept_in_redis_is_named_and_is_forgotten_when_nothing_is_left_of_it(redis: RedisServer) -> None:
    store = RedisStore(redis.url, within=UNHURRIED)
    for compatible in (False, True):
        assert store.bucket("orders", Rate.parsed("2/10s"), compatible=compatible).take("ann") is None
    with Redis.from_url(redis.url, decode_responses=True) as client:
        kept = {key: client.ttl(key) for key in client.scan_iter()}
    assert {key.split(":")[0] for key in kept} == {"pydoudou", "go-doudou"}
    assert "go-doudou:rate:ann" in kept
    assert any(key.startswith("pydoudou:orders:") for key in kept)
    assert all(0 < seconds <= 6 for seconds in kept.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_holds_across_stores_and_names_keep_limits_apart(kind: str, redis: RedisServer) -> None:
    with asked(kind, RedisStore(redis.url, within=UNHURRIED)) as one:
        with asked("wsgi", RedisStore(redis.url, within=UNHURRIED)) as other:
            assert [one(), other(), one(), other()] == [200, 200, 429, 429]
        with asked("wsgi", RedisStore(redis.url, within=UNHURRIED), "3/h") as other:
            assert other() == 200


SERVERS = {
    "uvicorn": ("uvicorn", "--workers", "2", "--port", "{port}", "--log-level", "critical", "limited:for_asgi"),
    "gunicorn": ("gunicorn", "--workers", "2", "--threads", "2", "--bind", "127.0.0.1:{port}", "limited:for_wsgi"),
}
APPS = """
from pydoudou.contrib.protection import asgi, wsgi
from pydoudou.contrib.protection.redis import RedisStore

async def hello(scope, receive, send):
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"hello"}})

def wsgi_hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]

store = RedisStore("{url}", within=5.0)
for_asgi = asgi.RateLimit(hello, "20/h", store=store)
for_wsgi = wsgi.RateLimit(wsgi_hello, "20/h", store=store)
"""


@pytest.mark.parametrize("server", SERVERS)
def test_the_workers_of_a_server_share_a_limit(server: str, redis: RedisServer, tmp_path: Path) -> None:
    program, *arguments = SERVERS[server]
    pytest.importorskip(program)
    (tmp_path / "limited.py").write_text(APPS.format(url=redis.url))
    port = free_port()
    command = [sys.executable, "-m", program, *(argument.format(port=port) for argument in arguments)]
    statuses: Counter[int] = Counter()

    def answers() -> bool:
        with contextlib.suppress(OSError):
            statuses[get("127.0.0.1", port)] += 1
        return sum(statuses.values()) >= 30

    with process_of(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        eventually(answers, timeout=40)
    assert statuses == {200: 20, 429: 10}


@pytest.mark.parametrize("when_down", ["open", "closed"])
@pytest.mark.parametrize("kind", KINDS)
def test_while_redis_is_stopped_requests_pass_or_are_refused_and_then_the_limit_holds_again(
    kind: str, when_down: Any, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    without = 200 if when_down == "open" else 503
    with asked(kind, RedisStore(redis.url, within=UNHURRIED, when_down=when_down)) as call:
        assert [call(), call(), call()] == [200, 200, 429]
        redis.stop()
        assert [call() for _ in range(50)] == [without] * 50
        redis.start()  # it has forgotten who asked
        eventually(lambda: call() == 429, timeout=20)
    told = [record for record in caplog.records if record.name.endswith("protection.redis")]
    assert {vars(record)["pydoudou_source"] for record in told} == {f"127.0.0.1:{redis.port}"}
    assert vars(told[0])["pydoudou_reason"].startswith("down: ")
    assert [record.getMessage().split(" (")[0] for record in told] == [
        f"Redis at 127.0.0.1:{redis.port} does not tell whether a request may pass",
        f"Redis at 127.0.0.1:{redis.port} answers again: what it counts is limited",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_while_redis_is_frozen_three_requests_wait_and_then_one_a_second(kind: str, redis: RedisServer) -> None:
    within = 0.05
    with asked(kind, RedisStore(redis.url, within=within), "1/d") as call:
        eventually(lambda: call() == 429)  # connected, and the limit holds
        redis.freeze()
        waited, until = [], time.monotonic() + 2.5
        while time.monotonic() < until:
            began = time.monotonic()
            assert call() == 200
            waited.append(time.monotonic() - began)
            time.sleep(0.002)
        slow = [seconds for seconds in waited if seconds >= within]
        assert 3 + 1 <= len(slow) <= 3 + 2 + len(waited) // 50  # others may be as slow, for want of a processor
        assert sorted(waited)[len(waited) // 2] < within / 5
        redis.thaw()
        eventually(lambda: call() == 429, timeout=20)
        assert [call() for _ in range(20)] == [429] * 20


FLOOD = 1000


def test_a_flood_in_threads_is_not_taken_for_a_redis_that_is_slow(redis: RedisServer) -> None:
    with asked("wsgi", RedisStore(redis.url, within=0.2), "50/h") as call, ThreadPoolExecutor(200) as threads:
        assert Counter(threads.map(lambda _: call(), range(FLOOD))) == {200: 50, 429: FLOOD - 50}


def test_a_flood_on_an_event_loop_is_not_taken_for_a_redis_that_is_slow(redis: RedisServer) -> None:
    statuses: Counter[int] = Counter()

    async def run() -> None:
        app = asgi.RateLimit(hello, "50/h", store=RedisStore(redis.url, within=0.2))

        async def one() -> None:
            statuses[(await ask(app)).status] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(FLOOD):
                tasks.start_soon(one)
        await ask(app, type="lifespan")

    anyio.run(run)
    assert statuses == {200: 50, 429: FLOOD - 50}


def test_what_is_waited_for_on_an_event_loop_does_not_hold_it_up(redis: RedisServer) -> None:
    async def run() -> None:
        app = asgi.RateLimit(hello, "1/d", store=RedisStore(redis.url, within=0.5))
        await ask(app)
        redis.freeze()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, app)
            await anyio.lowlevel.checkpoint()
            began = time.monotonic()
            await anyio.sleep(0.01)
            assert time.monotonic() - began < 0.4
        redis.thaw()
        await ask(app, type="lifespan")

    anyio.run(run)


def test_a_request_that_is_cancelled_while_it_waits_for_redis_says_nothing_of_it(redis: RedisServer) -> None:
    async def run() -> None:
        app = asgi.RateLimit(hello, "2/d", store=RedisStore(redis.url, within=30))
        assert (await ask(app)).status == 200
        redis.freeze()
        for _ in range(5):
            with anyio.move_on_after(0.02) as scope:
                await ask(app)
            assert scope.cancelled_caught
        redis.thaw()
        answers = [(await ask(app)).status for _ in range(20)]
        assert 429 in answers  # it is asked, and no answer is taken for that to another question
        assert sorted(answers) == answers
        await ask(app, type="lifespan")

    anyio.run(run)


@pytest.mark.parametrize("kind", KINDS)
def test_a_redis_that_is_not_there_is_asked_no_more_than_it_has_to_be(kind: str) -> None:
    with asked(kind, RedisStore(f"redis://127.0.0.1:{free_port()}", within=UNHURRIED)) as call:
        began = time.monotonic()
        assert [call() for _ in range(200)] == [200] * 200
        assert time.monotonic() - began < 2


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


NONSENSE = {
    "another protocol": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "a status": b"+OK\r\n",
    "a number": b":1\r\n",
    "nothing": b"$-1\r\n",
    "no array": b"*-1\r\n",
    "an empty array": b"*0\r\n",
    "too few values": b"*1\r\n:0\r\n",
    "too many values": b"*5\r\n" + b":1\r\n" * 5,
    "values that are no numbers": b"*4\r\n" + bulk(b"one") * 4,
    "a number that is none": b"*4\r\n:1\r\n:0\r\n" + bulk(b"nan") * 2,
    "a negative wait": b"*4\r\n:1\r\n:0\r\n" + bulk(b"-5") * 2,
    "arrays in arrays": b"*1\r\n" * 20_000 + b":1\r\n",
    "an error": b"-ERR it is Friday\r\n",
    "an error about us": b"-NOAUTH Authentication required.\r\n",
    "still loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "a length that is none": b"*x\r\n",
    "bytes": bytes(range(256)),
    "half an answer": b"*4\r\n:1\r\n:0\r\n$3\r\n0.",
    "an answer without end": b"$2000000000\r\n" + b"x" * 100_000,
    "an array without end": b"*2000000000\r\n:1\r\n",
    "a line without end": b"+" + b"x" * 100_000,
    "silence and the end": b"",
}


class AnsweringNonsense(socketserver.ThreadingTCPServer):
    """Says the same whatever it is asked; `polite` first lets the client introduce itself."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, said: bytes, polite: bool) -> None:
        self.said, self.polite = said, polite
        super().__init__(("127.0.0.1", 0), _Nonsense)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client hung up."""


class _Nonsense(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, AnsweringNonsense)
        while asked := self.request.recv(65536):
            introduced = asked.count(b"SETINFO") if self.server.polite else 0
            self.request.sendall(b"+OK\r\n" * introduced if introduced else self.server.said)
            if not self.server.said:
                return


@pytest.mark.parametrize(("kind", "polite"), [("wsgi", True), ("asyncio", True), ("wsgi", False)])
@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_a_redis_that_answers_nonsense_is_as_one_that_is_down(said: bytes, kind: str, polite: bool) -> None:
    with AnsweringNonsense(said, polite) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        serving.start()
        url = f"redis://127.0.0.1:{server.server_address[1]}"
        for when_down, status in (("open", 200), ("closed", 503)):
            store = RedisStore(url, within=0.05, when_down=when_down)  # type: ignore[arg-type]
            with asked(kind, store) as call:
                began = time.monotonic()
                assert [call() for _ in range(5)] == [status] * 5
                assert time.monotonic() - began < 5
        server.shutdown()
        serving.join(5)
