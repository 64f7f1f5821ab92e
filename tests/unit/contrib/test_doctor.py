"""What a doctor finds without looking at a network: in variables, in containers, in what an observer has seen."""

from __future__ import annotations

import ast
import re
import resource
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.doctor import only, situation

from pydoudou import Member
from pydoudou.contrib.cli.doctor.cluster import look_at_seen
from pydoudou.contrib.cli.doctor.command import CHECKS
from pydoudou.contrib.cli.doctor.machine import (
    look_at_clock,
    look_at_container,
    look_at_network,
    look_at_port,
    look_at_workers,
)
from pydoudou.contrib.cli.doctor.running import findings_of
from pydoudou.contrib.cli.doctor.situation import Check, Finding, Situation
from pydoudou.contrib.cli.doctor.variables import look_at_variables
from pydoudou.contrib.cli.gossip import SeenNode

HEALTHY = {
    **{"GDD_SERVICE_NAME": "carts", "GDD_PORT": "6063", "GDD_REGISTER_HOST": "10.0.0.3"},
    **{"GDD_MEM_HOST": "10.0.0.3", "GDD_MEM_SEED": "10.0.0.1"},
}
KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def healthy(**variables: str) -> Situation:
    return situation(**(HEALTHY | variables))


def test_of_variables_that_are_right_nothing_is_found() -> None:
    assert [*look_at_variables(healthy())] == []


@pytest.mark.parametrize(
    ("variables", "kind", "problem", "remedy"),
    [
        ({"GDD_WEIGHT": "heavy"}, "variable-wrong", "GDD_WEIGHT is 'heavy'", "a whole number"),
        ({"GDD_MEM_PROBE_INTERVALL": "1s"}, "variable-unknown", "GDD_MEM_PROBE_INTERVALL", "GDD_MEM_PROBE_INTERVAL?"),
        ({"GDD_MEM_PORT": "tcp://10.3.2.1:7946"}, "service-link", "Kubernetes", "enableServiceLinks"),
        ({"GDD_SERVICE_DISCOVERY_MODE": "memberlist,etcd"}, "mode-unknown", "'etcd'", "memberlist, nacos, static"),
        ({"GDD_MEM_PORT": "6063"}, "ports-equal", "both 6063", "GDD_MEM_PORT"),
        (
            {"GDD_MEM_SECRET_KEY": KEY, "GDD_MEM_VERIFY_INCOMING": "false", "GDD_MEM_VERIFY_OUTGOING": "false"},
            "key-without-effect",
            "nothing is encrypted",
            "leave both unset",
        ),
        ({"GDD_MEM_SEED": ""}, "no-seed", "alone", "HOST:PORT"),
        ({"GDD_MEM_HOST": "127.0.0.1"}, "loopback-advertised", "the seed 10.0.0.1 is elsewhere", "GDD_MEM_HOST"),
        ({"GDD_MEM_HOST": "8.8.8.8"}, "open-to-strangers", "8.8.8.8", "GDD_MEM_CIDRS_ALLOWED"),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value and " " not in value else "",
)
def test_a_fault_of_the_variables(variables: dict[str, str], kind: str, problem: str, remedy: str) -> None:
    finding = only([*look_at_variables(healthy(**variables))])
    assert finding.kind == kind
    assert problem in finding.problem
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    "closed", [{"GDD_MEM_SECRET_KEY": KEY}, {"GDD_MEM_CIDRS_ALLOWED": "8.8.8.0/24"}], ids=["by a key", "by networks"]
)
def test_a_public_address_that_is_closed_to_strangers_is_no_fault(closed: dict[str, str]) -> None:
    assert [*look_at_variables(healthy(GDD_MEM_HOST="8.8.8.8", **closed))] == []


