"""Configuration that a real Nacos server keeps: it holds within seconds where it may, and leads nobody astray."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.configured_process import ConfiguredProcess
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP, gossip_address, gossiping
from support.nacos_server import PASSWORD, USER, NacosServer, fresh_service, pick_ports
from support.registrars import SLOW_TO_SUSPECT, registrars_of, sharing, where_registrars_are
from support.tcp_proxy import TcpProxy
from support.waiting import eventually

from pydoudou import Registry

pytestmark = pytest.mark.timeout(240)
"""A busy machine takes long to start such a server."""

WITHIN = 5.0
"""Seconds that a change may take."""
SOON = {"GDD_NACOS_CHECK_INTERVAL": "500ms"}
"""For what is not about how long it takes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NacosServer]:
    """One that keeps configuration, and wants to know who asks."""
    home = tmp_path_factory.mktemp("nacos") / "home"
    with NacosServer(home, auth=True, configuration=True, start_timeout=90) as server:
        yield server


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def variables(server: NacosServer, *data_ids: str, **more: str) -> dict[str, str]:
    """Of a process that gossips, knows a service with fixed addresses, and is configured by these data ids."""
    local = {name: value for name, value in FAST_GOSSIP.items() if name not in ("GDD_MEM_PROBE_INTERVAL",)}
    return local | {
        "GDD_SERVICE_NAME": fresh_service(),
        "GDD_SERVICE_DISCOVERY_MODE": "memberlist,static",
        "GDD_CONFIG_REMOTE_TYPE": "nacos",
        "GDD_NACOS_CONFIG_DATAID": ",".join(data_ids),
        "GDD_NACOS_SERVER_ADDR": server.address,
        "GDD_NACOS_USERNAME": USER,
        "GDD_NACOS_PASSWORD": PASSWORD,
        **more,
    }


def holds(process: ConfiguredProcess, expected: dict[str, object], within: float = WITHIN) -> float:
    """Wait until the process says all of this; the seconds that it took."""
    began = time.monotonic()
    eventually(lambda: expected.items() <= process.ask().items(), within)
    return time.monotonic() - began


def refused(process: ConfiguredProcess) -> str:
    """What the process refuses of its configuration."""
    return "\n".join(process.ask()["configuration"]["refused"])


