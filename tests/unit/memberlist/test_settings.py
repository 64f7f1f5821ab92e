"""The ``GDD_MEM_*`` variables: go-doudou's units and defaults, and errors where it is silent."""

from __future__ import annotations

import base64
import re

import pytest

from pydoudou.drivers.environment import Environment
from pydoudou.drivers.errors import SettingsError
from pydoudou.drivers.memberlist.protocol import Dialect
from pydoudou.drivers.memberlist.settings import MemberlistSettings, parse_seed, read_settings
from pydoudou.drivers.members import JoinPolicy


def settings(**variables: str) -> MemberlistSettings:
    environment = Environment({"GDD_MEM_HOST": "127.0.0.1"} | variables)
    read = read_settings(environment)
    environment.check()
    return read


def test_the_defaults_are_go_doudous() -> None:
    config = settings().config
    assert (config.gossip_to_the_dead_time, config.push_pull_interval, config.dead_node_reclaim_time) == (60, 60, 3)
    assert (config.probe_interval, config.probe_timeout, config.suspicion_mult) == (5, 3, 6)
    assert (config.retransmit_mult, config.gossip_nodes, config.gossip_interval) == (4, 4, 0.5)
    assert (config.indirect_checks, config.tcp_timeout, config.weight_interval) == (3, 30, 0)
    assert (settings().port, settings().seeds, settings().join) == (7946, (), JoinPolicy.RETRY)
    assert config.dialect is Dialect.DOUDOU


def test_a_bare_number_counts_seconds_except_where_go_doudou_counts_milliseconds() -> None:
    config = settings(GDD_MEM_PROBE_INTERVAL="7", GDD_MEM_GOSSIP_INTERVAL="300", GDD_MEM_DEAD_TIMEOUT="2m").config
    assert (config.probe_interval, config.gossip_interval, config.gossip_to_the_dead_time) == (7.0, 0.3, 120.0)


def test_the_node_name_is_the_host_name_and_six_random_hex_digits() -> None:
    first, second = settings().config.name, settings().config.name
    assert re.fullmatch(r".+-[0-9a-f]{6}", first)
    assert first != second


def test_dynamic_weights_are_announced_only_by_a_node_without_a_static_one() -> None:
    assert settings(GDD_MEM_WEIGHT_INTERVAL="500").config.weight_interval == 0
    assert settings(GDD_MEM_WEIGHT_INTERVAL="500", GDD_WEIGHT="0").config.weight_interval == 0.5
    assert settings(GDD_MEM_WEIGHT_INTERVAL="500", GDD_MEM_WEIGHT="0").config.weight_interval == 0.5
    assert settings(GDD_MEM_WEIGHT_INTERVAL="500", GDD_MEM_WEIGHT="0", GDD_WEIGHT="2").config.weight_interval == 0


@pytest.mark.upstream("TestMemberList_ResolveAddr", "TestUtil_PortFunctions")
@pytest.mark.parametrize(
    ("item", "seed"),
    [
        ("10.0.0.1", ("10.0.0.1", 7946)),
        ("seed.example:8000", ("seed.example", 8000)),
        ("fd00::1", ("fd00::1", 7946)),
        ("[fd00::1]", ("fd00::1", 7946)),
        ("[fd00::1]:8000", ("fd00::1", 8000)),
        ("node-a/10.0.0.1:8000", ("10.0.0.1", 8000)),
        ("node-a/seed.example", ("seed.example", 7946)),
        ("node-a/[fd00::1]:8000", ("fd00::1", 8000)),
        ("node-a/fd00::1", ("fd00::1", 7946)),
        ("::1", ("::1", 7946)),
        ("seed:", ("seed", 7946)),
    ],
)
def test_a_seed_is_a_host_with_or_without_a_port(item: str, seed: tuple[str, int]) -> None:
    assert parse_seed(item) == seed


