"""The word cloud system on real parts: one trace, the panels of its dashboard, and its alert."""

from __future__ import annotations

import json
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from support.effort import EFFORT
from support.waiting import eventually
from support.wordcloud import HERE, Person, drawing, part, running, skip_without

skip_without()

from system.real import KINDS

pytestmark = pytest.mark.timeout(300)

NEEDED = ("PostgreSQL", "Redis", "Jaeger", "Prometheus")
TEXT = b"Gossip spreads news. Gossip finds members, members hear gossip.\n"
SERVICES = {f"wordcloud-{name}" for name in ("bff", "usersvc", "tasksvc", "segsvc", "makersvc")}
DASHBOARD = json.loads((HERE / "grafana-dashboard.json").read_text("utf-8"))
MULTIPLIER = 12 if EFFORT > 1 else 4
"""Of suspicion: the original's is 12, by which gossip takes a minute to give up a member that was killed; a third of
that is still longer than the alert waits.
"""
LONGEST_GIVING_UP = 10.0 * MULTIPLIER + 10.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    missing = [kind.missing() for kind in KINDS if kind.name in NEEDED and kind.missing()]
    if missing:
        pytest.skip("; ".join(missing))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GDD_MEM_SUSPICION_MULT", str(MULTIPLIER))
        with running(tmp_path_factory.mktemp("wordcloud"), full=True) as started:
            with Person(started.url) as person:
                assert person.upload(TEXT).status_code == 200
                assert person.tasks()[0]["status"] == 2
            yield started


def asked(system: Any, name: str, path: str, **query: str) -> Any:
    """What the API of Jaeger, Prometheus or Alertmanager answers."""
    url = f"http://127.0.0.1:{part(system, name).port}{path}?{urllib.parse.urlencode(query)}"
    return httpx.get(url, timeout=10.0).raise_for_status().json()


def evaluated(system: Any, query: str) -> list[dict[str, Any]]:
    """The series that Prometheus answers to a query."""
    found: list[dict[str, Any]] = asked(system, "prometheus", "/api/v1/query", query=query)["data"]["result"]
    return found


def alerts(system: Any) -> set[tuple[str, str]]:
    """The services that there is an alert for, and its state."""
    told = asked(system, "prometheus", "/api/v1/alerts")["data"]["alerts"]
    return {(alert["labels"]["service_id"], alert["state"]) for alert in told}


def targets(system: Any) -> dict[str, str]:
    """The health of what Prometheus scrapes, by service."""
    active = asked(system, "prometheus", "/api/v1/targets", state="active")["data"]["activeTargets"]
    return {target["labels"]["service_id"]: target["health"] for target in active}


def test_what_is_not_there_is_told_with_what_is_done_instead_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (redis,) = (kind for kind in KINDS if kind.name == "Redis")
    absent = attrs.evolve(redis, program="no-such-server")
    told = "Redis is not on this machine: limits in memory instead. To have it: apt-get install redis-server"
    assert absent.missing() == told
    needy = attrs.evolve(redis, program=Path(sys.executable).name, module="no_such.package")
    assert "needs the package of no_such.package: limits in memory instead" in needy.missing()
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert attrs.evolve(redis, program=Path(sys.executable).name).find() == Path(sys.executable)


def test_what_is_stored_and_counted_is_in_real_parts(system: Any) -> None:
    assert system.shared["BIZ_DB_URL"].startswith("postgresql+psycopg://")
    redis = pytest.importorskip("redis", reason="pip install 'pydoudou[redis]'")
    with redis.Redis.from_url(system.shared["BIZ_REDIS_URL"]) as client, Person(system.url) as person:
        # The count of a user's requests is kept for as long as it matters, about three seconds.
        eventually(lambda: person.tasks() and client.dbsize() == 1, timeout=20.0)
    assert not list(Path(system.folder).glob("*.db"))


def test_without_redis_nobody_is_turned_away(system: Any) -> None:
    redis = part(system, "redis")
    redis.stop()
    try:
        with Person(system.url) as person:
            assert person.upload(TEXT).status_code == 200
    finally:
        redis.start()
        redis.wait()


def test_a_picture_that_was_drawn_while_the_database_was_down_is_not_lost(system: Any) -> None:
    database = part(system, "postgresql")
    with Person(system.url) as person:
        with drawing(system, person, TEXT) as uploading:
            database.stop()
        try:
            drawn = uploading.result(60)
            assert drawn.status_code == 200, drawn.text
            refused = person.upload(TEXT)
            assert (refused.status_code, refused.text) == (503, "the database cannot be reached")
            signing_in = {"username": "jackchen", "password": "1234"}
            assert person.post("usersvc/public/log/in", data=signing_in).status_code == 503
        finally:
            database.start()
            database.wait()
        made = drawn.json()["data"]

        def is_told() -> bool:
            task = person.get("task/page", params={"page": 1, "pageSize": 1})
            if task.status_code != 200:
                return False
            (latest,) = task.json()["result"]["items"]
            return (latest["id"], latest["status"], latest["imgUrl"]) == (made["taskId"], 2, made["imgUrl"])

        eventually(is_told, timeout=30.0)


