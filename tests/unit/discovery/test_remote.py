"""What a server that keeps configuration may decide, and what becomes of what it says."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest

from pydoudou import Settings, SettingsError
from pydoudou.contrib.servers.registrar.settings import Start, fingerprint, pack, unpack
from pydoudou.discovery.configuration.described import described
from pydoudou.discovery.configuration.followed import Followed
from pydoudou.discovery.configuration.remote import Remote
from pydoudou.discovery.configuration.sources import Configuration

NACOS = {
    "GDD_CONFIG_REMOTE_TYPE": "nacos",
    "GDD_NACOS_SERVER_ADDR": "127.0.0.1:1",
    "GDD_NACOS_CONFIG_DATAID": "first, second",
}
GOSSIP = {"GDD_MEM_HOST": "127.0.0.1"}
ENOUGH = {"GDD_SERVICE_NAME": "orders", "GDD_REGISTER_HOST": "127.0.0.1", **GOSSIP, **NACOS}


class InForce:
    """Settings that follow what a server says, told by hand."""

    def __init__(self, **variables: str) -> None:
        self.settings = Settings.from_env(ENOUGH | variables)
        remote = self.settings.remote
        assert remote is not None
        self.driver_fails = False
        may_change = self.settings.remote_variables()
        self.heard: list[tuple[Mapping[str, str | None], int]] = []
        self._followed = Followed(remote, may_change, lambda: self.settings.configuration, self._go_on, self._hear)

    async def _go_on(self, configuration: Configuration) -> None:
        if self.driver_fails:
            raise OSError("the driver is in trouble")
        self.settings = self.settings.configured(configuration)

    def _hear(self, texts: Mapping[str, str | None]) -> None:
        self.heard.append((texts, self.nodes))

    def told(self, first: str | None = None, second: str | None = None) -> None:
        """The server keeps these texts now."""
        anyio.run(self._followed.told, {"first": first, "second": second})

    @property
    def refused(self) -> str:
        return "\n".join(self._followed.status().refused)

    @property
    def nodes(self) -> int:
        nodes: int = self.settings.drivers["memberlist"].config.gossip_nodes
        return nodes

    @property
    def probe(self) -> tuple[float, float]:
        config = self.settings.drivers["memberlist"].config
        return config.probe_timeout, config.probe_interval


def problem(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(ENOUGH | variables)
    return str(caught.value)


def test_apollo_and_whatever_is_unknown_are_refused() -> None:
    assert "Apollo is not supported" in problem(GDD_CONFIG_REMOTE_TYPE="apollo")
    assert "GDD_CONFIG_REMOTE_TYPE is 'etcd'; accepted: nacos" in problem(GDD_CONFIG_REMOTE_TYPE="etcd")


def test_what_is_needed_to_ask_is_asked_for() -> None:
    assert "GDD_NACOS_CONFIG_DATAID is ''" in problem(GDD_NACOS_CONFIG_DATAID="")
    assert "GDD_NACOS_SERVER_ADDR is ''" in problem(GDD_NACOS_SERVER_ADDR="")
    assert "GDD_NACOS_CONFIG_FORMAT is 'toml'; accepted: one of dotenv, yaml" in problem(GDD_NACOS_CONFIG_FORMAT="toml")


def test_where_it_is_kept_can_be_taken_to_the_process_that_is_the_node_of_several_workers() -> None:
    settings = Settings.from_env(ENOUGH)
    taken = unpack(pack(Start(settings, "of the workers"))).settings
    assert isinstance(taken.remote, Remote)
    assert (taken.remote, described(taken)) == (settings.remote, described(settings))
    elsewhere = Settings(service="orders", register_host="127.0.0.1", variables=GOSSIP | NACOS)
    assert fingerprint(elsewhere) == fingerprint(settings), "where a value was found is no difference"


def test_keys_addresses_and_seeds_are_nothing_that_a_server_may_decide() -> None:
    settings = Settings.from_env(ENOUGH)
    assert "GDD_MEM_SECRET_KEY" in settings.dynamic_variables()
    assert "GDD_MEM_SECRET_KEY" not in settings.remote_variables()
    assert not {"GDD_MEM_SEED", "GDD_PORT", "GDD_REGISTER_HOST", "GDD_NACOS_PASSWORD"} & settings.remote_variables()


def test_the_first_text_that_has_a_variable_counts_and_the_next_one_when_it_is_gone() -> None:
    force = InForce()
    force.told("GDD_MEM_GOSSIP_NODES=7\n", "GDD_MEM_GOSSIP_NODES=6\nGDD_MANAGE_USER=ada\nGDD_MANAGE_PASS=x9x\n")
    found = {each.name: each for each in described(force.settings)}
    assert (force.nodes, found["GDD_MEM_GOSSIP_NODES"].source) == (7, "nacos first")
    assert (found["GDD_MANAGE_PASS"].value, force.settings.manage_pass) == ("(set)", "x9x")
    force.told(None, "GDD_MEM_GOSSIP_NODES=6\n")
    assert (force.nodes, force.settings.manage_pass) == (6, "")
    force.told(None, None)
    assert force.nodes == 4


def test_a_driver_that_does_not_take_it_is_told_and_ends_nothing() -> None:
    force = InForce()
    force.driver_fails = True
    force.told("GDD_MEM_GOSSIP_NODES=7\n")
    assert (force.nodes, force.refused) == (4, "OSError: the driver is in trouble")
    force.driver_fails = False
    force.told("GDD_MEM_GOSSIP_NODES=8\n")
    assert (force.nodes, force.refused) == (8, "")


def test_a_text_that_is_too_long_is_refused() -> None:
    force = InForce()
    force.told("GDD_MEM_GOSSIP_NODES=7\n")
    force.told("#" * 1_000_001)
    assert (force.nodes, force.refused) == (7, "nacos first: more than 1000000 bytes")


def test_what_the_environment_says_stays() -> None:
    force = InForce(GDD_MEM_GOSSIP_NODES="3")
    force.told("GDD_MEM_GOSSIP_NODES=7\n")
    assert force.nodes == 3
    assert force.refused == "GDD_MEM_GOSSIP_NODES of first: not used, for environment has it"


def test_a_wrong_value_is_refused_alone_and_the_one_before_it_stays() -> None:
    force = InForce()
    force.told("GDD_MEM_GOSSIP_NODES=7\nGDD_WEIGHT=2\n")
    force.told("GDD_MEM_GOSSIP_NODES=many\nGDD_WEIGHT=3\n")
    assert (force.nodes, force.settings.weight) == (7, 3)
    assert "GDD_MEM_GOSSIP_NODES is 'many' in nacos first; accepted" in force.refused
    force.told("GDD_MEM_GOSSIP_NODES=5\nGDD_WEIGHT=3\n")
    assert (force.nodes, force.refused) == (5, "")


def test_values_that_contradict_each_other_are_refused_together() -> None:
    force = InForce()
    force.told("GDD_MEM_PROBE_INTERVAL=9s\n")
    force.told("GDD_MEM_PROBE_INTERVAL=1s\n")
    assert force.probe == (3.0, 9.0), "the timeout is 3 s, which has to be less than the interval"
    assert "GDD_MEM_PROBE_TIMEOUT" in force.refused
    force.told("GDD_MANAGE_USER=ada\n")
    assert force.settings.manage_user == ""
    force.told("GDD_MEM_PROBE_INTERVAL=1s\nGDD_MEM_PROBE_TIMEOUT=500ms\n")
    assert (force.probe, force.refused) == ((0.5, 1.0), "")


def test_a_text_that_cannot_be_read_changes_nothing() -> None:
    force = InForce()
    force.told("GDD_MEM_GOSSIP_NODES=7\n", "GDD_WEIGHT=2\n")
    force.told("GDD_MEM_GOSSIP_NODES\n", "GDD_WEIGHT=3\n")
    assert (force.nodes, force.settings.weight) == (7, 3)
    assert force.refused == "nacos first, line 1: a name and = or : are expected"


def test_a_fixed_weight_stays_a_fixed_one() -> None:
    force = InForce()
    force.told("GDD_WEIGHT=0\n")
    assert force.settings.weight == 1
    assert "another weight of the same kind" in force.refused


def test_what_a_server_may_not_decide_stands_in_one_line_without_its_values() -> None:
    force = InForce()
    force.told("GDD_DB_DSN=x9x\nGDD_PORT=1\nGDD_MEM_SECRET_KEY=x9x\nGDD_WEIGHT=2\n")
    assert force.refused == "GDD_DB_DSN, GDD_MEM_SECRET_KEY, GDD_PORT of first: nothing that a server may decide"
    assert (force.settings.port, force.settings.weight) == (6060, 2)


def test_what_a_program_has_changed_counts_before_what_a_server_says() -> None:
    force = InForce()
    force.told("GDD_MEM_GOSSIP_NODES=7\n")
    force.settings = force.settings.changed({"GDD_MEM_GOSSIP_NODES": "2"})
    force.told("GDD_MEM_GOSSIP_NODES=8\n")
    assert force.nodes == 2


def test_who_hands_it_on_hears_it_as_it_is_once_it_is_in_force() -> None:
    here = InForce()
    text = "GDD_MEM_GOSSIP_NODES=6\nGDD_PORT=1\n"
    here.told(text)
    assert here.heard == [({"first": text, "second": None}, 6)]
    assert "GDD_PORT" in here.refused
