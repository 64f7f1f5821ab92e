"""Real calls and real gossip, scraped as Prometheus does it: over HTTP, by a Prometheus where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import prometheus_client
import pytest
from prometheus_client import multiprocess
from prometheus_client.parser import text_string_to_metric_families
from support.gossip import FAST_GOSSIP, gossip_address, gossip_nodes, gossiping
from support.http_members import HttpMember, reset
from support.prometheus import Ask, prometheus
from support.waiting import eventually

from pydoudou import CallPolicy, CircuitBreaker, CircuitOpen, Registry, RoundRobin, Settings
from pydoudou.contrib.httpx import DiscoveryTransport, attempts_of
from pydoudou.contrib.prometheus import Metrics
from pydoudou.contrib.servers.registrar import shared
from pydoudou.drivers.members import Outcome, Reached

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
TEXT = PAGE.read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
QUERIES = [
    *re.findall(r"^\| [^|`]+ \| `(.*)` \|$", TEXT, re.MULTILINE),
    *"".join(re.findall(r"^```promql\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)).splitlines(),
]


@pytest.fixture
def collectors() -> prometheus_client.CollectorRegistry:
    return prometheus_client.CollectorRegistry()


@pytest.fixture
def port(collectors: prometheus_client.CollectorRegistry) -> Iterator[int]:
    """Where `collectors` are scraped."""
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1", collectors)
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def value(port: int) -> Callable[..., float | None]:
    """The sum of the values that a scrape finds under a name and labels; None if there is none."""

    def scraped(name: str, **labels: str) -> float | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None

    return scraped


@pytest.fixture
def short_folder() -> Iterator[str]:
    """For a Unix socket, whose path must not be long."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


@contextlib.contextmanager
def calling(*members: HttpMember) -> Iterator[Registry]:
    """A registry that knows these members of orders by their addresses."""
    addresses = ",".join(member.member().base_url for member in members)
    fixed = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": addresses}
    with Registry(Settings.from_env(fixed, register=False)) as registry:
        yield registry


def test_calls_that_moved_are_told_with_all_of_their_attempts_and_all_of_their_time(
    collectors: prometheus_client.CollectorRegistry, value: Callable[..., float | None]
) -> None:
    bad = HttpMember("bad", answer=lambda handler: handler.reply(503))
    with (
        HttpMember() as good,
        bad,
        HttpMember("broken", answer=reset) as broken,
        calling(good, bad, broken) as registry,
    ):
        Metrics(registry).register(collectors)
        attempts, seconds = 0, 0.0
        transport = DiscoveryTransport(balancer={"orders": RoundRobin("orders", registry)})
        with httpx.Client(transport=transport) as client:
            for _ in range(6):
                made = attempts_of(client.get("http://orders/items"))
                attempts += len(made)
                seconds += sum(attempt.seconds + attempt.delay for attempt in made)
    assert value("pydoudou_calls_total", service="orders", outcome="2xx") == value("pydoudou_calls_total") == 6
    assert value("pydoudou_attempts_total") == attempts > 6
    assert value("pydoudou_attempts_total", outcome="5xx")
    assert value("pydoudou_attempts_total", outcome="broken")
    assert value("pydoudou_moves_total", service="orders") == attempts - 6
    assert value("goresilience_retry_retries_total", id="orders") == attempts - 6
    took = value("pydoudou_call_duration_seconds_sum", service="orders", success="true")
    assert took is not None
    assert took >= seconds, "waits and reading the body are in it"
    left = value("pydoudou_retry_budget_left", service="orders")
    assert left == pytest.approx(10 + 0.2 * 6 - (attempts - 6), abs=1.01)


def test_a_breaker_that_opens_and_closes_is_told_in_both_languages(
    collectors: prometheus_client.CollectorRegistry, value: Callable[..., float | None]
) -> None:
    breaker = CircuitBreaker(least_calls=2, open_for=0.05)
    with HttpMember(answer=lambda handler: handler.reply(500)) as member, calling(member) as registry:
        Metrics(registry).register(collectors)
        transport = DiscoveryTransport(
            balancer={"orders": RoundRobin("orders", registry)}, policy=CallPolicy(breaker=breaker)
        )
        with httpx.Client(transport=transport) as client:
            for _ in range(2):
                client.get("http://orders/items")
            with pytest.raises(httpx.ConnectError) as refused:
                client.get("http://orders/items")
            assert isinstance(refused.value.__cause__, CircuitOpen)
            assert value("pydoudou_breakers", service="orders", state="open") == 1
            assert value("goresilience_circuitbreaker_current_condition", id="orders") == 1
            member.answer = lambda handler: handler.reply(200)

            def answered() -> bool:
                with contextlib.suppress(httpx.ConnectError):
                    return client.get("http://orders/items").status_code == 200
                return False

            eventually(answered)
    assert value("pydoudou_breakers", service="orders", state="closed") == 1
    for state in ("open", "half_open", "closed"):
        assert value("pydoudou_breaker_changes_total", service="orders", state=state) == 1
    for state in ("open", "halfopen", "closed"):
        assert value("goresilience_circuitbreaker_state_changes_total", id="orders", state=state) == 1
    assert (value("pydoudou_breaker_refused_total", service="orders") or 0) >= 1
    assert value("goresilience_command_execution_duration_seconds_count", id="orders", success="false") == 2


