"""What the commands that look at a cluster tell, and how they end; `test_cli_table` runs every command in every way."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
from support.commands import Terminal, environment, pydoudou, running
from support.gossip import FAST_GOSSIP, gossip_address, gossip_nodes, gossiping
from support.prometheus import prometheus
from support.waiting import eventually

from pydoudou import Registry

ONE_SERVICE = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": "http://10.0.0.1:80,http://10.0.0.2:80"}
MANUAL = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
MARKUP = "[red]users[/red]"
EVIL = "evil\x1b[31m\u202e"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Registry]:
    """A node that offers ``orders``, one that offers ``users``, and one that only looks; the names of the latter two
    would like to be more than text.
    """
    with gossiping("orders", GDD_PORT="6061", GDD_MEM_NAME="orders-1") as first:
        more = {"GDD_MEM_SEED": gossip_address(first)}
        with (
            gossiping("users", GDD_PORT="6062", GDD_MEM_NAME=MARKUP, GDD_WEIGHT="3", **more),
            gossiping(called=EVIL, **more),
        ):
            eventually(lambda: gossip_nodes(first) == 3)
            yield first


@pytest.fixture
def seed(cluster: Registry) -> str:
    return gossip_address(cluster)


# -- what they show ----------------------------------------------------------------------------------------------------


def test_members_in_a_pipe_are_lines_of_text(seed: str) -> None:
    done = pydoudou("members", "--seed", seed, **FAST_GOSSIP)
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rows = done.stdout.splitlines()
    assert heading.split()[:5] == ["service", "member", "state", "weight", "node"]
    assert [row.split()[:4] for row in rows] == [
        ["orders", "127.0.0.1:6061", "alive", "1"],
        ["users", "127.0.0.1:6062", "alive", "3"],
    ]
    assert MARKUP in rows[1]
    assert done.stdout.isascii()


def test_members_of_one_service_as_json(seed: str) -> None:
    done = pydoudou("members", "users", "--seed", seed, "--json", **FAST_GOSSIP)
    assert done.returncode == 0, done.stderr
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (row["service"], row["host"], row["port"], row["node"]) == ("users", "127.0.0.1", 6062, MARKUP)


def test_services_are_counted(seed: str) -> None:
    rows = [
        json.loads(line) for line in pydoudou("services", "--seed", seed, "--json", **FAST_GOSSIP).stdout.splitlines()
    ]
    assert [(row["service"], row["members"], row["alive"], row["weight"]) for row in rows] == [
        ("orders", 1, 1, 1.0),
        ("users", 1, 1, 3.0),
    ]
    assert [line.split()[:2] for line in pydoudou("services", **ONE_SERVICE).stdout.splitlines()] == [
        ["service", "members"],
        ["orders", "2"],
    ]


def test_events_without_follow_end_with_those_that_are_there(seed: str) -> None:
    done = pydoudou("events", "--seed", seed, "--json", **FAST_GOSSIP)
    assert [(row["event"], row["service"]) for row in map(json.loads, done.stdout.splitlines())] == [
        ("joined", "orders"),
        ("joined", "users"),
    ]


@pytest.mark.parametrize("command", [("events", "--follow"), ("members", "--watch")], ids=" ".join)
def test_whoever_follows_is_told_what_changes(command: tuple[str, ...], seed: str) -> None:
    with running(*command, "--seed", seed, "--json", **FAST_GOSSIP) as process:
        assert process.stdout is not None
        assert {json.loads(process.stdout.readline())["service"] for _ in range(2)} == {"orders", "users"}
        with gossiping("carts", GDD_PORT="6063", GDD_MEM_SEED=seed) as carts:
            joined = json.loads(process.stdout.readline())
            carts.update({"zone": "a"})
            updated = json.loads(process.stdout.readline())
        left = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert [(row["event"], row["service"]) for row in (joined, updated, left)] == [
        ("joined", "carts"),
        ("updated", "carts"),
        ("left", "carts"),
    ]
    assert updated["data"] == {"zone": "a"}


def test_status_is_ready_or_says_why_not(seed: str) -> None:
    done = pydoudou("status", "--seed", seed, "--json", **FAST_GOSSIP)
    status = json.loads(done.stdout)
    assert (done.returncode, status["ready"], status["members"]) == (0, True, 2)
    alone = pydoudou("status", "--seed", "127.0.0.1:1", "--wait", "0", **FAST_GOSSIP)
    assert alone.returncode == 1
    assert "not ready" in alone.stdout
    assert "127.0.0.1:1" in alone.stdout


def test_status_shows_the_nodes_of_the_gossip(seed: str) -> None:
    done = pydoudou("status", "--nodes", "--seed", seed, "--json", **FAST_GOSSIP)
    nodes = [json.loads(line) for line in done.stdout.splitlines()]
    seen = {node["node"]: (node["state"], node["services"]) for node in nodes}
    assert {name: seen.get(name) for name in ("orders-1", MARKUP, EVIL)} == {
        "orders-1": ("alive", ["orders"]),
        MARKUP: ("alive", ["users"]),
        EVIL: ("alive", []),
    }
    assert "left" not in {state for state, _ in seen.values()}


@pytest.mark.parametrize("node", ["orders-1", "its address"])
def test_ping_tells_of_both_ways_and_of_the_round_trip(node: str, seed: str) -> None:
    to = seed if node == "its address" else node
    done = pydoudou("ping", to, "--count", "2", "--seed", seed, "--json", **FAST_GOSSIP)
    assert done.returncode == 0, done.stderr
    udp, tcp = map(json.loads, done.stdout.splitlines())
    assert (udp["to"], tcp["to"]) == (f"{seed} udp", f"{seed} tcp")
    for row in (udp, tcp):
        assert (row["sent"], row["answered"], row["why_not"]) == (2, 2, "")
        assert 0 < row["least_seconds"] <= row["median_seconds"] < 5


def test_nothing_of_this_stays_behind(cluster: Registry, seed: str) -> None:
    assert pydoudou("services", "--seed", seed, **FAST_GOSSIP).returncode == 0
    eventually(lambda: gossip_nodes(cluster) == 3)
    assert {member.service for member in cluster.members()} == {"orders", "users"}


def test_they_run_beside_a_service_that_has_the_same_environment(seed: str) -> None:
    with gossiping() as reserved:
        port = gossip_address(reserved).rpartition(":")[2]
    own = {"GDD_MEM_NAME": "carts-1", "GDD_MEM_PORT": port, "GDD_MEM_SEED": seed}
    with gossiping("carts", GDD_PORT="6063", **own) as carts:
        for command in (("members",), ("status", "--nodes")):
            done = pydoudou(*command, **FAST_GOSSIP | own)
            assert (done.returncode, done.stderr) == (0, "")
            assert "carts" in done.stdout
        assert carts.status().ready
        assert carts.status().backends[0].driver.counters["name_conflicts"] == 0


# -- terminals ---------------------------------------------------------------------------------------------------------


def test_what_a_node_calls_itself_reaches_a_terminal_as_text_only(seed: str) -> None:
    with Terminal("status", "--nodes", "--seed", seed, **FAST_GOSSIP) as terminal:
        assert terminal.end() == 0
    assert any(r"evil\x1b" in line for line in terminal.lines)
    assert b"evil\x1b" not in terminal.raw


def test_a_terminal_is_told_what_is_waited_for() -> None:
    with gossiping() as lonely:
        address = gossip_address(lonely)
        with Terminal("members", "--seed", address, "--wait", "1", columns=40, **FAST_GOSSIP) as terminal:
            terminal.wait_for("waiting for the first member")
            assert terminal.end() == 1
            assert "no members of any service" in "".join(terminal.lines)
            assert "waiting" not in "".join(terminal.lines)


def test_a_terminal_has_colour_unless_it_is_not_to() -> None:
    for variables, coloured in (({"NO_COLOR": "1"}, False), ({}, True)):
        with Terminal("members", **ONE_SERVICE, **variables) as terminal:
            assert terminal.end() == 0
        assert (b"\x1b[32malive" in terminal.raw) is coloured


def test_a_watched_table_changes_on_the_screen_and_ends_within_a_second(seed: str) -> None:
    with Terminal("members", "--watch", "--seed", seed, **FAST_GOSSIP) as terminal:
        terminal.wait_for("orders")
        with gossiping("carts", GDD_PORT="6063", GDD_MEM_SEED=seed):
            terminal.wait_for("carts")
        eventually(lambda: _redrawn_without(terminal, "carts"), 20)
        assert terminal.interrupt() < 1.5
        assert terminal.process.returncode == 0
        assert "Traceback" not in "\n".join(terminal.lines)


def _redrawn_without(terminal: Terminal, text: str) -> bool:
    terminal.read_on()
    return not any(text in line for line in terminal.lines)


# -- how they end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["members", "services", "events", "sd"])
def test_ctrl_c_ends_the_waiting_within_a_second(command: str, cluster: Registry, tmp_path: Path) -> None:
    """Nobody offers anything in a cluster of its own, so that they wait."""
    options = ["--out", str(tmp_path / "targets.json")] if command == "sd" else []
    with gossiping() as lonely:
        with running(command, *options, "--seed", gossip_address(lonely), "--wait", "60", **FAST_GOSSIP) as process:
            eventually(lambda: gossip_nodes(lonely) == 2, 20)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            out, error = process.communicate(timeout=20)
            took = time.monotonic() - began
    assert process.returncode == (0 if command == "sd" else 1)
    assert "Traceback" not in error
    assert out == ""
    assert took < 1.5


@pytest.mark.parametrize("command", [("events", "--follow"), ("members", "--watch")], ids=" ".join)
def test_a_reader_that_goes_ends_even_what_would_wait_for_ever(command: tuple[str, ...], seed: str) -> None:
    with running(*command, "--seed", seed, **FAST_GOSSIP) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(20) in (0, 1)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "options", "variables", "named"),
    [
        pytest.param("ping", ["somebody", "--seed", "a:b:c"], FAST_GOSSIP, "GDD_MEM_SEED", id="a seed of a ping"),
        pytest.param("status", [], {"GDD_SERVICE_DISCOVERY_MODE": "x"}, "accepted: a comma list", id="a mode"),
        pytest.param("ping", ["somebody"], ONE_SERVICE, "no gossip nodes in the mode static", id="no gossip"),
        pytest.param("sd", ["--out", "targets.json"], {"GDD_MEM_PORT": "x"}, "GDD_MEM_PORT", id="a port"),
        pytest.param("members", [""], ONE_SERVICE, "the name of a service", id="an empty name"),
        pytest.param("explain", [""], ONE_SERVICE, "the name of a service", id="an empty name to explain"),
    ],
)
def test_bad_input_is_one_error_that_names_it(
    command: str, options: list[str], variables: dict[str, str], named: str
) -> None:
    done = pydoudou(command, *options, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        pytest.param(["members", "invoices"], 1, "services with members: orders, users", id="an unknown service"),
        pytest.param(["ping", "nobody"], 1, "orders-1", id="an unknown node"),
        pytest.param(["ping", "no.such.host.invalid:7946"], 1, "cannot be resolved", id="a host without address"),
        pytest.param(["ping"], 2, "NODE", id="nobody to ping"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_is(
    arguments: list[str], code: int, named: str, seed: str
) -> None:
    done = pydoudou(*arguments, "--seed", seed, "--wait", "0.2", **FAST_GOSSIP)
    assert (done.returncode, done.stdout) == (code, "")
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_a_ping_that_is_not_answered_says_why_for_each_way() -> None:
    done = pydoudou("ping", "127.0.0.1:1", "--timeout", "0.2", "--json", **FAST_GOSSIP)
    assert done.returncode == 1
    assert all("Connection refused" in json.loads(line)["why_not"] for line in done.stdout.splitlines())


# -- Prometheus' targets -----------------------------------------------------------------------------------------------


def test_sd_follows_the_members_and_replaces_the_file_as_a_whole(seed: str, tmp_path: Path) -> None:
    out = tmp_path / "targets.json"

    def services() -> list[str]:
        return [group["labels"]["service_id"] for group in json.loads(out.read_text())] if out.exists() else []

    with running("sd", "--out", str(out), "--seed", seed, **FAST_GOSSIP) as process:
        eventually(lambda: services() == ["orders", "users"], 20)
        first = out.stat()
        out.chmod(0o640)
        with gossiping("carts", GDD_PORT="6063", GDD_MEM_SEED=seed):
            eventually(lambda: "carts" in services(), 20)
            assert out.stat().st_ino != first.st_ino
            assert stat.S_IMODE(out.stat().st_mode) == 0o640, "whoever may read it may go on reading it"
        eventually(lambda: services() == ["orders", "users"], 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["targets.json"]
    assert stat.S_IMODE(first.st_mode) & 0o044, "Prometheus runs as another user"


def test_sd_can_be_the_seed_of_the_others(tmp_path: Path) -> None:
    out = tmp_path / "targets.json"
    with gossiping() as reserved:
        port = gossip_address(reserved).rpartition(":")[2]
    with running("sd", "--out", str(out), "--wait", "0", **(FAST_GOSSIP | {"GDD_MEM_PORT": port})) as process:
        eventually(out.exists, 20)
        assert json.loads(out.read_text()) == []
        with gossiping("orders", GDD_PORT="6061", GDD_MEM_SEED=f"127.0.0.1:{port}"):
            eventually(lambda: json.loads(out.read_text()), 20)
        assert process.poll() is None


def test_sd_keeps_the_targets_of_before_while_it_knows_nobody(tmp_path: Path) -> None:
    out = tmp_path / "targets.json"
    out.write_text("[]\n\n")
    with running("sd", "--out", str(out), "--seed", "127.0.0.1:1", "--wait", "0", **FAST_GOSSIP) as process:
        assert process.stderr is not None
        said = ""
        while "stays what it was" not in said:
            said = process.stderr.readline()
            assert said
    assert out.read_text() == "[]\n\n"


def test_sd_into_a_folder_that_is_not_there_is_a_clear_error(seed: str, tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "targets.json"
    done = pydoudou("sd", "--out", str(out), "--seed", seed, **FAST_GOSSIP)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(out) in done.stderr
    assert "No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_sd_says_that_it_cannot_write_any_more_and_goes_on_when_it_can(seed: str, tmp_path: Path) -> None:
    folder = tmp_path / "targets"
    folder.mkdir()
    out = folder / "services.json"
    with running("sd", "--out", str(out), "--seed", seed, **FAST_GOSSIP) as process:
        eventually(out.exists, 20)
        shutil.rmtree(folder)
        with gossiping("carts", GDD_PORT="6063", GDD_MEM_SEED=seed):
            assert process.stderr is not None
            assert "trying again in 5 s" in process.stderr.readline()
            folder.mkdir()
            eventually(lambda: out.exists() and "carts" in out.read_text(), 30)


def test_a_real_prometheus_scrapes_the_targets_while_they_are_there(seed: str, tmp_path: Path) -> None:
    out = tmp_path / "targets.json"
    found = [{"files": [str(out)], "refresh_interval": "1s"}]
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1")
    try:
        with (
            running("sd", "--out", str(out), "--seed", seed, **FAST_GOSSIP),
            prometheus(tmp_path, file_sd_configs=found) as ask,
        ):
            scraped = {"GDD_PORT": str(server.server_port), "GDD_MEM_NAME": "carts-1", "GDD_MEM_SEED": seed}
            with gossiping("carts", **scraped):
                eventually(lambda: ask("up == 1"), 30)
                ((labels, _),) = ask("up == 1")
            assert labels.items() >= {
                ("service_id", "carts"),
                ("hostname", "carts-1"),
                ("base_url", f"http://127.0.0.1:{server.server_port}"),
                ("instance", f"127.0.0.1:{server.server_port}"),
            }
            eventually(lambda: not ask('up{service_id="carts"}'), 30)
            assert {labels["service_id"] for labels, _ in ask("up == 0")} == {"orders", "users"}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -- completion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pydoudou s", {"sd", "services", "simulate", "status"}),
        ("pydoudou members --w", {"--watch", "--wait"}),
        ("pydoudou doctor --", {"--json", "--seed", "--help"}),
    ],
)
def test_a_shell_completes_commands_and_options(line: str, offered: set[str]) -> None:
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_PYDOUDOU_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [Path(sys.executable).parent / "pydoudou"],
        env=environment(**asked),
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert offered <= {answer.partition(",")[2] for answer in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_of_the_manual_can_be_told_how(shell: str) -> None:
    assert f"_PYDOUDOU_COMPLETE={shell}_source" in MANUAL
    done = subprocess.run(
        [Path(sys.executable).parent / "pydoudou"],
        env=environment(_PYDOUDOU_COMPLETE=f"{shell}_source"),
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert "_PYDOUDOU_COMPLETE" in done.stdout


def test_the_manual_names_every_command() -> None:
    commands = pydoudou("--help").stdout.partition("Commands:")[2].split("\n  ")
    names = {line.split()[0] for line in commands if line.strip() and not line.startswith(" ")}
    assert len(names) > 10
    assert {name for name in names if f"`pydoudou {name}" not in MANUAL and f"`{name}`" not in MANUAL} == set()
