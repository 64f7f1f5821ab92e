"""What real Nacos servers and networks do to clients.

Where there are services in a `scene`, they are called every 10 ms, and no call may fail.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from support.effort import EFFORT
from support.http_members import HttpMember
from support.nacos import Scene, nacos_variables, on_nacos, scene
from support.nacos_peers import NacosPeer
from support.nacos_server import NacosServer, fresh_service, nacos_cluster, pick_ports
from support.service_process import ServiceProcess
from support.tcp_proxy import Side, TcpProxy
from support.waiting import eventually

from pydoudou import EventKind, JoinError, MemberEvent, RegistryStatus
from pydoudou.drivers.nacos import NacosDriver

CHECK_INTERVAL = 3.0
"""The default: within it the driver notices that the server has not what it should have."""

DOWN_FOR = 60.0 if EFFORT > 1 else 5.0
SILENT_FOR = 40.0 if EFFORT > 1 else 0.0
"""Or until the server has dropped who says nothing, which takes it more than twenty seconds."""

Record = Callable[[str, object], None]


# -- the server --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Outage:
    """A server that was killed and started again, and what was seen meanwhile.

    Attributes:
        seen: by who looked, while it was down and when it was back.
        stale: the services that were said to be, likewise.
        lost: events of members that left.
        listed_after: seconds from when the server was ready until it had everybody again.
        leaving_took: seconds, for a process that left while it was down.
        late_start_took: seconds, for a process that was started while it was down.
        late: the status of that, when the server was down.
        late_listed_after: as `listed_after`.
    """

    services: Scene
    seen: list[frozenset[str]]
    stale: list[tuple[str, ...]]
    lost: list[MemberEvent]
    listed_after: float
    leaving_took: float
    late_start_took: float
    late: RegistryStatus
    late_listed_after: float


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Outage:
    """Everything that a server's outage shows, in one: it takes long to start a server."""
    folder = tmp_path_factory.mktemp("outage")
    with NacosServer(folder / "home") as server, scene(server.address) as services:
        leaving, late_service = on_nacos(server.address, fresh_service()), fresh_service()
        told: list[MemberEvent] = []
        with leaving, services.looker.watch(services.service) as events:
            threading.Thread(target=lambda: told.extend(events), daemon=True).start()
            server.kill()
            killed = time.monotonic()
            eventually(lambda: not services.looker.status().backends[0].judging)
            began = time.monotonic()
            leaving.stop()
            leaving_took = time.monotonic() - began
            began = time.monotonic()
            with on_nacos(server.address, late_service) as registry:
                late_start_took = time.monotonic() - began
                late = registry.status()
                time.sleep(max(0.0, DOWN_FOR - (time.monotonic() - killed)))  # it is the outage itself that lasts
                seen, stale = [services.seen], [services.looker.status().stale]
                server.start()
                eventually(lambda: services.listed_by(server) == services.addresses, timeout=30)
                listed = time.time() - server.ready_at
                eventually(lambda: server.api.instances(late_service), timeout=15)
                late_listed = time.time() - server.ready_at
                eventually(lambda: registry.status().ready)
            with NacosPeer("java", folder / "peer", server.address) as third:
                third.subscribe(services.service)
                third.wait_for(services.service, lambda change: change.addresses == services.addresses)
            eventually(services.judging)
            seen.append(services.seen)
            stale.append(services.looker.status().stale)
    lost = [event for event in told if event.kind is EventKind.LEFT]
    return Outage(services, seen, stale, lost, listed, leaving_took, late_start_took, late, late_listed)


@pytest.mark.timeout(240)
def test_a_server_that_is_killed_and_comes_back_has_everybody_again(outage: Outage, record_property: Record) -> None:
    services = outage.services
    assert outage.seen == [services.addresses] * 2
    assert outage.stale == [(services.service,), ()]
    assert outage.lost == []
    record_property(
        "figures",
        f"server killed, down for {DOWN_FOR:g} s: registered again {outage.listed_after:.2f} s after it was ready, and "
        "seen by the java client",
    )


@pytest.mark.timeout(240)
def test_a_server_that_is_down_at_the_start_is_used_when_it_comes(outage: Outage, record_property: Record) -> None:
    assert outage.late_start_took < 5
    assert not outage.late.ready
    (backend,) = outage.late.backends
    assert "cannot reach the Nacos server" in backend.driver.message
    assert re.search(r"127\.0\.0\.1:\d+", str(backend))
    record_property(
        "figures", f"server down at the start: registered {outage.late_listed_after:.2f} s after it was ready"
    )


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


@pytest.mark.timeout(240)
def test_leaving_takes_no_longer_when_the_server_stands_still_or_is_dead(
    outage: Outage, nacos: NacosServer, record_property: Record
) -> None:
    registry = on_nacos(nacos.address, fresh_service())
    registry.start()
    nacos.pause()
    try:
        began = time.monotonic()
        registry.stop()
        took = {"stands still": time.monotonic() - began, "is dead": outage.leaving_took}
    finally:
        nacos.resume()
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


