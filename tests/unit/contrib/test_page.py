"""The registry page without a browser: who may look, what is told, and that it costs nothing while nobody looks."""

from __future__ import annotations

import base64
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import attrs
import pytest
from support.scripted import ScriptedPlugin, member, settings
from support.waiting import eventually

import pydoudou
from pydoudou import Member, MemberState, Registry
from pydoudou.contrib.page import RegistryPage
from pydoudou.contrib.page.document import Stream
from pydoudou.contrib.page.login import Login
from pydoudou.contrib.page.looking import Looking
from pydoudou.contrib.page.messages import Answer, Request
from pydoudou.contrib.page.rows import Table
from pydoudou.contrib.page.selection import MOST_ROWS, Selected, Wish
from pydoudou.discovery.configuration.followed import RemoteStatus
from pydoudou.drivers.contract import SubscribingDriver
from pydoudou.drivers.members import Outcome, Reached

LOCAL = {"host": "127.0.0.1:6060"}
GO_DOUDOU = (
    *("index", "svcName", "hostname", "baseUrl", "status", "uptime", "goVer", "gddVer", "buildUser", "buildTime"),
    *("data", "host", "svcPort", "memPort"),
)


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def ask(
    page: Any,
    path: str,
    headers: Mapping[str, str] = LOCAL,
    *,
    client: str = "127.0.0.1",
    method: str = "GET",
    backend: str = "asyncio",
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what an ASGI application answers."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (client, 1234),
    }
    sent: list[Any] = []

    async def answered() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        with anyio.fail_after(20):
            await page(scope, anyio.sleep_forever, send)

    anyio.run(answered, backend=backend)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(message["body"] for message in sent[1:])


@pytest.fixture
def plugin() -> ScriptedPlugin:
    return ScriptedPlugin(members=[member("10.0.0.1", node="n1", data={"zone": "a"}), member("10.0.0.2", node="n2")])


@pytest.fixture
def registry(plugin: ScriptedPlugin) -> Iterator[Registry]:
    with Registry(settings(plugin)) as registry:
        yield registry


@pytest.fixture
def guarded(plugin: ScriptedPlugin) -> Iterator[Registry]:
    with Registry(settings(plugin, manage_user="op", manage_pass="geheim")) as registry:
        yield registry


def rows(page: RegistryPage, query: str = "") -> list[dict[str, Any]]:
    status, _, body = ask(page, f"/go-doudou/registry.json{query}")
    assert status == 200
    found: list[dict[str, Any]] = json.loads(body)["rows"]
    return found


# -- who may look ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:6061", "[::1]:6061"])
@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "127.8.9.1", "::ffff:127.0.0.1"])
def test_without_a_password_whoever_sits_at_this_machine_may_look(registry: Registry, client: str, host: str) -> None:
    assert ask(RegistryPage(registry), "/go-doudou/registry", {"host": host}, client=client)[0] == 200


@pytest.mark.parametrize(
    ("client", "headers", "reason"),
    [
        ("10.0.0.7", LOCAL, b"you are not on it"),
        ("", LOCAL, b"you are not on it"),
        ("127.0.0.1", {"host": "rebound.example"}, b"under another name"),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example:80"}, b"under another name"),
        ("127.0.0.1", {}, b"under another name"),
        ("127.0.0.1", LOCAL | {"forwarded": "for=1.2.3.4"}, b"proxy"),
        ("127.0.0.1", LOCAL | {"x-forwarded-for": "127.0.0.1"}, b"proxy"),
        ("127.0.0.1", LOCAL | {"x-forwarded-host": "localhost"}, b"proxy"),
        ("127.0.0.1", LOCAL | {"x-real-ip": "127.0.0.1"}, b"proxy"),
    ],
)
@pytest.mark.parametrize("path", ["registry", "registry.json", "config", "prometheus", "sd.json", "registry.events"])
def test_without_a_password_nobody_else_may(
    registry: Registry, path: str, client: str, headers: dict[str, str], reason: bytes
) -> None:
    status, _, body = ask(RegistryPage(registry), f"/go-doudou/{path}", headers, client=client)
    assert status == 403
    assert reason in body
    assert b"GDD_MANAGE_USER" in body


