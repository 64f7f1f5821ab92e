"""What real Nacos servers and networks do to clients.

Where there are services in a `scene`, they are called every 10 ms, and no call may fail.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.http_members import HttpMember
from support.nacos import Scene, nacos_variables, on_nacos, scene
from support.nacos_peers import NacosPeer
from support.nacos_server import NacosServer, fresh_service, nacos_cluster, pick_ports
from support.service_process import ServiceProcess
from support.tcp_proxy import Side, TcpProxy
from support.waiting import eventually

from pydoudou import EventKind, JoinError, MemberEvent
from pydoudou.drivers.nacos import NacosDriver

CHECK_INTERVAL = 3.0
"""The default: within it the driver notices that the server has not what it should have."""

Record = Callable[[str, object], None]


# -- the server --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NacosServer]:
    """A server for tests that kill it, and start it again."""
    with NacosServer(tmp_path_factory.mktemp("mortal") / "home") as server:
        yield server


@pytest.mark.timeout(240)
@pytest.mark.parametrize("down", [5.0, 60.0])
def test_a_server_that_is_killed_and_comes_back_has_everybody_again(
    down: float, mortal: NacosServer, tmp_path: Path, record_property: Record
) -> None:
    with scene(mortal.address) as services, services.looker.watch(services.service) as events:
        told: list[MemberEvent] = []
        threading.Thread(target=lambda: told.extend(events), daemon=True).start()
        mortal.kill()
        eventually(lambda: not services.looker.status().backends[0].judging)
        time.sleep(down)
        assert services.looker.status().stale == (services.service,)
        assert services.seen == services.addresses
        mortal.start()
        eventually(lambda: services.listed_by(mortal) == services.addresses, timeout=30)
        listed = time.time() - mortal.ready_at
        with NacosPeer("java", tmp_path / "peer", mortal.address) as third:
            third.subscribe(services.service)
            third.wait_for(services.service, lambda change: change.addresses == services.addresses)
        eventually(services.judging)
        assert services.looker.status().stale == ()
        assert services.seen == services.addresses
        assert [event for event in told if event.kind is EventKind.LEFT] == []
    record_property(
        "figures",
        f"server killed, down for {down:g} s: registered again {listed:.2f} s after it was ready, and seen by the java "
        "client",
    )


def test_a_server_that_is_down_at_the_start_is_used_when_it_comes(tmp_path: Path, record_property: Record) -> None:
    server = NacosServer(tmp_path / "home")
    service = fresh_service()
    began = time.monotonic()
    with on_nacos(server.address, service) as registry:
        assert time.monotonic() - began < 5
        status = registry.status()
        assert not status.ready
        assert "cannot reach the Nacos server" in status.backends[0].driver.message
        assert server.address in str(status.backends[0])
        with server:
            eventually(lambda: server.api.instances(service), timeout=15)
            listed = time.time() - server.ready_at
            eventually(lambda: registry.status().ready)
    record_property("figures", f"server down at the start: registered {listed:.2f} s after it was ready")


def test_a_server_that_is_down_at_the_start_is_an_error_where_it_is_required() -> None:
    port = pick_ports()[0]
    with pytest.raises(JoinError, match=f"127.0.0.1:{port}.*GDD_NACOS_JOIN=required"):
        on_nacos(f"127.0.0.1:{port}", "orders", GDD_NACOS_JOIN="required").start()


@pytest.mark.timeout(120)
def test_a_server_that_stands_still_for_a_while_costs_nobody_anything(nacos: NacosServer) -> None:
    with scene(nacos.address) as services:
        nacos.pause()
        try:
            eventually(lambda: not services.looker.status().backends[0].judging, timeout=3 * CHECK_INTERVAL)
            assert services.seen == services.addresses
        finally:
            nacos.resume()
        eventually(services.judging, timeout=30)
        eventually(lambda: services.listed_by(nacos) == services.addresses)
        assert services.seen == services.addresses


@pytest.mark.timeout(120)
def test_leaving_takes_no_longer_when_the_server_stands_still_or_is_dead(
    mortal: NacosServer, record_property: Record
) -> None:
    took = {}
    for fault in ("stands still", "is dead"):
        registry = on_nacos(mortal.address, fresh_service())
        registry.start()
        try:
            mortal.pause() if fault == "stands still" else mortal.kill()
            began = time.monotonic()
            registry.stop()
            took[fault] = time.monotonic() - began
        finally:
            mortal.resume() if fault == "stands still" else mortal.start()
    record_property("figures", "stop when the server " + ", ".join(f"{k}: {v:.2f} s" for k, v in took.items()))
    assert max(took.values()) < 5


# -- the connection ----------------------------------------------------------------------------------------------------


@pytest.fixture
def proxied(nacos: NacosServer) -> Iterator[tuple[TcpProxy, Scene]]:
    """Services of which the first reaches the server through a proxy."""
    port = pick_ports(offsets=(0, 1000))[0]
    with (
        TcpProxy({port: nacos.port, port + 1000: nacos.port + 1000}) as proxy,
        scene(nacos.address, first_at=f"127.0.0.1:{port}") as services,
    ):
        yield proxy, services


def connections(nacos: NacosServer, services: Scene) -> frozenset[str]:
    """On which connections the services are registered, under both names."""
    return frozenset(nacos.api.connections(services.service)) & frozenset(
        nacos.api.connections(f"{services.service}_rest")
    )


def registered_anew(nacos: NacosServer, services: Scene, before: frozenset[str]) -> bool:
    """Whether both services are listed, one of them on a new connection."""
    return services.listed_by(nacos) == services.addresses and bool(connections(nacos, services) - before)


@pytest.mark.parametrize("fault", ["reset", "client closed", "server closed"])
def test_a_connection_that_is_cut_is_replaced_within_the_interval(
    fault: str, nacos: NacosServer, proxied: tuple[TcpProxy, Scene], record_property: Record
) -> None:
    proxy, services = proxied
    eventually(lambda: len(connections(nacos, services)) == 2)
    before = connections(nacos, services)
    began = time.monotonic()
    if fault == "reset":
        proxy.reset()
    else:
        proxy.close_side(Side.CLIENT if fault == "client closed" else Side.SERVER)
    eventually(lambda: registered_anew(nacos, services, before), timeout=30)
    took = time.monotonic() - began
    eventually(services.judging)
    eventually(lambda: services.seen == services.addresses)
    record_property("figures", f"connection cut, {fault}: registered again after {took:.2f} s")
    assert took < CHECK_INTERVAL + 1  # the interval, and the time to connect and to be listed


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seconds", [5.0, 30.0])
def test_after_a_black_hole_it_is_registered_within_the_interval(
    seconds: float, nacos: NacosServer, proxied: tuple[TcpProxy, Scene], record_property: Record
) -> None:
    """After 5 s the server knows nothing of it, after 30 s it has dropped the service."""
    proxy, services = proxied
    eventually(lambda: len(connections(nacos, services)) == 2)
    before = connections(nacos, services)
    proxy.black_hole()
    time.sleep(seconds)
    proxy.heal()
    healed = time.monotonic()
    eventually(lambda: registered_anew(nacos, services, before), timeout=60)
    took = time.monotonic() - healed
    eventually(services.judging)
    eventually(lambda: services.seen == services.addresses)
    record_property("figures", f"black hole for {seconds:g} s: registered again {took:.2f} s after its end")
    assert took < CHECK_INTERVAL + 1


# -- our own process ---------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_a_process_that_was_frozen_until_the_server_dropped_it_is_back_when_it_thaws(
    nacos: NacosServer, record_property: Record
) -> None:
    service = fresh_service()
    variables = nacos_variables(nacos.address, service)
    with (
        on_nacos(nacos.address) as looker,
        HttpMember("stays") as stays,
        on_nacos(nacos.address, service, GDD_PORT=str(stays.port)),
        ServiceProcess("freezes", variables, watch=service) as freezes,
    ):
        eventually(lambda: len(looker.members(service)) == 2)
        began = time.monotonic()
        freezes.kill(signal.SIGSTOP)
        eventually(lambda: len(looker.members(service)) == 1, timeout=40)
        dropped = time.monotonic() - began
        time.sleep(max(0.0, 40 - dropped))
        thawed = time.monotonic()
        freezes.kill(signal.SIGCONT)
        eventually(lambda: len(nacos.api.instances(service)) == 2, timeout=30)
        listed = time.monotonic() - thawed
        eventually(lambda: len(looker.members(service)) == 2)
        seen = time.monotonic() - thawed
        with on_nacos(nacos.address, service, GDD_PORT="7999"):
            freezes.wait_for_change("joined", "127.0.0.1:7999")
    record_property(
        "figures",
        f"frozen for 40 s, dropped after {dropped:.1f} s: registered again {listed:.2f} s after the thaw, "
        f"seen after {seen:.2f} s",
    )


def test_a_registration_that_somebody_removed_is_restored_within_the_interval(
    nacos: NacosServer, record_property: Record
) -> None:
    """Removed through the connection itself, for which Nacos has no other way."""
    service = fresh_service()
    with on_nacos(nacos.address, service) as registry:
        eventually(lambda: len(nacos.api.instances(service)) == 1)
        driver = registry.driver("nacos")
        assert isinstance(driver, NacosDriver)
        registry.on_loop(driver.lose_registrations)
        eventually(lambda: nacos.api.instances(service) == [])
        began = time.monotonic()
        eventually(lambda: nacos.api.instances(service) and nacos.api.instances(f"{service}_rest"), timeout=10)
        took = time.monotonic() - began
        eventually(lambda: registry.status().backends[0].driver.counters["registrations_repaired"] == 2)
    record_property("figures", f"both registrations removed: restored after {took:.2f} s")
    assert took < 2 * CHECK_INTERVAL


# -- a cluster ---------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_a_node_of_a_cluster_that_is_killed_loses_nothing(tmp_path: Path, record_property: Record) -> None:
    with nacos_cluster(tmp_path) as servers:
        address = ",".join(server.address for server in servers)
        with scene(address) as services, services.looker.watch(services.service) as events:
            told: list[MemberEvent] = []
            threading.Thread(target=lambda: told.extend(events), daemon=True).start()
            in_use = services.registered[0].status().backends[0].driver.message
            victim = next(server for server in servers if server.address in in_use)
            others = [server for server in servers if server is not victim]
            eventually(lambda: all(services.listed_by(server) == services.addresses for server in others), timeout=20)
            began = time.monotonic()
            victim.kill()
            lowest = services.addresses
            eventually(services.judging, timeout=20)
            back = time.monotonic() - began
            until = time.monotonic() + 15
            while time.monotonic() < until:
                lowest = min(lowest, services.seen, key=len)
                time.sleep(0.05)
            assert services.seen == lowest == services.addresses
            eventually(lambda: all(services.listed_by(server) == services.addresses for server in others), timeout=20)
        assert [event for event in told if event.kind is EventKind.LEFT] == []
    record_property(
        "figures", f"node of a cluster of 3 killed: its clients on another one after {back:.2f} s, nobody lost"
    )