def test_several_seeds_may_be_separated_by_commas_and_blanks() -> None:
    assert settings(GDD_MEM_SEED=" a , b:1,a,, ::1 ").seeds == (("a", 7946), ("b", 1), ("::1", 7946))


@pytest.mark.upstream("TestMemberList_ResolveAddr", "TestUtil_PortFunctions")
@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ("[fd00::1", "bracket is not closed"),
        ("[fd00::1]8000", "must follow the bracket"),
        ("seed:abc", "port is 'abc'"),
        ("seed:0", "port is '0'"),
        ("seed:70000", "port is '70000'"),
        (":8000", "no host"),
        ("/10.0.0.1", "no name before"),
        ("1:2:3", "1:2:3"),
    ],
)
def test_a_seed_that_is_none_of_these_is_named_with_its_fault(item: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault) as caught:
        settings(GDD_MEM_SEED=item)
    assert "GDD_MEM_SEED" in str(caught.value)


def test_an_invalid_allow_list_is_an_error_instead_of_letting_everybody_in() -> None:
    with pytest.raises(SettingsError, match=r"'10\.0\.0/8' is none"):
        settings(GDD_MEM_CIDRS_ALLOWED="10.0.0/8, fd00::/8")


def test_the_allow_list_admits_what_it_names() -> None:
    config = settings(GDD_MEM_HOST="10.0.0.1", GDD_MEM_CIDRS_ALLOWED="10.0.0.0/8, fd00::/8").config
    assert config.allows("10.1.2.3")
    assert config.allows("fd00::7")
    assert not config.allows("192.168.0.1")


def test_a_node_outside_its_own_allow_list_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"this node's own address, 127\.0\.0\.1"):
        settings(GDD_MEM_CIDRS_ALLOWED="10.0.0.0/8")


@pytest.mark.parametrize("dialect", ["doudou", "hashicorp"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "239.1.1.1"])
def test_an_address_that_is_not_one_hosts_cannot_be_advertised(host: str, dialect: str) -> None:
    with pytest.raises(SettingsError, match="GDD_MEM_HOST"):
        settings(GDD_MEM_HOST=host, GDD_MEM_DIALECT=dialect)


def test_a_node_name_that_others_would_refuse_is_an_error() -> None:
    with pytest.raises(SettingsError, match="GDD_MEM_NAME is '513 characters long'; accepted: at most 512 bytes"):
        settings(GDD_MEM_NAME="x" * 513)


@pytest.mark.parametrize(
    "name",
    [
        "node\n2",
        "\x1b[31mnode",
        "a\u2028b",
        "a\u202eb",
        '"node"',
        "'node'",
        "${HOSTNAME}",
        "$(POD_NAME)",
        "{{ .Name }}-1",
    ],
)
def test_a_name_that_no_other_node_takes_or_that_nobody_meant_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="GDD_MEM_NAME"):
        settings(GDD_MEM_NAME=name)


@pytest.mark.parametrize("name", ["node-1", "Node 1", "nœud", "pod/a.b:7946", "it's", "cost$5", "a{b}"])
def test_a_name_is_any_text_that_can_be_shown(name: str) -> None:
    assert settings(GDD_MEM_NAME=name).config.name == name


def test_a_label_has_no_quotes_around_it() -> None:
    with pytest.raises(SettingsError, match="GDD_MEM_LABEL"):
        settings(GDD_MEM_LABEL='"blue"', GDD_MEM_DIALECT="hashicorp")


def test_a_label_needs_the_dialect_that_has_labels() -> None:
    with pytest.raises(SettingsError, match="GDD_MEM_DIALECT=hashicorp"):
        settings(GDD_MEM_LABEL="blue")
    assert settings(GDD_MEM_LABEL="blue", GDD_MEM_DIALECT="hashicorp").config.label == b"blue"


