"""Gossip and a real Nacos server at once: one view, and the rules by which it is made.

Three processes look: one has both backends, the others one each, so that it is seen when each backend knows.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from support.nacos import nacos_variables
from support.nacos_server import NacosServer, fresh_service, proxy_of
from support.namespaces import network
from support.service_process import ServiceProcess
from support.waiting import eventually

from pydoudou import MemberEvent, Registry, Settings

PROBE_INTERVAL = 1.0
GOSSIP_BOUND = 3 * PROBE_INTERVAL
GOSSIP = {
    "GDD_MEM_HOST": "127.0.0.1",
    "GDD_MEM_BIND": "127.0.0.1",
    "GDD_MEM_PORT": "0",
    "GDD_MEM_PROBE_INTERVAL": f"{PROBE_INTERVAL:g}s",
    "GDD_MEM_PROBE_TIMEOUT": "500ms",
    "GDD_MEM_GOSSIP_INTERVAL": "100ms",
    "GDD_MEM_SUSPICION_MULT": "3",
    "GDD_MEM_TCP_TIMEOUT": "2s",
}
Record = Callable[[str, object], None]


@attrs.define(eq=False)
class Looker:
    """A process that only looks, and what it was told, with the time of it."""

    registry: Registry
    told: list[tuple[float, MemberEvent]] = attrs.Factory(list)

    def follow(self, service: str) -> None:
        watch = self.registry.watch(service)

        def take() -> None:
            for event in watch:
                self.told.append((time.monotonic(), event))

        threading.Thread(target=take, daemon=True).start()

    def when(self, kind: str, since: float, *, state: str = "", timeout: float = 20.0) -> float:
        """Seconds from `since` to the first event of this kind, with the member in this state; waits for it."""

        def first() -> float | None:
            for at, event in list(self.told):
                if at >= since and event.kind.value == kind and state in ("", event.member.state.value):
                    return at
            return None

        eventually(lambda: first() is not None, timeout=timeout)
        found = first()
        assert found is not None
        return found - since

    def departures(self, since: float) -> int:
        return sum(1 for at, event in list(self.told) if at >= since and event.kind.value == "left")


@attrs.frozen
class Lookers:
    service: str
    both: Looker
    gossip: Looker
    nacos: Looker

    @property
    def seed(self) -> str:
        return self.gossip.registry.status().backends[0].driver.address

    @property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """The members in the view of the one with both backends."""
        return {member.address: member.sources for member in self.both.registry.members(self.service)}

    @property
    def picked(self) -> set[str]:
        """Whom its balancers pick."""
        return {member.address for member in self.both.registry.snapshot(self.service).candidates}

    def agree(self, *addresses: str) -> bool:
        return self.sources == dict.fromkeys(addresses, ("memberlist", "nacos"))

    def variables(self, address: str, name: str = "") -> dict[str, str]:
        """Of a service with both backends, or of a process that looks without a name."""
        both = {"GDD_SERVICE_DISCOVERY_MODE": "memberlist,nacos", "GDD_MEM_SEED": self.seed}
        return nacos_variables(address, name) | GOSSIP | both


@contextlib.contextmanager
def looking(address: str) -> Iterator[Lookers]:
    """Three that look at a service which nobody offers yet, at the Nacos server at `address`."""
    service = fresh_service()

    def looker(mode: str, seed: str = "") -> Registry:
        variables = nacos_variables(address) | GOSSIP | {"GDD_SERVICE_DISCOVERY_MODE": mode, "GDD_MEM_SEED": seed}
        return Registry(Settings.from_env(variables, register=False))

    with contextlib.ExitStack() as stack:
        gossip = Looker(stack.enter_context(looker("memberlist")))
        seed = gossip.registry.status().backends[0].driver.address
        both = Looker(stack.enter_context(looker("memberlist,nacos", seed)))
        nacos = Looker(stack.enter_context(looker("nacos")))
        for each in (gossip, both, nacos):
            each.follow(service)
        yield Lookers(service, both, gossip, nacos)


@pytest.fixture
def lookers(nacos: NacosServer) -> Iterator[Lookers]:
    with looking(nacos.address) as lookers:
        yield lookers


def test_a_killed_process_is_withdrawn_when_nacos_knows_which_is_first(
    nacos: NacosServer, lookers: Lookers, record_property: Record
) -> None:
    with ServiceProcess("killed", lookers.variables(nacos.address, lookers.service)) as process:
        eventually(lambda: lookers.agree(process.address), timeout=10)
        process.kill()
        began = time.monotonic()
        by_nacos = lookers.nacos.when("left", began)
        by_view = lookers.both.when("left", began)
        by_gossip = lookers.gossip.when("updated", began, state="suspect")
        dead = lookers.gossip.when("left", began, timeout=40)
        assert lookers.sources == {}
        assert lookers.both.departures(began) == 1
    record_property(
        "figures",
        f"SIGKILL: nacos knows after {by_nacos:.2f} s, gossip suspects after {by_gossip:.2f} s and gives up after "
        f"{dead:.2f} s; the view withdraws it after {by_view:.2f} s, once",
    )
    assert by_view < by_nacos + 0.5


def test_a_frozen_process_is_suspected_when_gossip_knows_which_is_first_and_is_back_when_it_thaws(
    nacos: NacosServer, lookers: Lookers, record_property: Record
) -> None:
    variables = lookers.variables(nacos.address, lookers.service)
    with ServiceProcess("frozen", variables) as frozen, ServiceProcess("other", variables) as other:
        eventually(lambda: lookers.agree(frozen.address, other.address), timeout=10)
        frozen.kill(signal.SIGSTOP)
        began = time.monotonic()
        by_gossip = lookers.gossip.when("updated", began, state="suspect")
        by_view = lookers.both.when("updated", began, state="suspect")
        assert lookers.picked == {other.address}
        assert lookers.nacos.departures(began) == 0
        frozen.kill(signal.SIGCONT)
        thawed = time.monotonic()
        back = lookers.both.when("updated", thawed, state="alive")
        assert lookers.picked == {frozen.address, other.address}
        assert lookers.both.departures(began) == lookers.nacos.departures(began) == 0
    record_property(
        "figures",
        f"SIGSTOP: gossip suspects it after {by_gossip:.2f} s, the view after {by_view:.2f} s, nacos does not notice; "
        f"SIGCONT: picked again after {back:.2f} s",
    )
    assert by_view < by_gossip + 0.5


@pytest.mark.timeout(120)
def test_a_client_that_nacos_drops_while_gossip_sees_it_healthy_is_withdrawn_for_the_bound_and_then_back(
    nacos: NacosServer, lookers: Lookers, record_property: Record
) -> None:
    with proxy_of(nacos) as proxy:
        with ServiceProcess("dropped", lookers.variables(proxy.address, lookers.service)) as process:
            eventually(lambda: lookers.agree(process.address), timeout=10)
            proxy.black_hole()
            began = time.monotonic()
            by_nacos = lookers.nacos.when("left", began, timeout=40)
            by_view = lookers.both.when("left", began)
            back = lookers.both.when("joined", began + by_view, timeout=GOSSIP_BOUND + 5)
            assert lookers.sources == {process.address: ("memberlist",)}
            proxy.heal()
            healed = time.monotonic()
            eventually(lambda: lookers.agree(process.address), timeout=15)
            registered = time.monotonic() - healed
    record_property(
        "figures",
        f"dropped by nacos after {by_nacos:.1f} s, withdrawn by the view {by_view - by_nacos:+.2f} s later, for "
        f"{back:.2f} s (bound: {GOSSIP_BOUND:g} s); with both sources {registered:.2f} s after the network healed",
    )
    assert back <= GOSSIP_BOUND + 0.5


@pytest.mark.timeout(180)
def test_while_nacos_is_down_nothing_leaves_nothing_doubles_and_gossip_still_finds_new_ones(
    start_nacos: Callable[..., NacosServer], record_property: Record
) -> None:
    server = start_nacos()
    with looking(server.address) as lookers:
        variables = lookers.variables(server.address, lookers.service)
        with ServiceProcess("first", variables) as first:
            eventually(lambda: lookers.agree(first.address), timeout=10)
            server.kill()
            began = time.monotonic()
            eventually(lambda: not lookers.both.registry.status().backends[1].judging)
            with ServiceProcess("second", variables) as second:
                eventually(lambda: second.address in lookers.picked)
                appeared = lookers.both.when("joined", began)
                assert lookers.sources[second.address] == ("memberlist",)
                assert lookers.picked == {first.address, second.address}
                server.start()
                eventually(lambda: lookers.agree(first.address, second.address), timeout=30)
                agreed = time.time() - server.ready_at
                assert lookers.both.departures(began) == 0
    record_property(
        "figures",
        f"nacos down: a new member through gossip {appeared:.2f} s after the kill, nobody left; both sources for all "
        f"{agreed:.2f} s after the server was ready",
    )


@pytest.mark.timeout(180)
def test_cut_off_from_gossip_the_members_of_nacos_stay_and_cut_off_from_both_the_last_view_stays(
    start_nacos: Callable[..., NacosServer], tmp_path: Path, record_property: Record
) -> None:
    with network(4) as (home, first, second, here), contextlib.ExitStack() as stack:
        server = start_nacos(host=home.address, enter=home.enter)
        service = fresh_service()
        seed = ""

        def process(host: object, name: str) -> ServiceProcess:
            assert isinstance(host, type(home))
            own = {"GDD_MEM_HOST": host.address, "GDD_MEM_BIND": host.address, "GDD_REGISTER_HOST": host.address}
            modes = {"GDD_SERVICE_DISCOVERY_MODE": "memberlist,nacos", "GDD_MEM_SEED": seed}
            variables = nacos_variables(server.address, name) | GOSSIP | own | modes
            return stack.enter_context(ServiceProcess(host.name, variables, watch=service, enter=host.enter))

        services = []
        for host in (first, second):
            services.append(process(host, service))
            seed = services[0].gossip
        looker = process(here, "")
        addresses = {each.address for each in services}

        def view() -> dict[str, list[str]]:
            return {member["address"]: member["sources"] for member in looker.members(service)}

        both = {address: ["memberlist", "nacos"] for address in addresses}
        eventually(lambda: view() == both, timeout=20)
        here.cut_off_from([first, second])
        cut = time.monotonic()
        eventually(lambda: not looker.status()["judging"]["memberlist"], timeout=10 * PROBE_INTERVAL)
        noticed = time.monotonic() - cut
        until = time.monotonic() + 2 * GOSSIP_BOUND
        while time.monotonic() < until:
            assert set(view()) == addresses
        assert looker.status()["stale"] == []
        here.cut_off_from([home, first, second])
        eventually(lambda: not looker.status()["judging"]["nacos"], timeout=20)
        assert set(view()) == addresses
        assert looker.status()["stale"] == [service]
        assert [event for event in looker.events("change") if event["kind"] == "left"] == []
        here.heal()
        eventually(lambda: view() == both and all(looker.status()["judging"].values()), timeout=60)
        assert looker.status()["stale"] == []
    record_property(
        "figures",
        f"cut off from gossip: noticed after {noticed:.1f} s, the members that nacos lists stay; cut off from both: "
        "the last view stays, marked stale",
    )
