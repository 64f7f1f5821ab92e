"""The harness itself: real servers and real clients of Nacos do what the tests of our driver take for granted.

What Java and Go achieve among themselves is printed: it is what ours is held against.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from support.effort import EFFORT
from support.nacos_api import Listed, NacosApi
from support.nacos_peers import NacosPeer
from support.nacos_server import PASSWORD, USER, NacosServer, fresh_service, proxy_of
from support.namespaces import Host, network
from support.peers import locate
from support.waiting import eventually

TESTS = Path(__file__).parents[1]
KINDS = ("java", "go")
ADDRESS = "127.0.0.1:7000"
METADATA = {"rootPath": "/v1", "note": 'ünïcode, "quoted", a=b'}
SEEN_WITHIN = 5.0
"""Seconds. Between idle processes it takes 0.6, of which the server itself waits 0.5."""

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def peers(nacos: NacosServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, NacosPeer]]:
    directory = tmp_path_factory.mktemp("peers")
    with (
        NacosPeer("java", directory / "java", nacos.address) as java,
        NacosPeer("go", directory / "go", nacos.address) as go,
    ):
        yield {"java": java, "go": go}


@pytest.mark.parametrize(("registers", "subscribes"), [("java", "go"), ("go", "java")])
def test_each_sees_what_the_other_registers_changes_and_takes_back(
    peers: dict[str, NacosPeer], nacos: NacosServer, registers: str, subscribes: str, record_property: Record
) -> None:
    service = fresh_service()
    registrant, subscriber = peers[registers], peers[subscribes]
    subscriber.subscribe(service)
    began = registrant.register(service, ADDRESS, weight=2.5, metadata=METADATA)
    appeared = subscriber.wait_for(service, lambda change: change.addresses == {ADDRESS}, timeout=SEEN_WITHIN)
    wanted = Listed("127.0.0.1", 7000, 2.5, True, True, True, "DEFAULT", METADATA)
    assert appeared.instances == (wanted,)
    assert nacos.api.instances(service) == [wanted]
    assert subscriber.list(service) == (wanted,)
    changed = registrant.update(service, ADDRESS, weight=7, metadata={"rootPath": "/v2"})
    wanted = attrs.evolve(wanted, weight=7.0, metadata={"rootPath": "/v2"})
    updated = subscriber.wait_for(service, lambda change: change.instances == (wanted,), timeout=SEEN_WITHIN)
    ended = registrant.deregister(service, ADDRESS)
    left = subscriber.wait_for(service, lambda change: not change.instances, since=ended, timeout=SEEN_WITHIN)
    assert nacos.api.instances(service) == []
    record_property(
        "figures",
        f"{registers} -> {subscribes}: registered seen after {appeared.at - began:.2f} s, "
        f"changed {updated.at - changed:.2f} s, deregistered {left.at - ended:.2f} s",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_client_loses_its_instances(
    peers: dict[str, NacosPeer], nacos: NacosServer, kind: str, tmp_path: Path, record_property: Record
) -> None:
    service = fresh_service()
    subscriber = peers["go"]
    subscriber.subscribe(service)
    with NacosPeer(kind, tmp_path, nacos.address) as victim:
        victim.register(service, ADDRESS)
        subscriber.wait_for(service, lambda change: change.addresses == {ADDRESS}, timeout=SEEN_WITHIN)
        killed = victim.kill()
        gone = subscriber.wait_for(service, lambda change: not change.instances, since=killed, timeout=SEEN_WITHIN)
    assert nacos.api.instances(service) == []
    record_property("figures", f"{kind} killed: seen by go after {gone.at - killed:.2f} s")


def test_a_command_that_fails_says_why(peers: dict[str, NacosPeer]) -> None:
    for peer in peers.values():
        with pytest.raises(AssertionError, match="unknown command"):
            peer.ask('{"cmd": "vanish", "service": "orders"}', "vanish")


def test_what_the_server_refuses_the_java_client_reports_and_the_go_client_does_not(
    peers: dict[str, NacosPeer], nacos: NacosServer
) -> None:
    service = fresh_service()
    too_much = {"key": "x" * 1024}
    with pytest.raises(AssertionError, match="should not exceed 1024"):
        peers["java"].register(service, ADDRESS, metadata=too_much)
    peers["go"].register(service, ADDRESS, metadata=too_much)
    assert nacos.api.instances(service) == []


def test_an_operator_disables_and_enables_an_instance_but_cannot_delete_it(
    peers: dict[str, NacosPeer], nacos: NacosServer
) -> None:
    service = fresh_service()
    subscriber = peers["java"]
    subscriber.subscribe(service)
    peers["go"].register(service, ADDRESS, metadata=METADATA)
    subscriber.wait_for(service, lambda change: change.addresses == {ADDRESS}, timeout=SEEN_WITHIN)
    (listed,) = nacos.api.instances(service)
    disabled = attrs.evolve(listed, enabled=False)
    nacos.api.update(service, disabled)
    subscriber.wait_for(service, lambda change: not change.instances, timeout=SEEN_WITHIN)
    assert nacos.api.instances(service) == [disabled]
    nacos.api.remove(service, disabled)
    assert nacos.api.instances(service) == [disabled]
    began = time.time()
    nacos.api.update(service, listed)
    subscriber.wait_for(service, lambda change: change.instances == (listed,), since=began, timeout=SEEN_WITHIN)


def test_an_instance_needs_no_client(peers: dict[str, NacosPeer], nacos: NacosServer) -> None:
    service = fresh_service()
    subscriber = peers["go"]
    subscriber.subscribe(service)
    listed = Listed("127.0.0.1", 7001, 3.0, True, True, True, "DEFAULT", METADATA)
    nacos.api.register(service, listed)
    subscriber.wait_for(service, lambda change: change.instances == (listed,), timeout=SEEN_WITHIN)
    assert service in nacos.api.services()
    began = time.time()
    nacos.api.remove(service, listed)
    subscriber.wait_for(service, lambda change: not change.instances, since=began, timeout=SEEN_WITHIN)


def test_nobody_has_registered_an_unknown_service(nacos: NacosServer) -> None:
    assert nacos.api.instances(fresh_service()) == []


def test_a_paused_server_does_not_answer_until_it_is_resumed(nacos: NacosServer) -> None:
    nacos.pause()
    try:
        with pytest.raises(OSError, match="timed out"):
            NacosApi(nacos.address, timeout=0.3).services()
    finally:
        nacos.resume()
    nacos.api.services()


def test_through_a_proxy_a_client_comes_back_after_a_reset(
    nacos: NacosServer, tmp_path: Path, record_property: Record
) -> None:
    service = fresh_service()
    with proxy_of(nacos) as proxy, NacosPeer("go", tmp_path, proxy.address) as go:
        go.register(service, ADDRESS)
        before = nacos.api.connections(service)
        assert proxy.connections > 0
        proxy.reset()
        began = time.monotonic()
        eventually(lambda: nacos.api.connections(service) not in (before, []), timeout=20)
        record_property("figures", f"go cut from its server: registered again after {time.monotonic() - began:.2f} s")


@pytest.mark.timeout(180)
@pytest.mark.skipif(EFFORT == 1, reason="a server is started twice, as for others that are killed: make long")
def test_a_server_that_was_killed_comes_back_with_its_ports_and_its_clients(
    start_nacos: Callable[..., NacosServer], tmp_path: Path, record_property: Record
) -> None:
    began = time.time()
    server = start_nacos()
    started = server.ready_at - began
    service = fresh_service()
    with (
        NacosPeer("java", tmp_path / "java", server.address) as java,
        NacosPeer("go", tmp_path / "go", server.address) as go,
    ):
        java.register(service, "127.0.0.1:7001")
        go.register(service, "127.0.0.1:7002")
        go.subscribe(service)
        both = {"127.0.0.1:7001", "127.0.0.1:7002"}
        go.wait_for(service, lambda change: change.addresses == both, timeout=SEEN_WITHIN)
        server.kill()
        with pytest.raises(OSError, match="refused"):
            server.api.services()
        killed = time.time()
        server.start()
        restarted = server.ready_at - killed
        eventually(lambda: {listed.address for listed in server.api.instances(service)} == both, timeout=30)
        back = time.time() - server.ready_at
        told = go.wait_for(service, lambda change: change.addresses == both, since=killed, timeout=30)
    record_property(
        "figures",
        f"a server starts in {started:.1f} s, again in {restarted:.1f} s; java and go were registered "
        f"{back:.2f} s after it was ready, and go told {told.at - server.ready_at:+.2f} s",
    )


@pytest.fixture(scope="module")
def secluded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NacosServer, Host]]:
    """A server with authentication in a network namespace, and another host."""
    with network(2) as (home, other):
        folder = tmp_path_factory.mktemp("secluded") / "home"
        with NacosServer(folder, auth=True, host=home.address, enter=home.enter) as server:
            yield server, other
            server.kill()
            with pytest.raises(OSError, match="refused"):
                server.api.services()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_in_a_network_namespace_lets_in_who_knows_the_password(
    kind: str, secluded: tuple[NacosServer, Host], tmp_path: Path
) -> None:
    service = fresh_service()
    server, other = secluded
    with NacosPeer(kind, tmp_path / kind, server.address, user=(USER, PASSWORD), enter=other.enter) as friend:
        friend.register(service, f"{other.address}:7000")
        registered = [f"{other.address}:7000"]
        eventually(lambda: [listed.address for listed in server.api.instances(service)] == registered, timeout=10)
    eventually(lambda: server.api.instances(service) == [])


@pytest.mark.timeout(120)
def test_a_server_with_authentication_turns_a_stranger_away(secluded: tuple[NacosServer, Host], tmp_path: Path) -> None:
    server, other = secluded
    with NacosPeer("java", tmp_path / "stranger", server.address, enter=other.enter) as stranger:
        with pytest.raises(AssertionError, match="403"):
            stranger.register(fresh_service(), ADDRESS)


@pytest.mark.timeout(120)
def test_a_server_that_cannot_start_says_why(nacos: NacosServer, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="in use"), NacosServer(tmp_path / "home", nacos.port):
        pass


@pytest.mark.parametrize("stopped", [False, True])
def test_a_server_ends_with_a_test_run_that_is_killed(stopped: bool, tmp_path: Path) -> None:
    locate("nacos-server")
    program = (
        "import pathlib, signal\n"
        "from support.nacos_server import NacosServer\n"
        f"server = NacosServer(pathlib.Path({str(tmp_path / 'home')!r}))\n"
        "server.launch()\n"
        f"if {stopped}: server.pause()\n"
        "print(server.pid, flush=True)\n"
        "signal.pause()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        server = Path("/proc") / run.stdout.readline().strip()
        assert server.exists()
        run.kill()
    eventually(lambda: not server.exists() or "State:\tZ" in (server / "status").read_text(), timeout=20)
