"""One rate limit in Redis for services in Go and in Python: go-doudou's own limiter, and ours with `compatible`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.doudou_peer import DoudouPeer
from support.redis_server import RedisServer

from pydoudou.contrib.protection.rate import Rate
from pydoudou.contrib.protection.redis import RedisStore

WITHIN = 5.0
"""Seconds: a busy machine is no reason for a request to pass uncounted, here."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def go() -> Iterator[DoudouPeer]:
    with DoudouPeer() as peer:
        yield peer


def limit(rate: Rate) -> dict[str, int]:
    """The rate, as go-doudou is told it."""
    return {"rate": rate.requests, "period": rate.seconds, "burst": rate.burst}


def test_what_one_side_takes_is_gone_for_the_other(redis: RedisServer, go: DoudouPeer) -> None:
    rate = Rate.parsed("10/h burst 10")
    bucket = RedisStore(redis.url, within=WITHIN).bucket("", rate, compatible=True)
    assert [bucket.take("ann") for _ in range(4)] == [None] * 4
    assert go.take(redis.port, "ann", 10, **limit(rate)) == (6, 4)
    left = bucket.take("ann")
    assert left is not None
    assert 350 < left <= 360  # one in six minutes
    assert go.take(redis.port, "bob", 3, **limit(rate)) == (3, 0)
    assert [bucket.take("bob") is None for _ in range(9)] == [True] * 7 + [False] * 2


def test_both_together_get_no_more_and_no_less_than_the_rate(redis: RedisServer, go: DoudouPeer) -> None:
    rate, seconds, apart = Rate.parsed("100/s burst 500"), 4.0, 0.004
    bucket = RedisStore(redis.url, within=WITHIN).bucket("", rate, compatible=True)
    passed = {"python": 0, "go": 0}

    def in_python() -> None:
        due, until = began, began + seconds
        while due < until:
            time.sleep(max(0.0, due - time.monotonic()))
            passed["python"] += bucket.take("both") is None
            due += apart

    def in_go() -> None:
        passed["go"] = go.take(redis.port, "both", round(seconds / apart), every=apart * 1000, **limit(rate))[0]

    while bucket.take("both") is None:  # only what comes from now on counts
        pass
    began = time.monotonic()
    threads = [threading.Thread(target=ask) for ask in (in_python, in_go)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    while bucket.take("both") is None:  # what nobody asked for in time
        passed["python"] += 1
    whole = rate.requests / rate.seconds * (time.monotonic() - began)
    print(f"passed {passed}, {sum(passed.values()) / whole:.4f} of what the rate allows")
    assert sum(passed.values()) == pytest.approx(whole, rel=0.01)
    assert min(passed.values()) > 0
