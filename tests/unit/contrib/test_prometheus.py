"""What Prometheus is told, read back from the text that it would scrape."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.asked import AskedPlugin
from support.hammer import hammer
from support.metrics_table import every_family, with_table
from support.scripted import ScriptedPlugin, member, settings

import pydoudou
from pydoudou import CallPolicy, CircuitBreaker, DriverStatus, HealthPolicy, MemberState, Registry, RoundRobin
from pydoudou.balancers.calls.call import Call
from pydoudou.balancers.service_state import state_of
from pydoudou.contrib.metrics.families import of_driver
from pydoudou.contrib.metrics.protection import BulkheadCounts, LimitCounts
from pydoudou.contrib.prometheus import Metrics
from pydoudou.discovery import default_registry
from pydoudou.drivers.members import Metric, MetricKind, Outcome, Reached

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
A, B = member("10.0.0.1"), member("10.0.0.2", state=MemberState.SUSPECT)


class Scraped:
    """Values by name and labels."""

    def __init__(self, collectors: CollectorRegistry) -> None:
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.kinds: dict[str, str] = {}
        for family in text_string_to_metric_families(generate_latest(collectors).decode()):
            self.kinds[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"{sample.name} is there twice"
                self.samples[key] = sample.value

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))

    def by(self, name: str, *labels: str) -> dict[Any, float]:
        """The values of one name, by the values of these labels."""
        found = {tuple(dict(key)[label] for label in labels): v for (n, key), v in self.samples.items() if n == name}
        return {key[0] if len(key) == 1 else key: value for key, value in found.items()}

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


@pytest.fixture
def plugin() -> ScriptedPlugin:
    return ScriptedPlugin(members=[A, B])


@pytest.fixture
def registry(plugin: ScriptedPlugin) -> Iterator[Registry]:
    with Registry(settings(plugin)) as registry:
        yield registry


@pytest.fixture
def collectors() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


@pytest.fixture
def scrape(registry: Registry, collectors: CollectorRegistry) -> Callable[[], Scraped]:
    """What the metrics of `registry` are now."""
    Metrics(registry).register(collectors)
    return lambda: Scraped(collectors)


@pytest.fixture
def no_default() -> Iterator[None]:
    """Whatever a test makes the default registry is stopped, and nobody follows it any more."""
    yield
    pydoudou.shutdown()


# -- members, backends -------------------------------------------------------------------------------------------------


def test_members_are_counted_by_service_state_and_source(scrape: Callable[[], Scraped]) -> None:
    assert scrape().by("pydoudou_members", "service", "state", "source") == {
        ("orders", "alive", "scripted"): 1,
        ("orders", "suspect", "scripted"): 1,
    }


def test_a_member_of_two_backends_is_counted_once(collectors: CollectorRegistry) -> None:
    first, second = ScriptedPlugin("first", members=[A]), ScriptedPlugin("second", members=[A])
    with Registry(settings(first, second)) as registry:
        Metrics(registry).register(collectors)
        assert Scraped(collectors).by("pydoudou_members", "source") == {"first+second": 1}


def test_the_state_of_the_registry_and_its_backends(scrape: Callable[[], Scraped], plugin: ScriptedPlugin) -> None:
    told = scrape()
    assert told("pydoudou_running") == told("pydoudou_ready") == told("pydoudou_services") == 1
    assert told("pydoudou_registered") == 0, "it only looks"
    assert told("pydoudou_info", version=pydoudou.__version__, service="", modes="scripted") == 1
    assert told("pydoudou_backend_ready", backend="scripted") == 1
    assert told("pydoudou_service_stale", service="orders") == 0
    plugin.sink.authoritative(False, "cut off")
    told = scrape()
    assert told("pydoudou_backend_authoritative", backend="scripted") == 0
    assert told("pydoudou_service_stale", service="orders") == 1


def test_whoever_registers_is_registered(plugin: ScriptedPlugin, collectors: CollectorRegistry) -> None:
    with Registry(settings(plugin, register=True, service_name="me", register_host="127.0.0.1", port=6060)) as registry:
        Metrics(registry).register(collectors)
        told = Scraped(collectors)
        assert told("pydoudou_registered") == told("pydoudou_presence", state="running") == 1
        registry.drain(0.0)
        told = Scraped(collectors)
        assert told("pydoudou_registered") == 0
        assert told("pydoudou_presence", state="left") == sum(told.by("pydoudou_presence", "state").values()) == 1
    told = Scraped(collectors)
    assert told("pydoudou_running") == 0
    assert told("pydoudou_presence", state="stopped") == 1


def test_nobody_is_asked_for_a_service_because_somebody_looks(collectors: CollectorRegistry) -> None:
    plugin = AskedPlugin()
    with Registry(settings(plugin)) as registry:
        registry.subscribe("orders").wait(5.0)
        Metrics(registry).register(collectors)
        for _ in range(3):
            assert Scraped(collectors)("pydoudou_backend_subscriptions", backend="scripted") == 1
        assert plugin.wanted == ["orders"]


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (Metric("suspicions", MetricKind.COUNTER, ""), "pydoudou_my_mode_suspicions_total"),
        (Metric("queued", MetricKind.GAUGE, ""), "pydoudou_my_mode_queued"),
        (Metric("bytes_held", MetricKind.GAUGE, "", "bytes"), "pydoudou_my_mode_held_bytes"),
        (Metric("waited", MetricKind.COUNTER, "", "seconds"), "pydoudou_my_mode_waited_seconds_total"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_drivers_number_has_its_mode_its_unit_and_its_kind_in_the_name(metric: Metric, name: str) -> None:
    assert of_driver("my-mode", metric).name == name


def test_numbers_that_a_driver_does_not_declare_are_shown_too(
    scrape: Callable[[], Scraped], plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = DriverStatus("scripted", True, "", counters={"looks": 3}, gauges={"depth": 1.5})
    monkeypatch.setattr(plugin.driver, "status", lambda: said)
    told = scrape()
    assert told("pydoudou_scripted_looks_total") == 3
    assert told("pydoudou_scripted_depth") == 1.5


# -- calls -------------------------------------------------------------------------------------------------------------


def test_attempts_and_calls_are_counted_by_how_they_ended(registry: Registry, scrape: Callable[[], Scraped]) -> None:
    orders = RoundRobin("orders", registry)
    for reached in (Reached.UNCONNECTED, Reached.BROKEN, Reached.TIMED_OUT, Reached.REFUSED):
        orders.begin().done(Outcome(A, reached, seconds=0.1))
    for status in (101, 204, 302, 404, 503, 700, None):
        orders.begin().done(Outcome(A, Reached.ANSWERED, status, 0.1, 0.2, True))
    orders.begin().done(Outcome(A, Reached.ANSWERED, 503, 0.1), last=False)
    orders.begin().cancel()
    told = scrape()
    calls = {
        **{"unconnected": 1, "broken": 1, "timed_out": 1, "refused": 1},
        **{"1xx": 1, "2xx": 1, "3xx": 1, "4xx": 1, "5xx": 1, "answered": 2},
    }
    assert told.by("pydoudou_calls_total", "outcome") == calls
    assert told.by("pydoudou_attempts_total", "outcome") == calls | {"5xx": 2}
    assert told("pydoudou_picks_total", service="orders") == 13
    assert told("goresilience_timeout_timeouts_total", id="orders") == 1
    assert told("pydoudou_attempts_in_flight", service="orders") == 0


def test_a_call_in_flight_is_one(registry: Registry, scrape: Callable[[], Scraped]) -> None:
    pick = RoundRobin("orders", registry).begin()
    assert scrape()("pydoudou_attempts_in_flight", service="orders") == 1
    pick.cancel()
    assert scrape()("pydoudou_attempts_in_flight", service="orders") == 0


def test_a_histogram_adds_up_and_says_what_a_whole_call_took(registry: Registry, scrape: Callable[[], Scraped]) -> None:
    orders = RoundRobin("orders", registry)
    for seconds in (0.001, 0.003, 0.7, 99.0):
        orders.begin().done(Outcome(A, Reached.ANSWERED, 200, 0.0, seconds, True))
    moved = orders.begin()
    moved.before = 2.0
    moved.done(Outcome(A, Reached.ANSWERED, 500, 0.1, 0.5, True))
    told = scrape()
    found = told.by("pydoudou_call_duration_seconds_bucket", "success", "le")
    buckets = {le: count for (success, le), count in found.items() if success == "true"}
    assert [buckets[le] for le in ("0.001", "0.0025", "0.005", "0.5", "1.0", "60.0", "+Inf")] == [1, 1, 2, 2, 3, 3, 4]
    assert told("pydoudou_call_duration_seconds_sum", service="orders", success="true") == pytest.approx(99.704)
    assert told("pydoudou_call_duration_seconds_sum", service="orders", success="false") == pytest.approx(2.5)
    assert told.by("goresilience_command_execution_duration_seconds_count", "id", "success") == {
        ("orders", "true"): 4,
        ("orders", "false"): 1,
    }


def test_who_is_out_and_why(registry: Registry, plugin: ScriptedPlugin, scrape: Callable[[], Scraped]) -> None:
    plugin.report(*(member(f"10.0.0.{number}") for number in range(1, 5)))
    orders = RoundRobin("orders", registry)
    while not state_of(registry, "orders").memory.health.ejections.out:
        pick = orders.begin()
        failed = pick.member.host == "10.0.0.1"
        pick.done(Outcome(pick.member, Reached.UNCONNECTED if failed else Reached.ANSWERED, None if failed else 200))
    told = scrape()
    assert told("pydoudou_ejected_members", service="orders") == 1
    assert sum(told.by("pydoudou_ejections_total", "rule").values()) == 1
    assert told("pydoudou_panic", service="orders") == 0


def test_what_a_dry_run_would_have_done(
    registry: Registry, plugin: ScriptedPlugin, scrape: Callable[[], Scraped]
) -> None:
    plugin.report(*(member(f"10.0.0.{number}") for number in range(1, 5)))
    orders = RoundRobin("orders", registry)
    orders.health = HealthPolicy(dry_run=frozenset({"consecutive"}), success_ratio=None)
    for _ in range(40):
        pick = orders.begin()
        failed = pick.member.host == "10.0.0.1"
        pick.done(Outcome(pick.member, Reached.UNCONNECTED if failed else Reached.ANSWERED, None if failed else 200))
    told = scrape()
    assert told("pydoudou_ejected_members", service="orders") == 0
    assert told("pydoudou_dry_run_total", service="orders", rule="consecutive") == 1


def test_services_beyond_the_most_are_added_up(plugin: ScriptedPlugin, collectors: CollectorRegistry) -> None:
    plugin.members = [member(service=f"s{number}") for number in range(5)]
    with Registry(settings(plugin)) as registry:
        Metrics(registry, most_services=2).register(collectors)
        for service in ("s3", "s4", "s0", "s1"):
            RoundRobin(service, registry).begin().done(Outcome(A, Reached.ANSWERED, 200))
        told = Scraped(collectors)
    assert told.by("pydoudou_members", "service") == {"s3": 1, "s4": 1, "(others)": 3}
    assert told.by("pydoudou_picks_total", "service") == {"s3": 1, "s4": 1, "(others)": 2}
    assert told("pydoudou_call_duration_seconds_count", service="(others)", success="true") == 2
    assert told("pydoudou_moves_total", service="(others)") == 0
    assert told("pydoudou_services") == 5


def test_a_name_that_is_no_text_costs_nobody_the_scrape(
    plugin: ScriptedPlugin, collectors: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = DriverStatus("scripted", True, "", gauges={"d\u00e9pth \udc80": 1})
    with Registry(settings(plugin)) as registry:
        Metrics(registry, name="\udc80").register(collectors)
        monkeypatch.setattr(plugin.driver, "status", lambda: said)
        told = Scraped(collectors)
    assert told("pydoudou_running", registry="\\udc80") == 1
    assert told("pydoudou_scripted_d_pth__", registry="\\udc80") == 1


def test_scraping_amid_calls_of_many_threads_loses_none(registry: Registry, scrape: Callable[[], Scraped]) -> None:
    orders = RoundRobin("orders", registry)

    def call() -> None:
        orders.begin().done(Outcome(A, Reached.ANSWERED, 200, 0.1, 0.1, True))

    hammer([call, call, call, scrape], rounds=50)
    assert scrape()("pydoudou_calls_total", service="orders", outcome="2xx") == 150


# -- registering -------------------------------------------------------------------------------------------------------


def test_what_is_registered_twice_is_told_once(registry: Registry, collectors: CollectorRegistry) -> None:
    first = Metrics(registry)
    assert first.register(collectors) is first
    assert first.register(collectors) is first
    assert Metrics(registry).register(collectors) is first
    assert Metrics(registry, name="another").register(collectors) is first
    RoundRobin("orders", registry).begin().done(Outcome(A, Reached.ANSWERED, 200))
    told = Scraped(collectors)
    assert told("pydoudou_running") == 1
    assert told("pydoudou_picks_total", service="orders") == 1


def test_two_registries_are_told_apart_by_their_names(plugin: ScriptedPlugin, collectors: CollectorRegistry) -> None:
    with Registry(settings(plugin)) as one, Registry(settings(ScriptedPlugin())) as other:
        Metrics(one).register(collectors)
        with pytest.raises(
            ValueError, match=r"under the name '': give each a name of its own, Metrics\(registry, name="
        ):
            Metrics(other).register(collectors)
        Metrics(other, name="other").register(collectors)
        told = Scraped(collectors)
        assert told("pydoudou_services") == 1
        assert told("pydoudou_services", registry="other") == 0


def test_a_registry_that_was_stopped_gives_its_name_up(plugin: ScriptedPlugin, collectors: CollectorRegistry) -> None:
    with Registry(settings(plugin)) as first:
        Metrics(first).register(collectors)
    with Registry(settings(ScriptedPlugin())) as second:
        Metrics(second).register(collectors)
        assert Scraped(collectors)("pydoudou_services") == 0
    assert not first.observers


def test_a_registry_is_not_held(plugin: ScriptedPlugin, collectors: CollectorRegistry) -> None:
    registry = Registry(settings(plugin))
    Metrics(registry).register(collectors)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None
    assert Scraped(collectors)("pydoudou_running") == 0


def test_what_is_unregistered_counts_no_more_and_can_be_registered_again(
    registry: Registry, collectors: CollectorRegistry
) -> None:
    metrics = Metrics(registry)
    metrics.unregister(collectors)
    metrics.register(collectors)
    metrics.unregister(collectors)
    assert not registry.observers
    assert not Scraped(collectors).names
    metrics.register(collectors)
    assert Scraped(collectors)("pydoudou_running") == 1


@pytest.mark.usefixtures("no_default")
def test_the_default_registry_is_found_whenever_it_runs(plugin: ScriptedPlugin, collectors: CollectorRegistry) -> None:
    metrics = Metrics().register(collectors)
    assert Metrics().register(collectors) is metrics
    assert Scraped(collectors)("pydoudou_running") == 0
    for calls in (1, 2):
        pydoudou.new_node(settings=settings(plugin), register=False)
        RoundRobin("orders").begin().done(Outcome(A, Reached.ANSWERED, 200))
        told = Scraped(collectors)
        assert told("pydoudou_running") == 1
        assert told("pydoudou_calls_total", service="orders", outcome="2xx") == calls
        pydoudou.shutdown()
    metrics.unregister(collectors)
    registry = pydoudou.new_node(settings=settings(plugin), register=False)
    assert not registry.observers


@pytest.mark.usefixtures("no_default")
def test_an_observer_of_the_default_registry_hears_of_the_one_that_runs(plugin: ScriptedPlugin) -> None:
    registry = pydoudou.new_node(settings=settings(plugin), register=False)
    observer = pydoudou.Observer()
    default_registry.observe(observer)
    default_registry.observe(observer)
    assert registry.observers
    default_registry.observe_no_more(observer)
    assert not registry.observers


def test_a_forked_child_tells_nothing_of_its_parent(registry: Registry, collectors: CollectorRegistry) -> None:
    copy = Registry(registry.settings)
    copy.inherit()
    Metrics(copy).register(collectors)
    told = Scraped(collectors)
    assert told("pydoudou_running") == 0
    assert "pydoudou_members" not in told.names


def test_a_metric_of_the_users_own_with_such_a_name_is_refused(
    registry: Registry, collectors: CollectorRegistry
) -> None:
    Counter("pydoudou_picks", "mine", registry=collectors)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Metrics(registry).register(collectors)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"registry": "orders"}, "registry is a str; accepted: a Registry, or None"),
        ({"most_services": 0}, "most_services is 0; accepted: 1 or more"),
    ],
    ids=["registry", "most_services"],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        Metrics(**arguments)


# -- requests that are answered ----------------------------------------------------------------------------------------


class Pattern:
    """What a framework leaves in the scope."""

    path = "/items/{id}"


def asgi(app: Any, method: str = "GET", **scope: Any) -> None:
    async def send(message: Any) -> None:
        """Nobody listens."""

    asyncio.run(app({"type": "http", "method": method, "path": "/items/7", **scope}, None, send))


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope.get("fails"):
        raise ConnectionError("no database")
    scope["route"] = Pattern
    await send({"type": "http.response.start", "status": scope.get("status", 200)})
    await send({"type": "http.response.body", "body": b""})


def test_requests_of_an_asgi_application_are_counted_by_the_pattern_of_their_route(
    registry: Registry, collectors: CollectorRegistry
) -> None:
    app = Metrics(registry).register(collectors).asgi(hello)
    for scope in ({}, {"status": 404}, {"method": "BREW"}):
        asgi(app, **scope)
    with pytest.raises(ConnectionError):
        asgi(app, fails=True)
    told = Scraped(collectors)
    assert told.by("go_doudou_http_request_count", "path", "method", "status") == {
        ("/items/{id}", "GET", "200"): 1,
        ("/items/{id}", "GET", "404"): 1,
        ("/items/{id}", "OTHER", "200"): 1,
        ("", "GET", "500"): 1,
    }
    assert told("go_doudou_http_response_time_seconds_count", path="/items/{id}", method="GET") == 2


def test_what_is_no_request_passes(registry: Registry, collectors: CollectorRegistry) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Metrics(registry).register(collectors).asgi(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
    assert "go_doudou_http_request_count" not in Scraped(collectors).names


def test_requests_of_a_wsgi_application_are_counted_when_their_answer_is_closed(
    registry: Registry, collectors: CollectorRegistry
) -> None:
    closed = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Any:
        if environ.get("fails"):
            raise ConnectionError("no database")
        start_response("201 Created", [])
        return Body([b"made"])

    metrics = Metrics(registry).register(collectors)
    body = metrics.wsgi(app, route=lambda environ: "/items")({"REQUEST_METHOD": "POST"}, lambda *_: print)
    assert "go_doudou_http_request_count" not in Scraped(collectors).names
    assert list(body) == [b"made"]
    body.close()  # type: ignore[attr-defined]
    assert closed
    with pytest.raises(ConnectionError):
        metrics.wsgi(app)({"REQUEST_METHOD": "GET", "fails": True}, lambda *_: print)
    assert Scraped(collectors).by("go_doudou_http_request_count", "path", "method", "status") == {
        ("/items", "POST", "201"): 1,
        ("", "GET", "500"): 1,
    }


def test_the_names_of_the_tutorial_are_told_to_who_asks_for_them(
    registry: Registry, collectors: CollectorRegistry, plugin: ScriptedPlugin
) -> None:
    app = Metrics(registry).register(collectors).asgi(hello)
    asgi(app)
    assert "response_status" not in Scraped(collectors).names
    Counter("http_requests", "mine, of a library for FastAPI", registry=collectors)
    with Registry(settings(plugin)) as other:
        asking = Metrics(other, name="other", tutorial_names=True)
        with pytest.raises(ValueError, match="http_requests"):
            asking.register(collectors)
        assert Scraped(collectors)("pydoudou_running") == 1, "what was registered still is"
        free = CollectorRegistry()
        for metrics in (Metrics(registry), asking):
            served = metrics.register(free).asgi(hello)
            for method, status in (("GET", 200), ("POST", 200), ("GET", 404)):
                asgi(served, method, status=status)
        told = Scraped(free)
    assert told.by("http_requests_total", "registry", "path") == {("other", "/items/{id}"): 3}
    assert told.by("response_status", "registry", "status") == {("other", "200"): 2, ("other", "404"): 1}
    assert told("http_response_time_seconds_count", registry="other", path="/items/{id}") == 3


def test_routes_without_end_are_cut(registry: Registry, collectors: CollectorRegistry) -> None:
    routes = iter(range(300))
    app = Metrics(registry).register(collectors).asgi(hello, route=lambda scope: f"/{next(routes)}")
    for _ in range(300):
        asgi(app)
    counts = Scraped(collectors).by("go_doudou_http_request_count", "path")
    assert len(counts) == 257
    assert counts[""] == 44


# -- names -------------------------------------------------------------------------------------------------------------


def test_the_table_of_the_manual_is_current() -> None:
    text = PAGE.read_text("utf-8")
    assert text == with_table(text), "run make reference"


def test_every_name_is_there_once_and_as_prometheus_wants_it() -> None:
    families = list(every_family())
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch("[a-z]+(_[a-z0-9]+)*", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.help
        assert family.help.rstrip(".") == family.help
        assert {"path", "address", "host", "data"}.isdisjoint(family.labels) or "http" in family.name


def test_what_is_told_has_the_names_kinds_and_labels_of_the_table(
    registry: Registry, collectors: CollectorRegistry, plugin: ScriptedPlugin
) -> None:
    metrics = Metrics(registry, name="one", tutorial_names=True).register(collectors)
    asgi(metrics.asgi(hello))
    orders = RoundRobin("orders", registry)
    orders.begin().done(Outcome(A, Reached.ANSWERED, 200))
    policy = CallPolicy(breaker=CircuitBreaker(least_calls=1))
    call = Call(policy, orders, "GET", "http://orders/", True, orders.begin().started, logging.getLogger())
    now = time.monotonic()
    call.next(call.first(now), Reached.BROKEN, ConnectionResetError(), now)
    assert orders.state is not None
    orders.state.calls.count("dry_run_budget")
    bulkhead, limit = BulkheadCounts("one", 5), LimitCounts("one")
    limit.decide("open")
    limit.fail("down")
    declared = {family.name: family for family in every_family()}
    found = set()
    for family in read_openmetrics(openmetrics.generate_latest(collectors).decode()):
        for sample in family.samples:
            name = re.sub("_(bucket|sum|count)$", "", sample.name) if family.type == "histogram" else sample.name
            kind = {"unknown": "untyped"}.get(family.type, family.type)
            assert declared[name].kind == kind
            of_registry = re.match("pydoudou_(bulkhead|limit)_", name) is None
            assert {*declared[name].labels, *(["registry"] * of_registry)} == set(sample.labels) - {"le"}
            found.add(name)
    assert bulkhead.in_flight == 0
    missing = set(declared) - found
    assert {name for name in missing if not re.match("pydoudou_(memberlist|nacos)_", name)} == set()