def test_with_a_password_it_decides_wherever_somebody_comes_from(guarded: Registry) -> None:
    page = RegistryPage(guarded)
    elsewhere = {"host": "registry.example", "x-forwarded-for": "1.2.3.4"}
    assert ask(page, "/go-doudou/registry", elsewhere | basic("op", "geheim"), client="10.0.0.7")[0] == 200
    for headers in (elsewhere, LOCAL):
        status, told, body = ask(page, "/go-doudou/registry", headers)
        assert (status, body) == (401, b"Unauthorised.\n")
        assert told["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(
    "header",
    [
        basic("op", "geheim2"),
        basic("op", "GEHEIM"),
        basic("", ""),
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + "A" * 8000},
        {"authorization": "Bearer " + base64.b64encode(b"op:geheim").decode()},
    ],
)
def test_a_wrong_password_is_refused(guarded: Registry, header: dict[str, str]) -> None:
    assert ask(RegistryPage(guarded), "/go-doudou/config", LOCAL | header)[0] == 401


def test_half_a_password_opens_nothing(plugin: ScriptedPlugin) -> None:
    with Registry(settings(plugin, manage_user="op")) as registry:
        status, _, body = ask(RegistryPage(registry), "/go-doudou/registry", LOCAL | basic("op", ""))
    assert status == 403
    assert b"set both" in body


def test_the_tutorials_password_is_taken_with_a_warning(
    plugin: ScriptedPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    with Registry(settings(plugin, manage_user="admin", manage_pass="admin")) as registry:
        page, header = RegistryPage(registry), LOCAL | basic("admin", "admin")
        assert ask(page, "/go-doudou/registry", header)[0] == 200
        told = json.loads(ask(page, "/go-doudou/registry.json", header)[2])
    assert "GDD_MANAGE_PASS" in told["notice"]
    warned = [record for record in caplog.records if record.levelno == logging.WARNING and "tutorial" in record.message]
    assert [vars(record)["pydoudou_reason"] for record in warned] == [
        "GDD_MANAGE_USER and GDD_MANAGE_PASS are those of the tutorial"
    ]


def refused(login: Login, client: str, password: str = "wrong") -> Answer | None:
    headers = LOCAL | basic("op", password)
    return login.refusal(Request("GET", "/registry", headers=headers, client=client), "op", "geheim")


def test_failures_slow_their_source_down_and_nobody_else() -> None:
    login = Login(now=lambda: 0.0)
    delays = [answer.held_back for _ in range(8) if (answer := refused(login, "10.0.0.7")) is not None]
    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    other = refused(login, "10.0.0.8")
    assert other is not None
    assert other.held_back == 0.25
    assert refused(login, "10.0.0.7", "geheim") is None, "a right password is never delayed"


def test_wrong_passwords_are_told_with_their_source_and_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    login = Login(now=lambda: now)
    for _ in range(1000):
        refused(login, "10.0.0.7")
    refused(login, "10.0.0.8")
    assert refused(login, "10.0.0.9", "geheim") is None
    told = [(vars(record)["pydoudou_source"], record.getMessage()) for record in caplog.records]
    line = "the registry page was asked with a wrong name or password from "
    assert told == [("10.0.0.7", f"{line}10.0.0.7"), ("10.0.0.8", f"{line}10.0.0.8")]
    now = 61.0
    refused(login, "10.0.0.7")
    assert "999 more like this" in caplog.records[-1].getMessage()


def test_failures_are_forgotten_after_a_while() -> None:
    now = 0.0
    login = Login(now=lambda: now)
    for _ in range(5):
        refused(login, "10.0.0.7")
    now = 301.0
    answer = refused(login, "10.0.0.7")
    assert answer is not None
    assert answer.held_back == 0.25


def test_a_thousand_sources_are_remembered_and_an_ipv6_subscriber_is_one() -> None:
    login = Login()
    for number in range(3000):
        refused(login, f"10.{number // 250}.0.{number % 250}")
    assert login.remembered == 1000
    login = Login()
    for number in range(100):
        refused(login, f"2001:db8::{number:x}")
    assert login.remembered == 1


def test_only_so_many_wrong_answers_wait_and_the_rest_is_told_to_come_later(guarded: Registry) -> None:
    page, statuses = RegistryPage(guarded), []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/go-doudou/registry",
        "headers": [(b"authorization", basic("op", "no")["authorization"].encode())],
        "client": ("10.0.0.7", 1),
    }

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def attack() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(page, scope, anyio.sleep_forever, send)
            with anyio.fail_after(5):
                while len(statuses) < 30:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

    anyio.run(attack)
    assert statuses.count(429) >= 30