def test_gossip_tells_of_its_packets_and_of_who_is_there(
    collectors: prometheus_client.CollectorRegistry, value: Callable[..., float | None]
) -> None:
    with gossiping("orders") as first, gossiping("users", GDD_MEM_SEED=gossip_address(first)) as second:
        eventually(lambda: gossip_nodes(first) == gossip_nodes(second) == 2)
        Metrics(first, name="first").register(collectors)
        Metrics(second, name="second").register(collectors)
        for name in ("first", "second"):
            assert value("pydoudou_members", registry=name, service="users", source="memberlist") == 1
            assert value("pydoudou_backend_nodes", registry=name, backend="memberlist") == 2
            assert value("pydoudou_memberlist_health_score", registry=name) == 0
            assert value("pydoudou_registered", registry=name) == 1
        eventually(lambda: value("pydoudou_memberlist_packets_received_total", registry="first"))
        eventually(lambda: value("pydoudou_memberlist_packets_sent_total", registry="second"))
        assert (value("pydoudou_memberlist_push_pulls_total", registry="second") or 0) >= 1


def test_of_a_node_that_workers_share_each_tells_how_it_is_and_one_what_it_has_counted(
    collectors: prometheus_client.CollectorRegistry,
    value: Callable[..., float | None],
    monkeypatch: pytest.MonkeyPatch,
    short_folder: str,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", short_folder)
    settings = shared(Settings.from_env(FAST_GOSSIP, register=False))
    with Registry(settings) as first, Registry(settings) as second:
        names = ("first", "second")
        for name, registry in zip(names, (first, second), strict=True):
            Metrics(registry, name=name).register(collectors)
        for name in names:
            eventually(lambda name=name: value("pydoudou_memberlist_health_score", registry=name) == 0, timeout=20)
        assert value("pydoudou_memberlist_nodes_joined_total") == 1


def test_nothing_is_complained_of_when_somebody_observes_a_node_from_its_start(
    collectors: prometheus_client.CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry = gossiping("orders")
    Metrics(registry).register(collectors)
    with registry:
        pass
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_of_the_manual_runs(block: str) -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GDD_")}
    environment |= FAST_GOSSIP | {"GDD_SERVICE_NAME": "shop"}
    program = block.replace("9464", "0")  # which another run of this test may have
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


# -- several workers ---------------------------------------------------------------------------------------------------

PRELOADED = """
import asyncio, os, sys
import pydoudou
from pydoudou.contrib.prometheus import Metrics
from pydoudou.contrib.servers.registrar import shared
from pydoudou.drivers.members import Outcome, Reached

async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})

async def ignored(message):
    pass

metrics = Metrics().register()
app = metrics.asgi(hello)

def work(calls):
    with pydoudou.new_node(register=False):
        orders = pydoudou.RoundRobin("orders")
        for _ in range(calls):
            pick = orders.begin()
            pick.done(Outcome(pick.member, Reached.ANSWERED, 200, 0.01, 0.01, True))
        asyncio.run(app({"type": "http", "method": "GET"}, None, ignored))

def forked(calls):
    child = os.fork()
    if not child:
        work(calls)
        sys.exit()  # as workers of gunicorn end
    assert os.waitpid(child, 0)[1] == 0

forked(3)
forked(4)
work(5)
forked(6)
"""


def worked(folder: Path) -> subprocess.CompletedProcess[str]:
    """What became of the workers, which had their metrics added up in `folder`."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GDD_")}
    environment |= {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": "http://10.0.0.1:1,http://10.0.0.2:1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRELOADED],  # of forks amid threads
        env=environment | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_the_calls_of_all_workers_are_added_up_the_preloaded_and_forked_included(tmp_path: Path) -> None:
    assert not worked(tmp_path).stderr
    collectors = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(collectors, str(tmp_path))
    text = prometheus_client.generate_latest(collectors).decode()
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    calls = 3 + 4 + 5 + 6
    assert told["pydoudou_calls_total", "2xx", "orders"] == calls
    assert told["pydoudou_call_duration_seconds_count", "orders", "true"] == calls
    assert told["pydoudou_call_duration_seconds_sum", "orders", "true"] == pytest.approx(calls / 100)
    assert told["pydoudou_call_duration_seconds_bucket", "0.01", "orders", "true"] == calls
    assert told["goresilience_command_execution_duration_seconds_count", "orders", "true"] == calls
    assert told["go_doudou_http_request_count", "GET", "", "200"] == 4


FORKED_AMID_WRITES = """
import os, signal, threading
from pydoudou.contrib.metrics.families import FAMILIES
from pydoudou.contrib.metrics.workers import Workers

family = next(each for each in FAMILIES.values() if each.kind == "gauge")
workers = Workers(lambda: [(family, {"service": str(number)}, 1.0) for number in range(50)])

def write_on():
    while True:
        workers.write()
        threading.Event().wait(0.0001)

threading.Thread(target=write_on, daemon=True).start()
signal.alarm(40)
for _ in range(40):
    child = os.fork()
    if not child:
        signal.alarm(10)
        Workers(lambda: [(family, {"service": "mine"}, 1.0)]).write()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "it waits for a lock that nobody holds in it"
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_who_is_forked_while_its_parent_writes_its_numbers_can_write_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED_AMID_WRITES],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_a_folder_that_is_not_there_is_said_once_by_each_worker_and_ends_nothing(tmp_path: Path) -> None:
    said = worked(tmp_path / "nowhere").stderr.splitlines()
    assert len(said) == 4
    assert all("metrics cannot be written to where the workers' are added up" in line for line in said)


# -- a Prometheus ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ask(port: int, tmp_path: Path) -> Iterator[Ask]:
    """What a Prometheus that scrapes `port` answers to a query."""
    with prometheus(tmp_path, static_configs=[{"targets": [f"127.0.0.1:{port}"]}]) as answer:
        yield answer


PANELS = (
    "sum(goresilience_command_execution_duration_seconds_count) by (id, success)",
    "sum(goresilience_circuitbreaker_state_changes_total) by (id, state)",
    "sum(response_status) by (status)",
    "http_requests_total",
    "sum(http_response_time_seconds_sum) / sum(http_response_time_seconds_count)",
    "rate(http_requests_total[1m])",
)
"""What the six panels of the tutorial's dashboard show."""


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})


