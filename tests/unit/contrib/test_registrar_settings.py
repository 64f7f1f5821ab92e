"""Settings that go to a registrar, and how those are told apart that do not belong together."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import attrs
import pytest
from support.scripted import ScriptedPlugin, settings

from pydoudou import DriverStatus, Settings
from pydoudou.contrib.servers.registrar import among_workers, shared
from pydoudou.contrib.servers.registrar.settings import Start, fingerprint, pack, resumed, unpack
from pydoudou.discovery.configuration.sources import Source
from pydoudou.discovery.status import BackendStatus, RegistryStatus
from pydoudou.drivers.environment import Environment

ORDERS = {"GDD_SERVICE_NAME": "orders", "GDD_REGISTER_HOST": "127.0.0.1", "GDD_MEM_HOST": "127.0.0.1"}


def read(**variables: str) -> Settings:
    return Settings.from_env(ORDERS | variables)


def at(address: str) -> RegistryStatus:
    """The status of a registry whose gossip node is reached at this address."""
    driver = DriverStatus("memberlist", True, "", address=address)
    return RegistryStatus(True, backends=(BackendStatus("memberlist", True, True, "", "", 0, driver),))


def test_what_is_read_twice_belongs_together_whatever_name_a_node_would_draw() -> None:
    assert read().drivers["memberlist"].config.name != read().drivers["memberlist"].config.name
    assert fingerprint(read()) == fingerprint(read())
    assert fingerprint(read()) == fingerprint(
        read(GDD_LEAVE_ON_SIGTERM="false", GDD_MANAGE_USER="a", GDD_MANAGE_PASS="b")
    )


@pytest.mark.parametrize(
    "other",
    [
        {"GDD_MEM_SEED": "10.0.0.1"},
        {"GDD_ROUTE_ROOT_PATH": "/v2"},
        {"GDD_MEM_SECRET_KEY": "MDEyMzQ1Njc4OWFiY2RlZg=="},
        {"GDD_SERVICE_DISCOVERY_MODE": "static"},
        {"GDD_WEIGHT": "3"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_settings_do_not_belong_to_them(other: Mapping[str, str]) -> None:
    assert fingerprint(read()) != fingerprint(read(**other))


def test_settings_are_the_same_in_the_process_that_gets_them() -> None:
    before = read(GDD_SERVICE_DISCOVERY_MODE="memberlist,static", GDD_STATIC_USERS="http://10.0.0.1:80")
    start = unpack(pack(Start(before, "print", {"zone": "a"})))
    assert (start.settings, start.fingerprint, start.registered) == (before, "print", {"zone": "a"})
    assert unpack(pack(Start(before, "print"))).registered is None


def test_a_plugin_that_was_given_in_code_cannot_be_taken_along() -> None:
    given = settings(ScriptedPlugin())
    with pytest.raises(ValueError, match=f"no installed package offers the mode '{given.modes[0]}'"):
        pack(Start(given, ""))


@pytest.mark.parametrize(
    ("variables", "port", "any_port"),
    [({}, 40001, False), ({"GDD_MEM_PORT": "0"}, 40001, False), ({"GDD_MEM_PORT": "7000"}, 7000, False)],
    ids=["no port was set", "any port", "a port was set"],
)
def test_who_takes_the_place_of_a_node_has_its_name_and_its_port(
    variables: Mapping[str, str], port: int, any_port: bool
) -> None:
    before = read(**variables)
    after = resumed(before, at("127.0.0.1:40001")).drivers["memberlist"]
    assert (after.config.name, after.port, after.any_port) == (before.drivers["memberlist"].config.name, port, any_port)


def test_a_node_that_has_no_address_yet_is_taken_up_as_it_was() -> None:
    before = read()
    assert resumed(before, at("")).drivers["memberlist"] == before.drivers["memberlist"]


def test_where_the_system_does_not_tell_who_connects_nobody_shares(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED", raising=False)
    before = read()
    assert shared(before) is before
    assert "each process is a node of its own" in caplog.text


def test_a_process_that_no_server_has_started_is_a_node_itself() -> None:
    before = read()
    assert among_workers(before) is before


def told_to_the_node(settings: Settings) -> Mapping[str, str]:
    """What a worker with these settings has the registrar change."""
    changes: Mapping[str, str] = settings.drivers["registrar"].changes
    return changes


def test_the_node_is_told_what_a_worker_says_in_code_and_nothing_that_a_server_says() -> None:
    before = shared(read(GDD_WEIGHT="2"))
    said = before.changed({"GDD_MEM_PROBE_INTERVAL": "9s", "GDD_WEIGHT": "7", "GDD_CALL_ATTEMPTS": "1"})
    assert told_to_the_node(said) == {"GDD_MEM_PROBE_INTERVAL": "9s", "GDD_WEIGHT": "7"}

    def heard(after: Settings, **values: str) -> Settings:
        local = after.configuration
        return after.configured(attrs.evolve(local, sources=(*local.sources, Source("nacos orders", values))))

    there = heard(before, GDD_MEM_GOSSIP_NODES="5")
    assert there.drivers is not before.drivers
    assert there.drivers["registrar"] is before.drivers["registrar"], "nothing for a driver to go on with"
    gone = there.configured(before.configuration)
    assert gone.drivers["registrar"] is before.drivers["registrar"]
    assert told_to_the_node(heard(said, GDD_MEM_GOSSIP_NODES="5")) == told_to_the_node(said)
    back = said.changed({"GDD_MEM_PROBE_INTERVAL": ""})
    assert told_to_the_node(back)["GDD_MEM_PROBE_INTERVAL"] == "", "to its default, in code"


def test_variables_of_the_node_are_described_and_checked_in_its_workers() -> None:
    (plugin,) = shared(read()).plugins.values()
    assert "GDD_MEM_PROBE_INTERVAL" in plugin.dynamic_variables
    assert "GDD_MEM_SEED" in {row.name for row in plugin.documented}
    environment = Environment({"GDD_MEM_PROBE_INTERVAL": "soon"})
    plugin.changed(shared(read()).drivers["registrar"], environment)
    with pytest.raises(Exception, match="GDD_MEM_PROBE_INTERVAL"):
        environment.check()