@pytest.mark.parametrize(
    "workers",
    [{"WEB_CONCURRENCY": "4"}, {"GUNICORN_CMD_ARGS": "--bind :80 --workers=4"}, {"GUNICORN_CMD_ARGS": "-w 4"}],
    ids=["WEB_CONCURRENCY", "--workers", "-w"],
)
def test_several_workers_that_share_a_name_and_a_port(workers: dict[str, str]) -> None:
    assert [*look_at_workers(healthy(**workers))] == []
    found = [*look_at_workers(healthy(GDD_MEM_PORT="7946", GDD_MEM_NAME="carts", **workers))]
    assert [finding.kind for finding in found] == ["workers-port", "workers-name"]
    assert "4 workers" in found[0].problem
    assert "pydoudou run" in found[0].remedy


def test_one_worker_may_have_a_name_and_a_port() -> None:
    one = healthy(GDD_MEM_PORT="7946", GDD_MEM_NAME="carts", WEB_CONCURRENCY="1")
    assert [*look_at_workers(one)] == []


# -- containers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """The root of a container's file system, whose first process is Python."""
    (tmp_path / ".dockerenv").touch()
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/comm").write_text("python\n")
    return tmp_path


def test_a_shell_as_the_first_process_keeps_the_signal(container: Path) -> None:
    fixed = healthy(GDD_MEM_PORT="7946")
    assert [*look_at_container(fixed, container)] == []
    (container / "proc/1/comm").write_text("sh\n")
    finding = only([*look_at_container(fixed, container)])
    assert finding.kind == "shell-first"
    assert "exec" in finding.remedy
    (container / ".dockerenv").unlink()
    assert [*look_at_container(fixed, container)] == [], "it is no container"


def test_an_address_outside_of_the_container_needs_a_port_that_is_published(container: Path) -> None:
    finding = only([*look_at_container(healthy(), container)])
    assert finding.kind == "container-port"
    assert "UDP and TCP" in finding.remedy


def test_an_advertised_name_that_nobody_can_resolve() -> None:
    finding = only([*look_at_network(situation(GDD_MEM_HOST="no.such.host.invalid"))])
    assert finding.kind == "advertised-name"
    assert "GDD_MEM_HOST" in finding.remedy


def test_too_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [*look_at_port(healthy())] == []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    finding = only([*look_at_port(healthy())])
    assert finding.kind == "open-files"
    assert "ulimit" in finding.remedy


def test_a_clock_that_cannot_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [*look_at_clock(healthy())] == []
    monkeypatch.setattr(time, "time", lambda: 0.0)
    finding = only([*look_at_clock(healthy())])
    assert finding.kind == "clock"
    assert "1970-01-01" in finding.problem
    assert "NTP" in finding.remedy


# -- what an observer has seen -----------------------------------------------------------------------------------------


def node(name: str, host: str, state: str = "alive", *members: Member) -> SeenNode:
    return SeenNode(name, host, 7946, state, 1, members)


ORDERS = node("orders-1", "10.0.0.1", "alive", Member("orders", "10.0.0.1", 6061, node="orders-1"))


def found(*nodes: SeenNode, **variables: str) -> list[Finding]:
    looking = healthy(**variables)
    assert looking.gossip is not None
    return [*look_at_seen(looking, looking.gossip, [ORDERS, *nodes], NOW)]


def test_of_others_that_are_well_nothing_is_found() -> None:
    assert found() == []


def test_a_member_of_the_future_has_another_clock() -> None:
    def registered(seconds: float) -> SeenNode:
        at = NOW + timedelta(seconds=seconds)
        member = Member("users", "10.0.0.2", 6062, node="users-1", registered_at=at)
        return node("users-1", "10.0.0.2", "alive", member)

    assert found(registered(10)) == []
    finding = only(found(registered(300)))
    assert finding.kind == "clock"
    assert "'users-1' has registered 300 s in the future" in finding.problem


def test_nodes_that_do_not_answer_are_named() -> None:
    finding = only(found(node("users-1", "10.0.0.2", "suspect"), node("old", "10.0.0.4", "dead")))
    assert finding.kind == "nodes-suspect"
    assert "1 of 2 nodes" in finding.problem
    assert "'users-1'" in finding.problem
    assert "pydoudou ping" in finding.remedy


