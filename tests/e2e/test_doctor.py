"""Faults that are planted for real, and what ``pydoudou doctor`` says of them; and a healthy cluster, of which it says
nothing.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from support.commands import Terminal, pydoudou
from support.doctor import looked, only
from support.go_peer import GoPeer
from support.gossip import FAST_GOSSIP, gossip_address, gossip_nodes, gossiping
from support.http_members import HttpMember
from support.lossy_ports import port_to
from support.nacos_server import pick_ports
from support.waiting import eventually

KEY, OTHER = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"o"))


@pytest.fixture(scope="module")
def seed() -> Iterator[str]:
    """A healthy node that offers ``orders`` at port 6061."""
    with gossiping("orders", GDD_PORT="6061", GDD_MEM_NAME="orders-1") as registry:
        yield gossip_address(registry)


# -- nothing is wrong --------------------------------------------------------------------------------------------------


def test_of_a_healthy_cluster_of_go_and_python_nodes_it_finds_nothing() -> None:
    with GoPeer("go-1") as go:
        shared = {"GDD_MEM_DIALECT": "hashicorp", "GDD_MEM_SEED": go.address}
        with GoPeer("go-2", "-join", go.address), gossiping("orders", GDD_PORT="6061", **shared) as orders:
            eventually(lambda: gossip_nodes(orders) == 3, 10)
            settings = FAST_GOSSIP | shared | {"GDD_SERVICE_NAME": "carts", "GDD_PORT": "6063"}
            settings["GDD_MEM_SEED"] = f"{go.address},{gossip_address(orders)}"
            done = pydoudou("doctor", **settings)
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
            assert done.stdout == "0 findings: modes memberlist, service 'carts' on port 6063\n"
            eventually(lambda: gossip_nodes(orders) == 3, 10)


def test_of_a_service_that_runs_already_with_these_settings_it_finds_nothing(seed: str) -> None:
    fixed = {"GDD_MEM_PORT": str(pick_ports(1, offsets=(0,))[0]), "GDD_MEM_NAME": "carts-1", "GDD_MEM_SEED": seed}
    with gossiping("carts", GDD_PORT="6063", **fixed):
        assert looked(**fixed) == []


def test_of_a_running_service_that_admits_only_its_own_network_it_finds_nothing(seed: str) -> None:
    own = {"GDD_MEM_PORT": str(pick_ports(1, offsets=(0,))[0]), "GDD_MEM_CIDRS_ALLOWED": "127.0.0.2/32,127.0.0.1/32"}
    elsewhere = {"GDD_MEM_BIND": "127.0.0.2", "GDD_MEM_HOST": "127.0.0.2", "GDD_MEM_SEED": seed, **own}
    with gossiping("carts", GDD_PORT="6063", **elsewhere):
        assert looked(**elsewhere) == []


def test_of_a_name_with_several_addresses_one_is_enough(seed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(seed.rpartition(":")[2])
    resolved = {"both.example": [("127.0.0.9", port), ("127.0.0.1", port)]}
    monkeypatch.setattr(
        "pydoudou.contrib.cli.doctor.seeds.ip_addresses", lambda host, port: resolved.get(host, [(host, port)])
    )
    assert looked(GDD_MEM_SEED=f"both.example:{port}") == []


def test_of_the_seed_itself_it_finds_nothing_before_it_starts() -> None:
    port = str(pick_ports(1, offsets=(0,))[0])
    assert looked(GDD_MEM_PORT=port, GDD_MEM_SEED=f"127.0.0.1:{port}") == []


# -- faults of the way -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "kind", "remedy"),
    [
        ("no.such.host.invalid:7946", "seed-name", "GDD_MEM_SEED"),
        ("127.0.0.1:1", "seed-unreachable", "start it"),
    ],
)
def test_a_seed_that_is_nowhere(seed: str, kind: str, remedy: str) -> None:
    finding = only(looked(GDD_MEM_SEED=seed))
    assert finding.kind == kind
    assert seed.partition(":")[0] in finding.problem
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("passing", "kind", "remedy"),
    [
        ({"udp": False}, "seed-udp", "let UDP port {port} pass"),
        ({"tcp": False}, "seed-tcp", "let TCP port {port} pass"),
        ({"most_bytes": 1200}, "mtu", "MTU"),
    ],
    ids=["no UDP", "no TCP", "only small datagrams"],
)
def test_a_way_on_which_not_everything_passes(
    passing: dict[str, bool | int], kind: str, remedy: str, seed: str
) -> None:
    with port_to(seed, **passing) as behind:  # type: ignore[arg-type]
        finding = only(looked(GDD_MEM_SEED=behind))
    assert finding.kind == kind
    assert remedy.format(port=behind.rpartition(":")[2]) in finding.remedy


def test_a_way_on_which_only_short_answers_pass_lets_nobody_join(seed: str) -> None:
    with port_to(seed, most_answer_bytes=50) as behind:
        finding = only(looked(GDD_MEM_SEED=behind))
    assert finding.kind == "not-joined"
    assert behind in finding.problem
    assert "the same on all nodes" in finding.remedy


def test_a_name_service_that_is_slow(seed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def found_slowly(host: str, port: int) -> list[tuple[str, int]]:
        threading.Event().wait(1.05)
        return [("127.0.0.1", port)]

    monkeypatch.setattr("pydoudou.contrib.cli.doctor.seeds.ip_addresses", found_slowly)
    finding = only(looked(GDD_MEM_SEED=f"slow.example:{seed.rpartition(':')[2]}", GDD_MEM_HOST="127.0.0.1"))
    assert finding.kind == "seed-name-slow"
    assert "to find the address of the seed slow.example" in finding.problem
    assert "name servers" in finding.remedy


def test_an_address_at_which_nobody_reaches_this_node(seed: str) -> None:
    finding = only(looked(GDD_MEM_SEED=seed, GDD_MEM_HOST="192.0.2.1"))
    assert finding.kind == "address-unreachable"
    assert "192.0.2.1 as the address of this node, which no interface of this machine has" in finding.problem
    assert "GDD_MEM_HOST" in finding.remedy


def test_a_seed_that_is_no_gossip_node_but_the_port_of_a_service() -> None:
    with HttpMember() as server:
        finding = only(looked(GDD_MEM_SEED=f"127.0.0.1:{server.port}"))
    assert finding.kind == "seed-is-http"
    assert "GDD_MEM_PORT" in finding.remedy


# -- faults of what has to fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours", "kind", "remedy"),
    [
        (KEY, "", "key-missing", "set GDD_MEM_SECRET_KEY to the key"),
        (KEY, OTHER, "key-wrong", "set GDD_MEM_SECRET_KEY to the key"),
        ("", KEY, "key-unwanted", "unset GDD_MEM_SECRET_KEY"),
        (KEY, f"{OTHER},{KEY}", "key-order", "first"),
    ],
)
def test_a_key_that_does_not_fit(theirs: str, ours: str, kind: str, remedy: str) -> None:
    with gossiping("orders", GDD_MEM_SECRET_KEY=theirs, GDD_MEM_LOG_DISABLE="true") as there:
        finding = only(looked(GDD_MEM_SEED=gossip_address(there), GDD_MEM_SECRET_KEY=ours))
    assert finding.kind == kind
    assert remedy in finding.remedy
    assert KEY not in str(finding)
    assert OTHER not in str(finding)


def test_a_cluster_of_the_other_dialect() -> None:
    with GoPeer("go-1") as go:
        finding = only(looked(GDD_MEM_SEED=go.address))
    assert finding.kind == "dialect"
    assert finding.remedy == "set GDD_MEM_DIALECT=hashicorp"


def test_a_label_that_the_cluster_has_not() -> None:
    with GoPeer("go-1") as go:
        finding = only(looked(GDD_MEM_SEED=go.address, GDD_MEM_DIALECT="hashicorp", GDD_MEM_LABEL="blue"))
    assert finding.kind == "label"
    assert "unset GDD_MEM_LABEL" in finding.remedy


def test_a_label_that_only_the_cluster_has() -> None:
    with GoPeer("go-1", "-label", "blue") as go:
        finding = only(looked(GDD_MEM_SEED=go.address, GDD_MEM_DIALECT="hashicorp"))
    assert finding.kind == "seed-refuses"
    assert "GDD_MEM_LABEL" in finding.remedy


@pytest.mark.parametrize(
    ("theirs", "ours", "kind"),
    [("", "127.0.0.1/32", "seed-not-allowed"), ("127.0.0.2/32", "", "seed-refuses")],
    ids=["here", "there"],
)
def test_networks_that_do_not_admit_the_other_side(theirs: str, ours: str, kind: str) -> None:
    elsewhere = {"GDD_MEM_BIND": "127.0.0.2", "GDD_MEM_HOST": "127.0.0.2", "GDD_MEM_LOG_DISABLE": "true"}
    with gossiping("orders", GDD_MEM_CIDRS_ALLOWED=theirs, **elsewhere) as there:
        finding = only(looked(GDD_MEM_SEED=gossip_address(there), GDD_MEM_CIDRS_ALLOWED=ours))
    assert finding.kind == kind
    assert "GDD_MEM_CIDRS_ALLOWED" in finding.remedy


# -- what somebody else has already ------------------------------------------------------------------------------------


def test_a_node_name_that_somebody_has(seed: str) -> None:
    finding = only(looked(GDD_MEM_SEED=seed, GDD_MEM_NAME="orders-1"))
    assert finding.kind == "name-taken"
    assert seed in finding.problem
    assert "GDD_MEM_NAME" in finding.remedy


def test_an_address_that_another_service_has(seed: str) -> None:
    finding = only(looked(GDD_MEM_SEED=seed, GDD_PORT="6061"))
    assert finding.kind == "address-of-another-service"
    assert "'orders'" in finding.problem
    assert "GDD_PORT" in finding.remedy


@pytest.mark.parametrize("taker", ["a gossip node", "somebody else"])
def test_a_gossip_port_that_somebody_has(taker: str, seed: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = seed.rpartition(":")[2] if taker == "a gossip node" else str(listener.getsockname()[1])
        finding = only(looked(GDD_MEM_SEED=seed, GDD_MEM_PORT=port))
    assert finding.kind == "port-taken"
    assert "GDD_MEM_PORT" in finding.remedy


# -- the command -------------------------------------------------------------------------------------------------------


def test_in_a_pipe_every_finding_has_its_remedy_below_it() -> None:
    done = pydoudou("doctor", "--seed", "127.0.0.1:1", **FAST_GOSSIP)
    assert (done.returncode, done.stderr) == (1, "")
    first, second, summary = done.stdout.splitlines()
    assert first.startswith("seed-unreachable: ")
    assert second.startswith("    -> start it")
    assert summary == "1 finding: modes memberlist, a process that only looks"


def test_with_nothing_set_it_says_how_to_begin() -> None:
    done = pydoudou("doctor", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["kind"] for row in rows] == ["no-seed"]
    assert rows[0].keys() == {"kind", "problem", "remedy"}


def test_with_everything_wrong_it_says_everything() -> None:
    wrong = {
        **{"GDD_SERVICE_NAME": "a b", "GDD_PORT": "tcp://10.0.0.1:80", "GDD_WEIGHT": "heavy", "GDD_COMPAT": "v3"},
        **{"GDD_MEM_PORT": "99999", "GDD_MEM_SEED": "a:b:c", "GDD_MEM_SECRET_KEY": "short", "GDD_MEM_HOST": "no host"},
        **{"GDD_MEM_CIDRS_ALLOWED": "everybody", "GDD_MEM_PROBE_TIMEOUT": "never", "GDD_MEM_PROBE_INTERVALL": "1s"},
        "GDD_SERVICE_DISCOVERY_MODE": "memberlist,nacos,telepathy",
    }
    done = pydoudou("doctor", "--json", **wrong)
    assert (done.returncode, done.stderr) == (1, "")
    told = done.stdout
    for name in wrong.keys() - {"GDD_SERVICE_DISCOVERY_MODE"}:
        assert f"{name} " in told, name
    for name in ("GDD_NACOS_SERVER_ADDR", "telepathy", "service-link"):
        assert name in told
    assert "short" not in told


def test_on_a_machine_without_a_network_it_says_so() -> None:
    elsewhere = ["unshare", "--net"]
    if subprocess.run([*elsewhere, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a network of its own needs root and unshare of util-linux")
    done = pydoudou("doctor", "--json", "--seed", "10.0.0.1:7946", enter=elsewhere)
    assert (done.returncode, done.stderr) == (1, "")
    found = {row["kind"]: row["remedy"] for row in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == {"no-network", "loopback-advertised", "seed-unreachable"}
    assert "interface" in found["no-network"]


def test_a_terminal_shows_how_far_it_is_and_then_the_findings() -> None:
    with Terminal("doctor", "--seed", "127.0.0.1:1", columns=40, **FAST_GOSSIP) as terminal:
        assert terminal.end() == 1
        assert b"looking" in terminal.raw
        assert not any("looking" in line for line in terminal.lines)
        assert any(line.startswith("seed-unreachable") for line in terminal.lines)