def test_a_stream_ends_when_the_password_is_another_one(plugin: ScriptedPlugin) -> None:
    said = settings(plugin, manage_user="op", manage_pass="old")

    class Changing(Registry):
        @property
        def settings(self) -> pydoudou.Settings:
            return said

    with Changing(said) as registry:
        sent: list[Any] = []

        async def look() -> None:
            nonlocal said

            async def send(message: Any) -> None:
                nonlocal said
                sent.append(message)
                said = attrs.evolve(said, manage_pass="new")

            scope = {
                "type": "http",
                "method": "GET",
                "path": "/go-doudou/registry.events",
                "headers": [(b"authorization", basic("op", "old")["authorization"].encode())],
                "client": ("10.0.0.7", 1),
            }
            with anyio.fail_after(10):
                await RegistryPage(registry)(scope, anyio.sleep_forever, send)

        anyio.run(look)
    assert sent[0]["status"] == 200
    assert sent[-1] == {"type": "http.response.body", "body": b""}


# -- what is told ------------------------------------------------------------------------------------------------------


def test_a_row_has_go_doudous_fields_and_ours(registry: Registry) -> None:
    first, second = rows(RegistryPage(registry))
    assert [name for name in GO_DOUDOU if name not in first] == []
    assert (first["index"], first["svcName"], first["hostname"], first["status"]) == (1, "orders", "n1", "up")
    assert (first["baseUrl"], first["svcPort"], first["data"]) == ("http://10.0.0.1:6060", 6060, {"zone": "a"})
    assert (first["weight"], first["sources"], first["state"], first["zone"]) == (1.0, ["scripted"], "up", "a")
    assert (second["latency"], second["inFlight"], second["index"]) == (None, 0, 2)


def test_a_state_has_its_age_and_an_ejection_its_reason(plugin: ScriptedPlugin, registry: Registry) -> None:
    page = RegistryPage(registry)
    (before, _) = rows(page)
    balancer = pydoudou.RoundRobin("orders", registry=registry)
    plugin.report(member("10.0.0.3", node="n3"))
    for _ in range(60):
        pick = balancer.begin()
        failed = pick.member.host == "10.0.0.3"
        reached = Reached.UNCONNECTED if failed else Reached.ANSWERED
        pick.done(Outcome(pick.member, reached, None if failed else 200, 0.1, 0.1, not failed))
    held = balancer.begin()
    plugin.report(member("10.0.0.1", node="n1", data={"zone": "a"}), state=MemberState.SUSPECT)
    eventually(lambda: {row["state"] for row in rows(page)} == {"suspect", "up", "ejected"})
    suspect, up, ejected = rows(page)
    assert suspect["stateSince"] >= before["stateSince"]
    assert suspect["status"] == "suspect"
    assert up["latency"] == pytest.approx(0.1, rel=0.5)
    assert sum(row["inFlight"] for row in rows(page)) == 1
    assert ejected["reason"]
    assert ejected["ejectedFor"] > 0
    held.cancel()


def test_who_drains_and_who_has_no_weight_is_shown(plugin: ScriptedPlugin, registry: Registry) -> None:
    plugin.report(member("10.0.0.1", data={"state": "draining"}), member("10.0.0.2", weight=0.0), member("10.0.0.3"))
    assert [row["state"] for row in rows(RegistryPage(registry))] == ["draining", "idle", "up"]