def calls_between_services(trace: dict[str, Any]) -> set[tuple[str, str]]:
    """Caller and called, of the spans of one trace."""
    served = {key: process["serviceName"] for key, process in trace["processes"].items()}
    service = {span["spanID"]: served[span["processID"]] for span in trace["spans"]}
    calls = {
        (service[reference["spanID"]], service[span["spanID"]])
        for span in trace["spans"]
        for reference in span["references"]
        if reference["spanID"] in service
    }
    return {(caller, called) for caller, called in calls if caller != called}


def test_the_trace_of_one_upload_goes_through_all_five_services(system: Any) -> None:
    with Person(system.url) as person:  # the spans of earlier ones may have gone with a service that was killed
        assert person.upload(TEXT).status_code == 200
    expected = {
        ("wordcloud-bff", "wordcloud-usersvc"),
        ("wordcloud-bff", "wordcloud-tasksvc"),
        ("wordcloud-bff", "wordcloud-makersvc"),
        ("wordcloud-makersvc", "wordcloud-segsvc"),
    }

    def found() -> bool:
        """Every service sends its spans by itself: a trace is whole after some seconds."""
        traces = asked(system, "jaeger", "/api/traces", service="wordcloud-bff", limit="500")["data"]
        return any(calls_between_services(trace) == expected for trace in traces)

    eventually(found, timeout=40.0)


def test_prometheus_finds_its_targets_through_the_seed(system: Any) -> None:
    eventually(lambda: targets(system) == dict.fromkeys(SERVICES, "up"), timeout=40.0)


def test_every_panel_of_the_dashboard_shows_numbers(system: Any) -> None:
    queries = {panel["title"]: panel["targets"][0]["expr"] for panel in DASHBOARD["panels"]}
    assert len(queries) == 6
    with Person(system.url) as person:
        assert person.upload(TEXT).status_code == 200
    called = {f"wordcloud-{name}" for name in ("usersvc", "tasksvc", "makersvc", "segsvc")}

    def labels(title: str, *names: str) -> set[tuple[str, ...]]:
        found = evaluated(system, queries[title])
        return {tuple(series["metric"][name] for name in names) for series in found}

    eventually(lambda: {(name, "true") for name in called} <= labels("Calls through breakers", "id", "success"), 40.0)
    eventually(
        lambda: {(name, "200") for name in SERVICES} <= labels("Answers by status", "service_id", "status"), 40.0
    )
    for title in ("Requests", "Mean response time", "Requests per second"):
        eventually(lambda title=title: labels(title, "service_id") == {(name,) for name in SERVICES}, 40.0)
    for title in queries:
        eventually(lambda title=title: evaluated(system, queries[title]), 40.0)
        numbers = [float(series["value"][1]) for series in evaluated(system, queries[title])]
        assert all(number >= 0 for number in numbers), f"{title}: {numbers}"


def test_the_alert_is_for_a_service_that_was_killed_and_not_for_one_that_left(system: Any) -> None:
    seg, task = part(system, "segsvc"), part(system, "tasksvc")
    eventually(lambda: targets(system) == dict.fromkeys(SERVICES, "up"), timeout=40.0)
    task.stop()
    seen: set[tuple[str, str]] = set()

    def is_no_target() -> bool:
        seen.update(alerts(system))
        return "wordcloud-tasksvc" not in targets(system)

    try:
        eventually(is_no_target, timeout=40.0)
        eventually(lambda: not alerts(system), timeout=40.0)
        assert "firing" not in {state for _, state in seen}
        seg.process.kill()
        seg.process.wait()
        killed = time.monotonic()
        eventually(lambda: ("wordcloud-segsvc", "firing") in alerts(system), timeout=60.0)
        print(f"fires {time.monotonic() - killed:.0f} s after the kill")
        if any(part.name == "alertmanager" for part in system.parts):
            path = "/api/v2/alerts"
            eventually(lambda: "InstanceDown" in json.dumps(asked(system, "alertmanager", path)), timeout=20.0)
        eventually(lambda: not alerts(system), timeout=LONGEST_GIVING_UP)
        print(f"resolved {time.monotonic() - killed:.0f} s after it")
    finally:
        for stopped in (task, seg):
            stopped.stop()
            stopped.start()
            stopped.wait()
    eventually(lambda: targets(system) == dict.fromkeys(SERVICES, "up"), timeout=60.0)