def test_a_change_holds_within_seconds_in_a_process_that_runs(
    server: NacosServer, silent: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    data_id = f"{fresh_service()}.env"
    server.api.publish(data_id, "GDD_MEM_PROBE_INTERVAL=9s\nGDD_MANAGE_USER=ada\nGDD_MANAGE_PASS=first\n")
    given = variables(server, data_id, GDD_STATIC_SILENT=f"http://127.0.0.1:{silent}")
    with ConfiguredProcess(given, silent, tmp_path) as process:
        process.ready()
        at_the_start = {"probe_interval": 9.0, "password": "first", "deadline": 0.0, "weight": 1}
        assert at_the_start.items() <= process.ask().items(), "it holds from the start"
        assert (process.look("ada", "first"), process.look("ada", "second")) == (200, 401)

        server.api.publish(
            data_id,
            "GDD_MEM_PROBE_INTERVAL=300ms\nGDD_CALL_DEADLINE=400ms\nGDD_CALL_ATTEMPTS=1\n"
            "GDD_MANAGE_USER=ada\nGDD_MANAGE_PASS=second\nGDD_WEIGHT=7\nGDD_LOG_LEVEL=error\n",
        )
        changed = {"probe_interval": 0.3, "password": "second", "deadline": 0.4, "weight": 7, "level": 40}
        took = holds(process, changed)
        assert (process.look("ada", "first"), process.look("ada", "second")) == (401, 200)
        call = process.ask("call")
        assert call["error"] in ("ConnectTimeout", "ReadTimeout", "ConnectionError")
        assert call["seconds"] < 2, "the deadline is that of calls whose client was given no policy"
        record_property("figures", f"a changed remote configuration holds after {took:.1f} s")

        server.api.withdraw(data_id)
        holds(process, {"probe_interval": 5.0, "password": "", "deadline": 0.0, "weight": 1, "level": 0}, 12)
    assert list(tmp_path.rglob("*")) == [], "nothing of it is written to a file"


def test_what_is_wrong_or_nothing_that_a_server_may_decide_is_refused_and_visible(server: NacosServer) -> None:
    data_id = f"{fresh_service()}.yml"
    server.api.publish(data_id, "gdd:\n  mem:\n    probe: {interval: 9s}\n    gossip: {nodes: 5}\n")
    given = variables(
        server, data_id, GDD_NACOS_CONFIG_FORMAT="yaml", GDD_PORT="6061", GDD_MEM_INDIRECT_CHECKS="2", **SOON
    )
    with ConfiguredProcess(given) as process:
        process.ready()
        assert {"probe_interval": 9.0, "gossip_nodes": 5}.items() <= process.ask().items()
        server.api.publish(
            data_id,
            "gdd:\n  port: 1\n  mem:\n    probe: {interval: soon}\n    gossip: {nodes: 6}\n    seed: 10.0.0.1\n"
            "    secret: {key: MDEyMzQ1Njc4OWFiY2RlZg==}\n    indirect: {checks: 9}\n  nacos: {password: x9x}\n",
        )
        holds(process, {"probe_interval": 9.0, "gossip_nodes": 6, "port": 6061})
        said = refused(process)
        assert "GDD_MEM_PROBE_INTERVAL is 'soon' in nacos" in said
        for name in ("GDD_MEM_SEED", "GDD_PORT", "GDD_NACOS_PASSWORD", "GDD_MEM_SECRET_KEY"):
            assert name in said
        assert "GDD_MEM_INDIRECT_CHECKS" in said, "the environment has it"
        assert "x9x" not in said
        assert "MDEy" not in said

        server.api.publish(data_id, "gdd:\n  mem: *alias\n")
        eventually(lambda: f"nacos {data_id}, line 2" in refused(process), WITHIN)
        assert {"probe_interval": 9.0, "gossip_nodes": 6}.items() <= process.ask().items(), "what was good holds"

        server.api.publish(data_id, "gdd:\n  mem:\n    probe: {interval: 8s}\n")
        holds(process, {"probe_interval": 8.0, "gossip_nodes": 4})
        assert refused(process) == ""
        assert "x9x" not in process.ask()["configuration"]["message"]


def test_of_several_data_ids_the_first_one_counts_and_a_missing_one_is_waited_for(server: NacosServer) -> None:
    first, second = f"{fresh_service()}.env", f"{fresh_service()}.env"
    server.api.publish(second, "GDD_MEM_GOSSIP_NODES=6\nGDD_MEM_PROBE_INTERVAL=6s\n", group="SHOP")
    with ConfiguredProcess(variables(server, first, second, GDD_NACOS_CONFIG_GROUP="SHOP", **SOON)) as process:
        process.ready()
        assert {"probe_interval": 6.0, "gossip_nodes": 6}.items() <= process.ask().items()
        assert process.ask()["configuration"]["names"] == [second]
        server.api.publish(first, "GDD_MEM_GOSSIP_NODES=7\n", group="SHOP")
        holds(process, {"probe_interval": 6.0, "gossip_nodes": 7})
        server.api.withdraw(first, group="SHOP")
        holds(process, {"probe_interval": 6.0, "gossip_nodes": 6}, 12)


@pytest.mark.timeout(300)
def test_a_server_that_is_down_loses_nothing_and_is_waited_for_unless_it_is_required(
    server: NacosServer, record_property: Callable[[str, object], None]
) -> None:
    data_id = f"{fresh_service()}.env"
    server.api.publish(data_id, "GDD_MEM_PROBE_INTERVAL=9s\n")
    given = variables(server, data_id, **SOON)
    with ConfiguredProcess(given) as early, ConfiguredProcess(given) as late:
        early.ready()
        late.ready()
        server.kill()
        down_until = time.monotonic() + (60 if EFFORT > 1 else 0)
        eventually(lambda: not early.ask()["configuration"]["connected"], 15)
        with ConfiguredProcess(given | {"GDD_NACOS_JOIN": "required"}) as required:
            code, errors = required.end()
            assert (code, "JoinError" in errors) == (1, True)
        with ConfiguredProcess(given) as waiting:
            waiting.ready()
            assert waiting.ask()["probe_interval"] == 5.0
            eventually(lambda: time.monotonic() > down_until, 61)
            assert early.ask()["probe_interval"] == 9.0, "what it said last holds"
            server.start()
            holds(waiting, {"probe_interval": 9.0}, 15)
        eventually(lambda: early.ask()["configuration"]["connected"], 15)
        server.api.publish(data_id, "GDD_MEM_PROBE_INTERVAL=7s\n")
        for process in (early, late):
            took = holds(process, {"probe_interval": 7.0}, 15)
        assert early.ask()["configuration"]["refused"] == []
        record_property("figures", f"after a restart of Nacos a changed remote configuration holds after {took:.1f} s")


def test_processes_that_share_a_node_have_one_of_them_asked_and_all_of_them_changed(
    server: NacosServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    data_id = f"{fresh_service()}.env"
    (port,) = pick_ports()
    ports = {port: server.port, port + 1000: server.port + 1000}

    def say(weight: int, password: str, nodes: str) -> None:
        server.api.publish(
            data_id,
            f"GDD_WEIGHT={weight}\nGDD_MANAGE_USER=ada\nGDD_MANAGE_PASS={password}\nGDD_MEM_GOSSIP_NODES={nodes}\n",
        )

    def told(workers: list[Registry]) -> set[tuple[int, str]]:
        return {(worker.settings.weight, worker.settings.manage_pass) for worker in workers}

    def refused(workers: list[Registry]) -> set[tuple[str, ...]]:
        statuses = [worker.status().configuration for worker in workers]
        return {status.refused for status in statuses if status is not None}

    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(where_registrars_are(tmp_path))
        proxy = stack.enter_context(TcpProxy(ports))
        looking = stack.enter_context(gossiping(**SLOW_TO_SUSPECT))
        given = variables(
            server,
            data_id,
            GDD_NACOS_SERVER_ADDR=proxy.address,
            GDD_MEM_SEED=gossip_address(looking),
            GDD_PORT="7000",
            **SLOW_TO_SUSPECT,
        )
        del given["GDD_SERVICE_NAME"]

        def start() -> Registry:
            return stack.enter_context(sharing("orders", **given))

        def weights() -> list[float]:
            return [member.weight for member in looking.members("orders")]

        say(2, "first", "5")
        workers = [start() for _ in range(4)]
        assert told(workers) == {(2, "first")}, "it holds from the start"
        alone = proxy.connections
        assert refused(workers) == {()}
        say(3, "second", "6")
        began = time.monotonic()
        eventually(lambda: told(workers) == {(3, "second")}, WITHIN)
        took = time.monotonic() - began
        eventually(lambda: weights() == [3])
        workers.append(start())
        assert told(workers) == {(3, "second")}, "who comes later is told before it has started"
        assert proxy.connections == alone, "one session, however many they are"

        (registrar,) = registrars_of(directory)
        os.kill(registrar, signal.SIGKILL)
        eventually(lambda: all(worker.status().registrar not in (None, registrar) for worker in workers), 20)
        assert told(workers) == {(3, "second")}
        say(4, "third", "7")
        eventually(lambda: told(workers) == {(4, "third")}, 15)
        eventually(lambda: weights() == [4])
        eventually(lambda: proxy.connections == alone)
        say(4, "third", "many")
        eventually(lambda: any("GDD_MEM_GOSSIP_NODES is 'many'" in why for each in refused(workers) for why in each))
        assert told(workers) == {(4, "third")}
        record_property("figures", f"a changed remote configuration holds in four workers after {took:.1f} s")


def test_wrong_credentials_end_the_start(server: NacosServer) -> None:
    with ConfiguredProcess(variables(server, "x.env", GDD_NACOS_PASSWORD="wrong-horse")) as process:
        code, errors = process.end()
    assert code == 1
    assert "does not let the user" in errors
    assert "wrong-horse" not in errors