def test_several_registries_are_told_apart(plugin: ScriptedPlugin) -> None:
    other = ScriptedPlugin("other", members=[member("10.0.0.1")])
    with Registry(settings(plugin)) as one, Registry(settings(other)) as two:
        page = RegistryPage({"one": one, "two": two})
        assert [row["registry"] for row in rows(page)] == ["one", "one", "two"]
        assert [row["registry"] for row in rows(page, "?q=other")] == ["two"]


@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("?q=n2", ["10.0.0.2"]),
        ("?q=ZONE%3Da", ["10.0.0.1"]),
        ("?q=orders+n1", ["10.0.0.1"]),
        ("?q=nobody", []),
        ("?sort=-node", ["10.0.0.2", "10.0.0.1"]),
        ("?sort=nonsense", ["10.0.0.1", "10.0.0.2"]),
        ("?state=suspect", []),
        ("?state=nonsense", ["10.0.0.1", "10.0.0.2"]),
        ("?sort=-latency&group=0", ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_rows_are_searched_and_sorted(registry: Registry, query: str, hosts: list[str]) -> None:
    assert [row["host"] for row in rows(RegistryPage(registry), query)] == hosts


@pytest.mark.parametrize("query", ["", "?sort=address", "?sort=node&group=0"])
def test_numbers_in_addresses_and_names_count_as_numbers(query: str) -> None:
    found = [member(f"10.0.0.{n}", node=f"web-{n}") for n in (1, 2, 10, 9, 100)]
    with Registry(settings(ScriptedPlugin(members=[*found, member("10.0.0.9", node="web-9", port=900)]))) as registry:
        shown = [row["hostname"] for row in rows(RegistryPage(registry), query)]
    assert shown == ["web-1", "web-2", "web-9", "web-9", "web-10", "web-100"]


def test_the_first_thousand_rows_are_shown_with_the_count() -> None:
    plugin = ScriptedPlugin(members=[member(f"10.0.{n // 250}.{n % 250}", node=f"n{n:04}") for n in range(1500)])
    with Registry(settings(plugin)) as registry:
        page = RegistryPage(registry)
        told = json.loads(ask(page, "/go-doudou/registry.json?sort=-node")[2])
    assert (told["total"], told["found"], len(told["rows"])) == (1500, 1500, MOST_ROWS)
    assert told["rows"][0]["hostname"] == "n1499"


def test_a_viewer_is_told_only_what_has_changed(plugin: ScriptedPlugin, registry: Registry) -> None:
    table = Table(lambda: {"": registry})
    table.refresh()
    stream = Stream(Wish())
    first = stream.news(table, "")
    assert first is not None
    assert [len(first["rows"]), len(first["order"])] == [2, 2]
    assert stream.news(table, "") is None
    plugin.report(member("10.0.0.2", node="n2", data={"zone": "b"}))
    eventually(lambda: (table.refresh(), table.version > 1)[1])
    second = stream.news(table, "")
    assert second is not None
    assert [row["zone"] for row in second["rows"]] == ["b"]
    assert "order" not in second
    assert second["rows"][0]["id"] == first["rows"][1]["id"]


def test_a_row_has_the_same_number_in_every_process_that_shows_it(registry: Registry) -> None:
    assert [row["id"] for row in rows(RegistryPage(registry))] == [row["id"] for row in rows(RegistryPage(registry))]
    assert len({row["id"] for row in rows(RegistryPage(registry))}) == 2


def test_services_that_nobody_calls_and_that_do_not_change_cost_nothing_to_look_at_again(registry: Registry) -> None:
    table = Table(lambda: {"": registry})
    table.refresh()
    before = table.services
    eventually(lambda: (table.refresh(), len(table.history) > 1)[1])
    assert table.services[0] is before[0]


def test_what_of_a_remote_configuration_is_refused_is_shown(plugin: ScriptedPlugin) -> None:
    remote = RemoteStatus("nacos", True, "follows 1 text", ("orders.env",), ("GDD_MEM_SEED: only at the start",))

    class Followed(Registry):
        def status(self) -> pydoudou.RegistryStatus:
            return attrs.evolve(super().status(), configuration=remote)

    with Followed(settings(plugin)) as registry:
        told = json.loads(ask(RegistryPage(registry), "/go-doudou/registry.json")[2])
    assert told["registries"][0]["configuration"]["refused"] == ["GDD_MEM_SEED: only at the start"]


# -- what is hostile ---------------------------------------------------------------------------------------------------

HOSTILE = Member(
    "n" * 512,
    "10.0.0.1",
    6060,
    data={"html": "<script>alert(1)</script>", "nan": float("nan"), "rtl": "\u202egnp.exe", "bytes": b"\xff\x00"},
    node="<img src=x onerror=alert(1)>",
)


def test_what_is_hostile_stays_text_and_the_json_valid(plugin: ScriptedPlugin) -> None:
    plugin.members.append(HOSTILE)
    with Registry(settings(plugin)) as registry:
        page = RegistryPage(registry)
        for path in ("registry.json", "registry.json?q=%3Cscript", "sd.json"):
            status, told, body = ask(page, f"/go-doudou/{path}")
            assert status == 200
            assert told["content-type"] == "application/json"
            assert b"<" not in body
            assert body.isascii()
            json.loads(body, parse_constant=pytest.fail)
        (row,) = rows(page, "?q=%3Cscript")
    assert row["data"]["html"] == "<script>alert(1)</script>"
    assert row["data"]["nan"] is None
    assert row["data"]["bytes"] == "\\xff\x00"


@pytest.mark.parametrize("path", ["registry", "registry.json", "registry.css", "config", "health", "nothing"])
def test_every_answer_has_the_headers_that_keep_it_from_harm(registry: Registry, path: str) -> None:
    _, told, _ = ask(RegistryPage(registry), f"/go-doudou/{path}")
    policy = told["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "no-referrer"


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(registry: Registry) -> None:
    page, size = RegistryPage(registry), 0
    for name in ("registry", "registry.css", "registry.js", "registry.svg"):
        status, _, body = ask(page, f"/go-doudou/{name}")
        assert status == 200
        size += len(body)
        text = body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "style=" not in text
        assert "onclick" not in text
        assert "innerHTML" not in text
        assert not [part for part in ("https://", "http://", "//cdn") if f'"{part}' in text or f"({part}" in text]
    assert size < 60_000


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(registry: Registry, method: str) -> None:
    assert ask(RegistryPage(registry), "/go-doudou/registry", method=method)[0] == 405


@pytest.mark.parametrize("path", ["/", "//evil.example/go-doudou/", "/go-doudou//evil.example", "/go-doudou/../config"])
def test_no_path_leads_elsewhere(registry: Registry, path: str) -> None:
    status, told, _ = ask(RegistryPage(registry), path)
    assert (status, told.get("location")) == ((307, "/go-doudou/registry") if path == "/" else (404, None))


# -- the other routes --------------------------------------------------------------------------------------------------


def test_health_is_one_word_and_a_status_for_everybody(plugin: ScriptedPlugin) -> None:
    registered = {"register": True, "service_name": "orders", "register_host": "10.0.0.7"}
    registry = Registry(settings(plugin, manage_user="op", manage_pass="geheim", **registered))
    page = RegistryPage(registry)
    assert ask(page, "/go-doudou/health", {}, client="10.0.0.7")[::2] == (503, b"stopped\n")
    with registry:
        assert ask(page, "/go-doudou/health", {}, client="10.0.0.7")[::2] == (200, b"ready\n")
        registry.drain(0)
        assert ask(page, "/go-doudou/health", {}, client="10.0.0.7")[::2] == (503, b"draining\n")


def test_without_a_registry_there_is_nothing_to_see() -> None:
    page = RegistryPage()
    for path in ("registry", "registry.json", "config"):
        assert ask(page, f"/go-doudou/{path}")[0] == 503
    assert ask(page, "/go-doudou/health")[::2] == (503, b"stopped\n")


def test_the_configuration_is_shown_with_its_sources_and_without_its_secrets() -> None:
    variables = {
        "GDD_SERVICE_DISCOVERY_MODE": "static",
        "GDD_STATIC_ORDERS": "http://10.0.0.1:8080",
        "GDD_MANAGE_USER": "op",
        "GDD_MANAGE_PASS": "geheim",
        "GDD_DB_PASSWORD": "s3cret",
    }
    with Registry(pydoudou.Settings.from_env(variables, register=False)) as registry:
        page, header = RegistryPage(registry), LOCAL | basic("op", "geheim")
        text = ask(page, "/go-doudou/config", header)[2].decode()
        some = ask(page, "/go-doudou/config?pre=GDD_SERVICE", header)[2].decode()
    lines = {line.partition("=")[0]: line for line in text.splitlines()}
    assert lines["GDD_SERVICE_DISCOVERY_MODE"].startswith("GDD_SERVICE_DISCOVERY_MODE=static  # ")
    assert lines["GDD_MANAGE_PASS"].startswith("GDD_MANAGE_PASS=(set)")
    assert "geheim" not in text
    assert "s3cret" not in text
    assert "10.0.0.1" not in some
    assert "DISCOVERY_MODE" in some


def test_prometheus_finds_the_members_and_the_metrics(registry: Registry) -> None:
    page = RegistryPage(registry)
    groups = json.loads(ask(page, "/go-doudou/sd.json")[2])
    assert [group["targets"] for group in groups] == [["10.0.0.1:6060"], ["10.0.0.2:6060"]]
    text = ask(page, "/go-doudou/prometheus")[2].decode()
    assert "pydoudou_members{" in text


def test_without_prometheus_client_its_route_says_what_to_install(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for module in ("page.exposition", "prometheus"):
        monkeypatch.delitem(sys.modules, f"pydoudou.contrib.{module}", raising=False)
    status, _, body = ask(RegistryPage(registry), "/go-doudou/prometheus")
    assert status == 501
    assert b"pip install 'pydoudou[prometheus]'" in body


# -- where it is mounted -----------------------------------------------------------------------------------------------


async def own_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"own"})


def test_beside_another_application_it_has_its_own_paths_alone(registry: Registry) -> None:
    both = RegistryPage(registry).beside(own_app)
    assert ask(both, "/go-doudou/registry")[0] == 200
    assert [ask(both, path)[0] for path in ("/", "/go-doudous", "/go", "/orders/go-doudou/registry")] == [418] * 4


def test_under_trio_it_answers_too(registry: Registry) -> None:
    status, _, body = ask(RegistryPage(registry), "/go-doudou/registry.json", backend="trio")
    assert (status, len(json.loads(body)["rows"])) == (200, 2)


def wsgi(app: Any, path: str, **environ: str) -> tuple[int, dict[str, str], bytes]:
    path, _, query = path.partition("?")
    told: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        told.update(status=int(status[:3]), headers=dict(headers))

    body = b"".join(
        app(
            {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REMOTE_ADDR": "127.0.0.1",
                "HTTP_HOST": "127.0.0.1",
                "wsgi.input": io.BytesIO(),
            }
            | environ,
            start_response,
        )
    )
    return told["status"], told["headers"], body


def test_under_wsgi_the_page_polls_and_is_told_when_nothing_has_changed(
    plugin: ScriptedPlugin, registry: Registry
) -> None:
    app = RegistryPage(registry).wsgi
    assert b'data-live="poll"' in wsgi(app, "/go-doudou/registry")[2]
    assert b'data-live="events"' in ask(RegistryPage(registry), "/go-doudou/registry")[2]
    status, headers, body = wsgi(app, "/go-doudou/registry.json")
    assert (status, len(json.loads(body)["rows"])) == (200, 2)
    status, _, body = wsgi(app, "/go-doudou/registry.json", HTTP_IF_NONE_MATCH=headers["Etag"])
    assert (status, body) == (304, b"")
    assert wsgi(app, "/go-doudou/registry.json?q=n1", HTTP_IF_NONE_MATCH=headers["Etag"])[0] == 200
    plugin.report(member("10.0.0.9"))
    eventually(lambda: wsgi(app, "/go-doudou/registry.json", HTTP_IF_NONE_MATCH=headers["Etag"])[0] == 200)


def test_under_wsgi_a_wrong_password_holds_no_thread(guarded: Registry) -> None:
    app, wrong = RegistryPage(guarded).wsgi, basic("op", "no")["authorization"]
    statuses = [wsgi(app, "/go-doudou/registry", HTTP_AUTHORIZATION=wrong)[0] for _ in range(6)]
    assert statuses == [401, 401, 401, 429, 429, 429]
    right = basic("op", "geheim")["authorization"]
    assert wsgi(app, "/go-doudou/registry", HTTP_AUTHORIZATION=right)[0] == 200


# -- what it costs -----------------------------------------------------------------------------------------------------


class AskedDriver(SubscribingDriver):
    """Notes what it is asked for."""

    detection_bound = 10.0

    def __init__(self, asked: list[str | None]) -> None:
        self.asked = asked

    async def run(self, sink: Any, instance: Any, *, task_status: Any) -> None:
        task_status.started()
        await anyio.sleep_forever()

    async def subscribe(self, service: str | None) -> None:
        self.asked.append(service)

    async def unsubscribe(self, service: str | None) -> None:
        self.asked.remove(service)

    async def update(self, instance: Any) -> None: ...

    async def leave(self) -> None: ...

    def status(self) -> pydoudou.DriverStatus:
        return pydoudou.DriverStatus("asked", ready=True, message="")


@attrs.define(eq=False)
class AskedPlugin(ScriptedPlugin):
    mode: str = "asked"
    asked: list[str | None] = attrs.Factory(list)

    def create(self, settings: Any) -> Any:
        return AskedDriver(self.asked)


def page_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("pydoudou page")}