def test_keys_are_base64_and_never_shown() -> None:
    keys = [bytes(16), bytes(range(32))]
    text = ",".join(base64.b64encode(key).decode() for key in keys)
    read = settings(GDD_MEM_SECRET_KEY=text)
    assert read.keys == tuple(keys)
    assert base64.b64encode(keys[1]).decode() not in repr(read)
    with pytest.raises(SettingsError) as caught:
        settings(GDD_MEM_SECRET_KEY="c2hvcnQ=")
    assert "GDD_MEM_SECRET_KEY" in str(caught.value)
    assert "c2hvcnQ" not in str(caught.value)


def test_a_host_name_is_advertised_only_in_the_dialect_that_can_write_one() -> None:
    assert settings(GDD_MEM_HOST="node.example").config.addr == b"node.example"
    with pytest.raises(SettingsError, match="host names need GDD_MEM_DIALECT=doudou"):
        settings(GDD_MEM_HOST="node.example", GDD_MEM_DIALECT="hashicorp")


def test_a_leading_dot_stands_for_this_hosts_name_in_that_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "pod-3")
    assert settings(GDD_MEM_HOST=".svc.cluster.local").config.advertise_host == "pod-3.svc.cluster.local"


def test_a_probe_timeout_beyond_the_interval_is_an_error() -> None:
    with pytest.raises(SettingsError, match="less than GDD_MEM_PROBE_INTERVAL, which is 5 s"):
        settings(GDD_MEM_PROBE_TIMEOUT="5s")


def test_several_bad_variables_come_in_one_error() -> None:
    with pytest.raises(SettingsError) as caught:
        settings(GDD_MEM_PORT="99999", GDD_MEM_SEED="[::1", GDD_MEM_JOIN="maybe", GDD_MEM_GOSSIP_NODES="none")
    for name in ("GDD_MEM_PORT", "GDD_MEM_SEED", "GDD_MEM_JOIN", "GDD_MEM_GOSSIP_NODES"):
        assert name in str(caught.value)


# -- what cannot work --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GDD_MEM_HOST", "127.0.0.1:7946"),
        ("GDD_MEM_HOST", "$(POD_IP)"),
        ("GDD_MEM_HOST", "<x>"),
        ("GDD_MEM_HOST", "10.0.0.256"),
        ("GDD_MEM_BIND", "127.0.0.1:7946"),
        ("GDD_MEM_BIND", "eth0!"),
        ("GDD_MEM_SEED", "10.0.0.1;10.0.0.2"),
        ("GDD_MEM_SEED", "${SEEDS}"),
        ("GDD_MEM_SECRET_KEY", "schlüssel=="),
        ("GDD_MEM_PROBE_INTERVAL", "1ns"),
        ("GDD_MEM_SYNC_INTERVAL", "9" * 400),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings(**{name: value})


@pytest.mark.parametrize("bind", ["", "0.0.0.0", "::", "127.0.0.1", "fd00::1", "localhost"])
def test_an_address_to_listen_on_may_be_any_of_this_machine(bind: str) -> None:
    assert settings(GDD_MEM_BIND=bind).bind == bind


def test_keys_that_protect_nothing_are_told(caplog: pytest.LogCaptureFixture) -> None:
    key = base64.b64encode(bytes(32)).decode()
    settings(GDD_MEM_SECRET_KEY=key, GDD_MEM_VERIFY_INCOMING="false")
    assert caplog.text == ""
    settings(GDD_MEM_SECRET_KEY=key, GDD_MEM_VERIFY_INCOMING="false", GDD_MEM_VERIFY_OUTGOING="false")
    assert "GDD_MEM_SECRET_KEY protects nothing" in caplog.text


def test_another_port_will_do_unless_one_was_named() -> None:
    assert (settings().port, settings().any_port, settings().config.advertise_port) == (7946, True, 0)
    named = settings(GDD_MEM_PORT="7946")
    assert (named.port, named.any_port, named.config.advertise_port) == (7946, False, 7946)