async def nobody_listens(message: Any) -> None:
    """The answer goes nowhere."""


def test_a_prometheus_scrapes_it_and_answers_the_queries_of_the_manual_and_of_the_tutorial(
    collectors: prometheus_client.CollectorRegistry, ask: Ask
) -> None:
    assert len(QUERIES) == 11
    with HttpMember() as member, calling(member) as registry:
        served = Metrics(registry, tutorial_names=True).register(collectors).asgi(hello)
        asyncio.run(served({"type": "http", "method": "GET"}, nobody_listens, nobody_listens))  # type: ignore[arg-type]
        transport = DiscoveryTransport(
            balancer={"orders": RoundRobin("orders", registry)}, policy=CallPolicy(breaker=CircuitBreaker())
        )
        with httpx.Client(transport=transport) as client:
            assert client.get("http://orders/items").status_code == 200
        eventually(lambda: ask("up == 1"), 30.0)
        eventually(lambda: ({"id": "orders", "success": "true"}, 1.0) in ask(PANELS[0]), 10.0)
        for query in PANELS:
            eventually(lambda query=query: ask(query), 10.0)
        assert ask("sum(pydoudou_members)") == [({}, 1.0)]
        for query in QUERIES:
            ask(query)  # one that cannot be read is an error


def test_prometheus_own_linter_finds_nothing(collectors: prometheus_client.CollectorRegistry) -> None:
    linter = shutil.which("promtool")
    if linter is None:
        pytest.skip("there is no promtool on this machine: apt-get install prometheus")
    with HttpMember() as member, calling(member) as registry:
        Metrics(registry).register(collectors)
        RoundRobin("orders", registry).begin().done(Outcome(member.member(), Reached.ANSWERED, 200))
        text = prometheus_client.generate_latest(collectors)
    done = subprocess.run([linter, "check", "metrics"], input=text, capture_output=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