def test_after_a_black_hole_of_which_the_server_knows_nothing_it_is_registered_within_the_interval(
    nacos: NacosServer, proxied: tuple[TcpProxy, Scene], record_property: Record
) -> None:
    proxy, services = proxied
    eventually(lambda: len(connections(nacos, services)) == 2)
    before = connections(nacos, services)
    proxy.black_hole()
    time.sleep(5)  # it is the hole itself that lasts
    assert services.listed_by(nacos) == services.addresses
    proxy.heal()
    healed = time.monotonic()
    eventually(lambda: registered_anew(nacos, services, before), timeout=60)
    took = time.monotonic() - healed
    eventually(services.judging)
    eventually(lambda: services.seen == services.addresses)
    record_property("figures", f"black hole for 5 s: registered again {took:.2f} s after its end")
    assert took < CHECK_INTERVAL + 1


# -- who is silent until the server drops it ---------------------------------------------------------------------------


@attrs.frozen
class Dropped:
    """Two services of which the server has heard nothing for so long that it dropped them, and one that only computed.

    Attributes:
        lasted: seconds until it had, and a while longer with more effort.
        cut_off: seconds from the end of the black hole until the one behind it was registered again.
        frozen: the same for the process that stood still, from when it went on.
        frozen_seen: until others saw that one.
        computing_seen: whether others saw, when both had been dropped, the one whose main thread computed all the time.
        computing_lost: events of its having left until then.
    """

    lasted: float
    cut_off: float
    frozen: float
    frozen_seen: float
    computing_seen: bool
    computing_lost: list[MemberEvent]


@pytest.fixture(scope="module")
def dropped(nacos: NacosServer) -> Dropped:
    """All at once: it takes the server more than twenty seconds."""
    service, of_the_computing = fresh_service(), fresh_service()
    told: list[MemberEvent] = []
    port = pick_ports(offsets=(0, 1000))[0]
    with (
        on_nacos(nacos.address) as looker,
        HttpMember("stays") as stays,
        on_nacos(nacos.address, service, GDD_PORT=str(stays.port)),
        ServiceProcess("freezes", nacos_variables(nacos.address, service), watch=service) as freezes,
        ServiceProcess("computes", nacos_variables(nacos.address, of_the_computing)) as computes,
        looker.watch(of_the_computing) as events,
        TcpProxy({port: nacos.port, port + 1000: nacos.port + 1000}) as proxy,
        scene(nacos.address, first_at=f"127.0.0.1:{port}") as services,
    ):
        eventually(lambda: len(looker.members(service)) == len(connections(nacos, services)) == 2)
        eventually(lambda: looker.members(of_the_computing))
        threading.Thread(target=lambda: told.extend(events), daemon=True).start()
        before = connections(nacos, services)
        began = time.monotonic()
        computes.busy(max(30.0, SILENT_FOR))
        freezes.kill(signal.SIGSTOP)
        proxy.black_hole()
        eventually(lambda: len(looker.members(service)) == 1 and len(services.listed_by(nacos)) == 1, timeout=60)
        time.sleep(max(0.0, SILENT_FOR - (time.monotonic() - began)))
        lasted = time.monotonic() - began
        computing = bool(looker.members(of_the_computing)), [event for event in told if event.kind is EventKind.LEFT]
        freezes.kill(signal.SIGCONT)
        proxy.heal()
        mended = time.monotonic()
        waited_for = {
            "cut_off": lambda: registered_anew(nacos, services, before),
            "frozen": lambda: len(nacos.api.instances(service)) == 2,
            "frozen_seen": lambda: len(looker.members(service)) == 2,
        }
        after: dict[str, float] = {}

        def all_are_back() -> bool:
            for what in waited_for.keys() - after.keys():
                if waited_for[what]():
                    after[what] = time.monotonic() - mended
            return after.keys() == waited_for.keys()

        eventually(all_are_back, timeout=60)
        eventually(services.judging)
        eventually(lambda: services.seen == services.addresses)
        with on_nacos(nacos.address, service, GDD_PORT="7999"):
            freezes.wait_for_change("joined", "127.0.0.1:7999")
    return Dropped(lasted, after["cut_off"], after["frozen"], after["frozen_seen"], *computing)


@pytest.mark.timeout(180)
def test_after_a_black_hole_for_which_the_server_dropped_it_it_is_registered_within_the_interval(
    dropped: Dropped, record_property: Record
) -> None:
    record_property(
        "figures", f"black hole for {dropped.lasted:.0f} s: registered again {dropped.cut_off:.2f} s after its end"
    )
    assert dropped.cut_off < CHECK_INTERVAL + 1


@pytest.mark.timeout(180)
def test_a_process_that_was_frozen_until_the_server_dropped_it_is_back_when_it_thaws(
    dropped: Dropped, record_property: Record
) -> None:
    record_property(
        "figures",
        f"frozen for {dropped.lasted:.0f} s, and dropped: registered again {dropped.frozen:.2f} s after the thaw, seen "
        f"after {dropped.frozen_seen:.2f} s",
    )
    assert dropped.frozen_seen < 2 * CHECK_INTERVAL


@pytest.mark.timeout(180)
def test_a_main_thread_that_computes_until_the_server_has_dropped_others_does_not_cost_the_registration(
    dropped: Dropped,
) -> None:
    assert dropped.computing_seen
    assert dropped.computing_lost == []


# -- a registration ----------------------------------------------------------------------------------------------------


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
