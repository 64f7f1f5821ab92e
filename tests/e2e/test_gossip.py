"""Registries that gossip over real sockets on loopback: what a user meets."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import time
from typing import cast

import pytest

import pydoudou
from pydoudou import JoinError, MetadataTooLarge, Registry, SettingsError
from pydoudou.drivers.memberlist import MemberlistDriver
from pydoudou.drivers.memberlist.protocol import Config

KEY = base64.b64encode(bytes(16)).decode()
from support.gossip import NEVER_SUSPECTED, gossip_address, gossip_nodes, gossiping
from support.nacos_server import pick_ports
from support.server_processes import free_port, process_of
from support.waiting import eventually


def counter(registry: Registry, name: str) -> int:
    return registry.status().backends[0].driver.counters.get(name, 0)


def message(registry: Registry) -> str:
    return registry.status().backends[0].driver.message


def test_a_service_is_found_by_whoever_looks() -> None:
    with gossiping("orders", GDD_PORT="8080", GDD_WEIGHT="3", GDD_ROUTE_ROOT_PATH="/api") as service:
        with gossiping(GDD_MEM_SEED=gossip_address(service)) as looking:
            (orders,) = looking.members("orders")
            assert (orders.base_url, orders.weight) == ("http://127.0.0.1:8080/api", 3)
            assert orders.sources == ("memberlist",)
            assert {member.service for member in looking.members()} == {"orders"}


def test_a_leaving_service_is_gone_at_once() -> None:
    with gossiping() as looking, gossiping("orders", GDD_MEM_SEED=gossip_address(looking)):
        eventually(lambda: looking.members("orders"))
    with gossiping(**NEVER_SUSPECTED) as looking:
        service = gossiping("orders", GDD_MEM_SEED=gossip_address(looking))
        service.start()
        eventually(lambda: looking.members("orders"))
        service.stop()
        eventually(lambda: not looking.members("orders"))


@pytest.mark.parametrize("compat", ["v1", "v2", "both"])
def test_a_service_is_found_whichever_generation_of_metadata_it_writes(compat: str) -> None:
    with gossiping("orders", GDD_COMPAT=compat) as service:
        with gossiping(GDD_MEM_SEED=gossip_address(service)) as looking:
            assert len(looking.members("orders")) == len(looking.members("orders_rest")) == 1


def test_ipv6_alone_is_enough() -> None:
    loopback = {"GDD_MEM_HOST": "::1", "GDD_MEM_BIND": "::1", "GDD_REGISTER_HOST": "::1"}
    with gossiping("orders", GDD_PORT="8080", **loopback) as service:
        with gossiping(GDD_MEM_SEED=gossip_address(service), **loopback) as looking:
            assert looking.members("orders")[0].base_url == "http://[::1]:8080"


def test_a_host_name_as_address_is_resolved() -> None:
    with gossiping("orders", GDD_MEM_HOST="localhost", GDD_MEM_BIND="") as service:
        seed = f"localhost:{gossip_address(service).rpartition(':')[2]}"
        with gossiping(GDD_MEM_SEED=seed, GDD_MEM_HOST="localhost", GDD_MEM_BIND="") as looking:
            eventually(lambda: looking.members("orders"))
            eventually(lambda: gossip_nodes(service) == 2)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
def test_a_port_in_use_is_named_with_its_protocol(kind: socket.SocketKind) -> None:
    (port,) = pick_ports(offsets=(0,))  # not one that the system gives to clients: both protocols are to have it free
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", port))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        protocol = "TCP" if kind is socket.SOCK_STREAM else "UDP"
        with pytest.raises(
            SettingsError, match=rf"{protocol} port {port} of 127\.0\.0\.1 is already in use.*GDD_MEM_PORT"
        ):
            gossiping("orders", GDD_MEM_PORT=str(port)).start()


def test_port_zero_gives_both_protocols_the_same_free_port() -> None:
    with gossiping("orders") as registry:
        host, _, port = gossip_address(registry).rpartition(":")
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe, pytest.raises(OSError, match="in use"):
                probe.bind((host, int(port)))


def test_a_node_whose_seed_is_down_starts_and_joins_when_the_seed_comes_up() -> None:
    port = free_port()
    with gossiping("orders", GDD_MEM_SEED=f"127.0.0.1:{port}") as early:
        status = early.status().backends[0]
        assert not status.ready
        assert f"127.0.0.1:{port}" in message(early)
        eventually(lambda: "attempt" in message(early))
        with gossiping("users", GDD_MEM_PORT=str(port)) as seed:
            eventually(lambda: seed.members("orders"), timeout=15)
            eventually(lambda: early.status().ready)
            assert "joined through 1 seed" in message(early)


def test_the_log_of_one_registry_is_disabled_and_that_of_another_is_not(caplog: pytest.LogCaptureFixture) -> None:
    silent, loud = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    with gossiping("orders", GDD_MEM_SEED=loud):
        with gossiping("orders", GDD_MEM_SEED=silent, GDD_MEM_LOG_DISABLE="true"):
            pass
        with gossiping("orders", GDD_MEM_SEED=loud):
            pass
    said = [record.getMessage() for record in caplog.records]
    assert sum("no seed answered" in line and loud in line for line in said) == 2
    assert not any(silent in line for line in said)


def test_a_required_join_that_fails_is_an_error_that_names_the_seed_and_the_variable() -> None:
    port = free_port()
    with pytest.raises(JoinError, match=rf"127\.0\.0\.1:{port}.*GDD_MEM_JOIN=required"):
        gossiping("orders", GDD_MEM_SEED=f"127.0.0.1:{port}", GDD_MEM_JOIN="required").start()


def test_one_seed_of_several_is_enough() -> None:
    with gossiping("orders") as seed:
        seeds = f"127.0.0.1:{free_port()} , {gossip_address(seed)}, no-such-host.invalid"
        with gossiping(GDD_MEM_SEED=seeds, GDD_MEM_JOIN="required") as looking:
            assert looking.members("orders")


def test_a_node_may_be_its_own_seed() -> None:
    port = free_port()
    with gossiping(
        "orders", GDD_MEM_PORT=str(port), GDD_MEM_SEED=f"127.0.0.1:{port}", GDD_MEM_JOIN="required"
    ) as alone:
        assert alone.status().ready
        assert "only seed" in message(alone)


PACKETS = (b"", b"\xff" * 40, b"GET / HTTP/1.1\r\n\r\n", b"\x07\xff", b"\x09\x82\xa4Algo\x00\xa3Buf\xa1\x00")
STREAMS = (b"\x63", b"\x06\xc1", b"\xf4\x00", b"\x0a")


def test_rubbish_is_counted_and_changes_nothing() -> None:
    with gossiping("orders") as registry:
        host, _, port = gossip_address(registry).rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for rubbish in (
                b"",
                b"\xff" * 40,
                b"GET / HTTP/1.1\r\n\r\n",
                b"\x07\xff",
                b"\x09\x82\xa4Algo\x00\xa3Buf\xa1\x00",
            ):
                stranger.sendto(rubbish, (host, int(port)))
        eventually(lambda: counter(registry, "bad_packet") + counter(registry, "bad_message") == 5)
        for rubbish in STREAMS:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port))) as stream:
                stream.sendall(rubbish)
                stream.shutdown(socket.SHUT_WR)
                stream.settimeout(5)
                while stream.recv(4096):
                    pass
        eventually(lambda: counter(registry, "bad_stream") == 4)
        assert len(registry.members("orders")) == 1
        assert registry.status().ready


def test_metadata_that_does_not_fit_is_refused_before_anything_is_sent() -> None:
    with gossiping() as looking:
        registry = gossiping("orders", GDD_MEM_SEED=gossip_address(looking))
        with pytest.raises(MetadataTooLarge, match="'description'"):
            registry.start({"description": "x" * 500})
        assert not registry.running
        assert gossip_nodes(looking) == 1


def test_changed_metadata_reaches_the_others() -> None:
    with gossiping("orders") as service, gossiping(GDD_MEM_SEED=gossip_address(service)) as looking:
        service.update({"zone": "b"})
        eventually(lambda: looking.members("orders")[0].data == {"zone": "b"})
        with pytest.raises(MetadataTooLarge):
            service.update({"zone": "x" * 500})
        assert service.members("orders")[0].data == {"zone": "b"}


def test_a_restart_under_another_name_at_the_same_address_is_one_member() -> None:
    """A killed process comes back before the others have noticed that it was gone."""
    with gossiping() as looking, gossiping(GDD_MEM_SEED=gossip_address(looking)):
        seed = gossip_address(looking)
        program = "import pydoudou, sys; pydoudou.new_node(); print('up', flush=True); sys.stdin.read()"
        environment = os.environ | {
            "GDD_SERVICE_NAME": "orders",
            "GDD_PORT": "8080",
            "GDD_REGISTER_HOST": "127.0.0.1",
            "GDD_MEM_HOST": "127.0.0.1",
            "GDD_MEM_BIND": "127.0.0.1",
            "GDD_MEM_PORT": "0",
            "GDD_MEM_SEED": seed,
        }
        for _ in range(2):
            with process_of(
                [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "up\n"
                eventually(lambda: [m.address for m in looking.members("orders")] == ["127.0.0.1:8080"])
                process.kill()
        eventually(lambda: not looking.members("orders"), timeout=15)


def test_a_seed_that_says_nothing_holds_up_no_start_and_one_that_answers_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, gossiping() as looking:
        seeds = f"127.0.0.1:{silent.getsockname()[1]},{gossip_address(looking)}"
        began = time.monotonic()
        with gossiping("orders", GDD_MEM_SEED=seeds, GDD_MEM_TCP_TIMEOUT="30s"):
            assert time.monotonic() - began < 15
            eventually(lambda: looking.members("orders"))


def test_processes_on_one_machine_need_no_port_setting_and_the_first_one_is_the_seed() -> None:
    own = {"GDD_MEM_HOST": "127.93.7.1", "GDD_MEM_BIND": "127.93.7.1", "GDD_MEM_SEED": "127.93.7.1"}
    unset = {**own, "GDD_MEM_PORT": ""}
    with gossiping("orders", **unset) as first, gossiping("users", **unset) as second, gossiping(**unset) as looking:
        assert gossip_address(first) == "127.93.7.1:7946"
        assert len({gossip_address(each) for each in (first, second, looking)}) == 3
        eventually(lambda: looking.members("orders") and looking.members("users"))
        with pytest.raises(SettingsError, match="GDD_MEM_PORT"), gossiping("third", **{**own, "GDD_MEM_PORT": "7946"}):
            pytest.fail("started on a port that is taken")


def test_a_process_that_just_ends_leaves() -> None:
    with gossiping() as looking:
        program = textwrap.dedent("""
            import os, pydoudou
            os.environ.update(
                GDD_SERVICE_NAME="orders", GDD_REGISTER_HOST="127.0.0.1", GDD_MEM_HOST="127.0.0.1",
                GDD_MEM_BIND="127.0.0.1", GDD_MEM_PORT="0",
            )
            pydoudou.new_node()
            print("up", flush=True)
            input()
        """)
        with process_of(
            [sys.executable, "-c", program],
            env=os.environ | {"GDD_MEM_SEED": gossip_address(looking)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "up\n"
            with looking.watch("orders") as watch:
                process.stdin.write("\n")
                process.stdin.close()
                assert process.wait(10) == 0
                assert next(iter(watch)).member.state is pydoudou.MemberState.LEFT


def config_of(registry: Registry) -> Config:
    """The settings that the running gossip node uses."""
    return cast(MemberlistDriver, registry.driver("memberlist")).node.swim.config


def test_dynamic_variables_change_while_the_node_runs() -> None:
    with gossiping("orders", GDD_MEM_GOSSIP_NODES="7") as service:
        with gossiping(GDD_MEM_SEED=gossip_address(service)) as looking:
            service.reconfigure({"GDD_MEM_PROBE_INTERVAL": "2s", "GDD_MEM_GOSSIP_NODES": ""})
            config = config_of(service)
            assert (config.probe_interval, config.gossip_nodes) == (2.0, 4)
            assert config.advertise_port == int(gossip_address(service).rpartition(":")[2])
            service.update({"zone": "b"})
            eventually(lambda: looking.members("orders")[0].data == {"zone": "b"})


def test_one_bad_change_changes_nothing_and_every_bad_one_is_named() -> None:
    with gossiping("orders") as service:
        before = config_of(service)
        with pytest.raises(SettingsError) as caught:
            service.reconfigure(
                {
                    "GDD_MEM_GOSSIP_NODES": "9",
                    "GDD_MEM_PROBE_INTERVAL": "0",
                    "GDD_MEM_PORT": "1",
                    "GDD_MEM_SECRET_KEY": KEY,
                }
            )
        for name in ("GDD_MEM_PROBE_INTERVAL", "GDD_MEM_PORT", "GDD_MEM_SECRET_KEY"):
            assert name in str(caught.value)
        assert config_of(service) == before


def test_keys_rotate_while_the_cluster_runs() -> None:
    old, new = KEY, base64.b64encode(bytes(range(32))).decode()
    with gossiping("orders", GDD_MEM_SECRET_KEY=old) as service:
        with gossiping(GDD_MEM_SECRET_KEY=old, GDD_MEM_SEED=gossip_address(service)) as looking:
            for step, keys in enumerate((f"{old},{new}", f"{new},{old}", new)):
                for registry in (service, looking):
                    registry.reconfigure({"GDD_MEM_SECRET_KEY": keys})
                service.update({"step": step})
                eventually(lambda step=step: looking.members("orders")[0].data == {"step": step})
            with gossiping(GDD_MEM_SECRET_KEY=old, GDD_MEM_SEED=gossip_address(service)) as late:
                assert not late.status().ready
            assert counter(service, "bad_stream") > 0


def test_a_node_without_a_static_weight_announces_one_and_the_others_use_it() -> None:
    with gossiping("orders", GDD_WEIGHT="0", GDD_MEM_WEIGHT_INTERVAL="50") as service:
        with gossiping(GDD_MEM_SEED=gossip_address(service)) as looking:
            eventually(lambda: looking.members("orders")[0].dynamic_weight)
            assert 0 <= looking.members("orders")[0].weight <= 8
            eventually(lambda: service.members("orders")[0].dynamic_weight)


def test_a_static_weight_is_not_overridden() -> None:
    with gossiping("orders", GDD_WEIGHT="5", GDD_MEM_WEIGHT_INTERVAL="50") as service:
        with gossiping(GDD_MEM_SEED=gossip_address(service)) as looking:
            assert looking.members("orders")[0].weight == 5
            assert counter(service, "weights_applied") == 0


def test_members_outside_the_allow_list_are_not_admitted() -> None:
    own = {"GDD_MEM_HOST": "127.0.0.2", "GDD_MEM_BIND": "127.0.0.2", "GDD_MEM_CIDRS_ALLOWED": "127.0.0.2/32"}
    with gossiping(**own) as guarded:
        with gossiping("orders", GDD_MEM_SEED=gossip_address(guarded)) as stranger:
            assert not stranger.status().ready
            assert guarded.members("orders") == ()
            assert counter(guarded, "address_not_allowed") > 0


def test_a_node_does_not_join_outside_its_allow_list() -> None:
    own = {"GDD_MEM_HOST": "127.0.0.2", "GDD_MEM_BIND": "127.0.0.2", "GDD_MEM_CIDRS_ALLOWED": "127.0.0.2/32"}
    with gossiping("orders") as stranger, gossiping(GDD_MEM_SEED=gossip_address(stranger), **own) as guarded:
        assert guarded.members("orders") == ()
        assert "no address of 127.0.0.1 is allowed" in message(guarded)


def test_a_packet_from_outside_the_allow_list_is_dropped_unread() -> None:
    with gossiping("orders", GDD_MEM_CIDRS_ALLOWED="10.0.0.0/8,127.0.0.1/32") as guarded:
        host, _, port = gossip_address(guarded).rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.sendto(b"\x00\x80", (host, int(port)))
            eventually(lambda: counter(guarded, "address_not_allowed") == 1)
            stranger.settimeout(0.2)
            with pytest.raises(TimeoutError):
                stranger.recv(100)