def test_a_page_that_nobody_looks_at_has_no_thread_no_observer_and_no_subscription() -> None:
    plugin = AskedPlugin()
    with Registry(settings(plugin)) as registry:
        page, of_other_tests = RegistryPage(registry), page_threads()
        for path in ("registry", "registry.css", "health", "config"):
            ask(page, f"/go-doudou/{path}")
        assert (page_threads() - of_other_tests, plugin.asked, bool(registry.observers)) == (set(), [], False)


def test_looking_asks_the_backends_for_everything_and_ends_by_itself() -> None:
    plugin, over, of_other_tests = AskedPlugin(), threading.Event(), page_threads()
    with Registry(settings(plugin)) as registry:
        looking = Looking(lambda: {"": registry}, over.set, linger=0.9)
        with looking.viewing(1) as welcome, looking.viewing(1) as second:
            assert (welcome, second) == (True, False)
            looking.glance()
            eventually(lambda: plugin.asked == [None])
            assert not over.wait(1.4), "somebody looks"
        assert over.wait(5)
        eventually(lambda: plugin.asked == [])
        eventually(lambda: page_threads() <= of_other_tests)
        looking.glance()
        eventually(lambda: plugin.asked == [None])
        over.clear()
        assert over.wait(5)


def test_a_registry_is_needed() -> None:
    with pytest.raises(TypeError, match="no Registry under"):
        RegistryPage({"one": "two"})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="empty"):
        RegistryPage({})


def test_selection_keeps_services_together_unless_told_otherwise() -> None:
    plugin = ScriptedPlugin(
        members=[
            member("10.0.0.1", "a", node="z"),
            member("10.0.0.2", "b", node="y"),
            member("10.0.0.3", "a", node="x"),
        ]
    )
    with Registry(settings(plugin)) as registry:
        table = Table(lambda: {"": registry})
        table.refresh()
        together = Selected.of(table.services, Wish.of({"sort": "node"}))
        apart = Selected.of(table.services, Wish.of({"sort": "node", "group": "0"}))
    assert [row.fields["hostname"] for _, row in together.rows] == ["x", "z", "y"]
    assert [row.fields["hostname"] for _, row in apart.rows] == ["x", "y", "z"]