def test_a_name_is_free_again_when_its_node_is_dead() -> None:
    other = node("carts-1", "10.0.0.9", "dead")
    assert found(other, GDD_MEM_NAME="carts-1") == []
    alive = node("carts-1", "10.0.0.9")
    assert only(found(alive, GDD_MEM_NAME="carts-1")).kind == "name-taken"


def test_what_runs_already_with_these_settings_is_no_stranger() -> None:
    running = Member("carts", "10.0.0.3", 6063, node="carts-1")
    variables = {"GDD_MEM_NAME": "carts-1", "GDD_MEM_PORT": "7946"}
    assert found(node("carts-1", "10.0.0.3", "alive", running), **variables) == []
    assert [each.kind for each in found(node("carts-1", "10.0.0.3"), **variables)] == ["name-taken", "port-taken"]


def test_who_only_looks_and_runs_already_is_no_stranger_either() -> None:
    looking = situation(GDD_MEM_HOST="10.0.0.3", GDD_MEM_SEED="10.0.0.1", GDD_MEM_NAME="looker")
    assert looking.gossip is not None
    running = node("looker", "10.0.0.3")
    assert [*look_at_seen(looking, looking.gossip, [ORDERS, running], NOW)] == []
    elsewhere = node("looker", "10.0.0.4")
    assert only([*look_at_seen(looking, looking.gossip, [ORDERS, elsewhere], NOW)]).kind == "name-taken"


# -- running them ------------------------------------------------------------------------------------------------------


def test_a_check_that_hangs_or_fails_is_a_finding_and_keeps_no_other_from_being_told() -> None:
    never = threading.Event()

    def hanging(looking: Situation) -> Iterator[Finding]:
        yield Finding("first", "one", "two")
        never.wait()

    def failing(looking: Situation) -> Iterator[Finding]:
        raise KeyError("surprise")
        yield

    ended: list[str] = []
    checks = [Check("slow things", hanging, 0.1), Check("bad things", failing), Check("variables", look_at_variables)]
    found = findings_of(checks, healthy(GDD_WEIGHT="heavy"), lambda check: ended.append(check.name))
    never.set()
    assert [finding.kind for finding in found] == ["first", "no-answer-in-time", "check-failed", "variable-wrong"]
    assert "slow things: not finished after 0.1 s" in found[1].problem
    assert "surprise" in found[2].problem
    assert sorted(ended) == ["bad things", "slow things", "variables"]


def test_all_checks_have_names_of_their_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def kinds() -> set[str]:
    """Of all findings that there are."""
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "contrib/cli/doctor").glob("*.py"))
    return {*re.findall(r'Finding\(\s*"([a-z-]+)"', sources), "workers-name", "workers-port"}


def test_the_manual_lists_every_kind_of_finding() -> None:
    page = (ROOT / "docs/cli.md").read_text("utf-8").partition("| `kind` |")[2].partition("\n\n")[0]
    assert {kind for row in page.splitlines() for kind in re.findall(r"`([a-z-]+)`", row.split("|")[1])} == kinds()


def test_every_kind_of_finding_is_found_by_a_test() -> None:
    """Ten of them at least where it was planted for real: by real sockets, servers and processes."""
    planted = told_by_tests(ROOT / "tests/e2e/test_doctor.py", ROOT / "tests/e2e/test_doctor_nacos.py")
    assert kinds() - planted - told_by_tests(Path(__file__)) == set()
    assert len(kinds() & planted) >= 10


def told_by_tests(*paths: Path) -> set[str]:
    """The texts that stand in test functions and in what they are called with."""
    functions = [
        function
        for path in paths
        for function in ast.parse(path.read_text("utf-8")).body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
    ]
    nodes = (node for function in functions for node in ast.walk(function))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
