"""How often requests get into an application, and what becomes of them when nobody can tell."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.asgi_requests import ask

from pydoudou.contrib.prometheus import Metrics
from pydoudou.contrib.protection import asgi, wsgi
from pydoudou.contrib.protection.memory import MemoryStore
from pydoudou.contrib.protection.patience import Patience
from pydoudou.contrib.protection.rate import Rate
from pydoudou.contrib.protection.redis import RedisStore
from pydoudou.contrib.protection.stores import Failure, StoreFailed


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


def wsgi_answering(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"done"]


def wsgi_call(app: Any, **environ: str) -> tuple[str, dict[str, str]]:
    said: list[Any] = []
    list(app({"REMOTE_ADDR": "192.0.2.1", **environ}, lambda *arguments: said.extend(arguments)))
    return said[0], dict(said[1])


def counted(name: str, labels: dict[str, str]) -> float | None:
    gc.collect()  # limits of other tests
    collectors = CollectorRegistry()
    metrics = Metrics().register(collectors)
    try:
        return collectors.get_sample_value(f"pydoudou_limit_{name}", labels)
    finally:
        metrics.unregister(collectors)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50/s", Rate(50, 1, 50)),
        ("1000/h", Rate(1000, 3600, 1000)),
        ("100/5m", Rate(100, 300, 100)),
        (" 10 / s burst 30 ", Rate(10, 1, 30)),
        ("1/d  burst  1", Rate(1, 86400, 1)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert Rate.parsed(text) == rate


@pytest.mark.parametrize(
    "text", ["", "50", "50/", "/s", "0/s", "5/0s", "5/s burst 0", "-1/s", "1.5/s", "5/w", "٥/s", "5-S"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^rate is "):
        Rate.parsed(text)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_requests_beyond_the_rate_are_told_when_to_come_back(backend: str) -> None:
    async def run() -> None:
        answers = [await ask(app) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[3].headers["retry-after"] == "20"
        assert answers[3].body == b"too many requests\n"
        assert "x-doudou-not-processed" not in answers[3].headers
        others = [await ask(app, client=("192.0.2.2", 1)), await ask(app, client=None)]
        assert [answer.status for answer in others] == [200, 200]
        assert counted("decisions_total", {"name": "default", "decision": "passed"}) == 5
        assert counted("decisions_total", {"name": "default", "decision": "refused"}) == 1

    app = asgi.RateLimit(answering, "3/m")
    anyio.run(run, backend=backend)


def test_wsgi_requests_beyond_the_rate_are_told_when_to_come_back() -> None:
    app = wsgi.RateLimit(wsgi_answering, "3/m")
    answers = [wsgi_call(app) for _ in range(4)]
    assert [status for status, _ in answers] == ["200 OK"] * 3 + ["429 Too Many Requests"]
    assert answers[3][1]["retry-after"] == "20"
    assert wsgi_call(app, REMOTE_ADDR="192.0.2.2")[0] == "200 OK"


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("a:b", "a:c", False),
    ],
)
def test_who_has_one_address_or_one_network_of_ipv6_shares_a_rate(one: str, other: str, shared: bool) -> None:
    app = wsgi.RateLimit(wsgi_answering, "1/h")
    statuses = [wsgi_call(app, REMOTE_ADDR=address)[0][:3] for address in (one, other)]
    assert statuses == ["200", "429" if shared else "200"]


def test_a_key_of_ones_own_says_who_shares_a_rate_and_who_has_none() -> None:
    app = wsgi.RateLimit(wsgi_answering, "1/h", key=lambda environ: environ["USER"] or None)
    statuses = [wsgi_call(app, USER=user)[0][:3] for user in ("ann", "bob", "ann", "", "", "é" * 5000, "é" * 5000)]
    assert statuses == ["200", "200", "429", "200", "200", "200", "429"]
    app = wsgi.RateLimit(wsgi_answering, "1/h", key=lambda environ: 7)  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="the key of a request is a int; accepted: text"):
        wsgi_call(app)


def test_limits_of_one_name_and_rate_count_together_and_others_apart() -> None:
    store = MemoryStore()
    apps = [
        wsgi.RateLimit(wsgi_answering, rate, store=store, name=name)
        for rate, name in (("1/h", "a"), ("1/h", "a"), ("1/h", "b"), ("2/h", "a"))
    ]
    assert [wsgi_call(app)[0][:3] for app in apps] == ["200", "429", "200", "200"]


def test_the_memory_of_a_limit_is_bounded_and_forgets_who_was_not_there_for_longest() -> None:
    bucket = MemoryStore(most_keys=100).bucket("a", Rate.parsed("1/h"))
    assert [bucket.take(f"{i}") for i in range(100)] == [None] * 100
    assert bucket.take("0") is not None
    assert bucket.take("one more") is None
    assert bucket.take("0") is not None
    assert bucket.take("1") is None


class Failing:
    """A store that does not tell."""

    def __init__(self, when_down: Any) -> None:
        self.when_down = when_down
        self.failure = Failure.DOWN

    def bucket(self, name: str, rate: Rate, *, compatible: bool) -> Failing:
        return self

    def take(self, key: str) -> float | None:
        raise StoreFailed(self.failure)

    async def take_async(self, key: str) -> float | None:
        return self.take(key)

    async def close_async(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(("when_down", "status"), [("open", 200), ("closed", 503)])
def test_without_its_store_a_limit_is_open_or_closed_and_says_so_in_metrics(when_down: str, status: int) -> None:
    store = Failing(when_down)
    app, other = asgi.RateLimit(answering, "1/h", store=store), wsgi.RateLimit(wsgi_answering, "1/h", store=store)
    answer = anyio.run(ask, app)
    assert answer.status == status
    assert "x-doudou-not-processed" not in answer.headers
    assert wsgi_call(other)[0].startswith(str(status))
    store.failure = Failure.NOT_ASKED
    assert wsgi_call(other)[0].startswith(str(status))
    assert counted("decisions_total", {"name": "default", "decision": when_down}) == 3
    assert counted("store_failures_total", {"name": "default", "failure": "down"}) == 2
    assert counted("store_failures_total", {"name": "default", "failure": "not_asked"}) is None


def test_after_three_failures_a_store_is_asked_once_a_second_by_one() -> None:
    patience = Patience()
    for now in (0.0, 0.1, 0.2):
        assert patience.may_ask(now)
        patience.failed(now)
    assert [patience.may_ask(now) for now in (0.3, 1.1, 1.3, 1.4)] == [False, False, True, False]
    assert not patience.may_ask(5.0)  # the one who asks has no answer yet
    patience.failed(5.0)
    assert [patience.may_ask(now) for now in (5.9, 6.0)] == [False, True]
    patience.given_up()
    assert [patience.may_ask(now) for now in (6.5, 7.0)] == [False, True]
    patience.answered()
    assert [patience.may_ask(7.0) for _ in range(5)] == [True] * 5
    assert not patience.failing


def test_failures_with_answers_between_them_are_no_outage() -> None:
    patience = Patience()
    for now in range(10):
        assert patience.may_ask(now)
        patience.failed(now)
        if now % 2:
            patience.answered()
    assert patience.may_ask(10.0)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: wsgi.RateLimit(wsgi_answering, 5), "rate is a int; accepted: text such as"),
        (lambda: wsgi.RateLimit(wsgi_answering, "5/s", key="user"), "key is a str; accepted: a function"),
        (lambda: wsgi.RateLimit(wsgi_answering, "5/s", name="a:b"), "name is 'a:b'"),
        (
            lambda: wsgi.RateLimit(wsgi_answering, "5/s", compatible=True),
            "compatible is True; accepted with a RedisStore",
        ),
        (lambda: MemoryStore(0), "most_keys is 0; accepted: 1 or more"),
        (lambda: RedisStore("redis://h", within=0), "within is 0; accepted: seconds, more than 0"),
        (lambda: RedisStore("redis://h", when_down="ajar"), 'when_down is \'ajar\'; accepted: "open" and "closed"'),
        (lambda: RedisStore(None), "url is a NoneType; accepted: redis://"),
        (lambda: RedisStore("redis://"), "url is of redis://; accepted: redis://"),
        (lambda: RedisStore("unix:"), "url is of unix://; accepted"),
        (lambda: RedisStore("http://:secret@h"), "url is of http://h; accepted"),
        (lambda: RedisStore("redis://:secret@h:x"), "url cannot be read; accepted"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(make: Any, named: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert str(caught.value).startswith(named)
    assert "secret" not in str(caught.value)
