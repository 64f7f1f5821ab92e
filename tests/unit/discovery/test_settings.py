"""Variables in, settings or one complete complaint out."""

from __future__ import annotations

import copy
import logging
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.scripted import ScriptedPlugin
from support.scripted import settings as scripted_settings

from pydoudou import Compat, Settings, SettingsError
from pydoudou.discovery.configuration import reading
from pydoudou.discovery.configuration.call_defaults import CallDefaults
from pydoudou.drivers.kit.validation import printable

ENOUGH = {"GDD_SERVICE_NAME": "orders", "GDD_REGISTER_HOST": "10.0.0.7"}


def read(**variables: str) -> Settings:
    return Settings.from_env(ENOUGH | variables)


def complaint(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(**variables)
    return str(caught.value)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of installed packages, among them ``acme-drivers`` with the modes ``acme``, ``broken`` and ``extra``."""
    (tmp_path / "acme.py").write_text(
        "def read_settings(environment):\n"
        "    return environment.integer('ACME_PORT', 1, least=1, most=9)\n"
        "def create(settings):\n"
        "    raise NotImplementedError\n"
    )
    (tmp_path / "acme_broken.py").write_text("import a_package_that_nobody_has\n")
    information = tmp_path / "acme_drivers-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-drivers\nVersion: 1.0\nProvides-Extra: extra\n"
    )
    (information / "entry_points.txt").write_text(
        "[pydoudou.drivers]\nAcme = acme\nbroken = acme_broken\nextra = acme_broken\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for module in ("acme", "acme_broken"):
        sys.modules.pop(module, None)


# -- the mode ----------------------------------------------------------------------------------------------------------


def test_the_mode_is_memberlist_unless_it_is_set() -> None:
    assert read().modes == ("memberlist",)
    assert read(GDD_SERVICE_DISCOVERY_MODE=" ").modes == ("memberlist",)


def test_modes_keep_their_order_and_lose_blanks_case_and_repetitions(installed: None) -> None:
    modes = read(GDD_SERVICE_DISCOVERY_MODE=" ACME , memberlist,acme, ").modes
    assert modes == ("acme", "memberlist")


def test_an_unknown_mode_is_skipped_with_a_warning_that_lists_the_known_ones(
    installed: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(GDD_SERVICE_DISCOVERY_MODE="zookeeper,acme").modes == ("acme",)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "'zookeeper'" in caplog.text
    assert "acme, broken, extra, memberlist" in caplog.text


@pytest.mark.parametrize("modes", ["zookeeper", ",", " , ,"])
def test_no_known_mode_at_all_is_an_error(modes: str) -> None:
    message = complaint(GDD_SERVICE_DISCOVERY_MODE=modes)
    assert "GDD_SERVICE_DISCOVERY_MODE" in message
    assert "memberlist" in message


def test_a_driver_is_imported_only_when_the_mode_names_it(installed: None) -> None:
    read()
    assert "acme" not in sys.modules
    assert read(GDD_SERVICE_DISCOVERY_MODE="acme").drivers == {"acme": 1}


def test_a_mode_whose_extra_is_not_installed_says_what_to_install(installed: None) -> None:
    message = complaint(GDD_SERVICE_DISCOVERY_MODE="extra")
    assert "pip install 'acme-drivers[extra]'" in message
    assert "a_package_that_nobody_has" in message


def test_a_mode_that_cannot_be_imported_and_has_no_extra_names_its_package(installed: None) -> None:
    assert "pip install 'acme-drivers'" in complaint(GDD_SERVICE_DISCOVERY_MODE="broken")


# -- bad values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("GDD_PORT", "abc", "a whole number from 1 to 65535"),
        ("GDD_PORT", "0", "a whole number from 1 to 65535"),
        ("GDD_PORT", "65536", "a whole number from 1 to 65535"),
        ("GDD_WEIGHT", "heavy", "a whole number"),
        ("GDD_WEIGHT", "10001", "a whole number"),
        ("GDD_MEM_WEIGHT", "1.5", "a whole number"),
        ("GDD_COMPAT", "v3", "both, v1, v2"),
        ("GDD_ROUTE_ROOT_PATH", "/v 1", "a path such as /v1"),
        ("GDD_ROUTE_ROOT_PATH", "/v1?x", "a path such as /v1"),
        ("GDD_REGISTER_HOST", "http://10.0.0.1", "an IP address or a host name"),
        ("GDD_REGISTER_HOST", "ordé", "an IP address or a host name"),
        ("GDD_REGISTER_HOST", "0.0.0.0", "an IP address or a host name"),
        ("GDD_REGISTER_HOST", "224.0.0.1", "an IP address or a host name"),
        ("GDD_REGISTER_HOST", "10.0.0.256", "an IP address or a host name"),
        ("GDD_REGISTER_HOST", "10.0.0.1:8080", "an IP address or a host name"),
        ("GDD_REGISTER_HOST", "a..b", "an IP address or a host name"),
        ("GDD_REGISTER_HOST", "${POD_IP}", "an IP address or a host name"),
        ("GDD_REGISTER_HOST", '"10.0.0.1"', "an IP address or a host name"),
        ("GDD_SERVICE_NAME", '"orders"', "without blanks, quotes"),
        ("GDD_SERVICE_NAME", "${NAME}", "without blanks, quotes"),
        ("GDD_SERVICE_NAME", "or ders", "without blanks"),
        ("GDD_SERVICE_NAME", "or/ders", "without blanks"),
        ("GDD_SERVICE_NAME", "GROUP@@orders", "without blanks"),
        ("GDD_SERVICE_NAME", "o" * 129, "up to 128 bytes"),
        ("GDD_MEM_PORT", "99999", "a whole number from 0 to 65535"),
        ("GDD_MEM_SEED", "[::1", "the bracket is not closed"),
    ],
)
def test_a_bad_value_is_named_with_the_variable_and_what_is_accepted(name: str, value: str, accepted: str) -> None:
    message = complaint(**{name: value})
    assert f"{name} is {printable(value)}" in message
    assert accepted in message
    assert message.startswith("1 setting cannot be used:")


def test_a_missing_service_name_is_an_error_that_mentions_how_to_do_without() -> None:
    message = complaint(GDD_SERVICE_NAME="")
    assert "GDD_SERVICE_NAME is" in message
    assert "register=False" in message


def test_all_bad_values_of_the_registry_and_of_all_drivers_come_in_one_error(installed: None) -> None:
    message = complaint(
        GDD_SERVICE_DISCOVERY_MODE="memberlist,acme",
        GDD_SERVICE_NAME="",
        GDD_PORT="abc",
        GDD_MEM_PORT="99999",
        GDD_MEM_SEED="[::1",
        ACME_PORT="10",
    )
    assert message.startswith("5 settings cannot be used:")
    for name in ("GDD_SERVICE_NAME", "GDD_PORT", "GDD_MEM_PORT", "GDD_MEM_SEED", "ACME_PORT"):
        assert f"- {name} is" in message


def test_a_bad_gossip_host_that_is_the_service_host_too_is_complained_about_once() -> None:
    message = complaint(GDD_REGISTER_HOST="", GDD_MEM_HOST="a b")
    assert message.count("GDD_MEM_HOST") == 1


# -- what is registered ------------------------------------------------------------------------------------------------


def test_a_process_that_only_looks_needs_no_service_name_and_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "private_address", lambda: pytest.fail("looked up an address"))
    settings = Settings.from_env({"GDD_MEM_HOST": "127.0.0.1"}, register=False)
    assert (settings.register, settings.service_name) == (False, "")


def test_the_defaults_are_those_of_go_doudou() -> None:
    settings = read()
    assert (settings.port, settings.root_path, settings.weight, settings.compat) == (6060, "", 1, Compat.BOTH)


@pytest.mark.parametrize(
    ("variables", "weight"),
    [
        ({"GDD_WEIGHT": "3"}, 3),
        ({"GDD_MEM_WEIGHT": "4"}, 4),
        ({"GDD_WEIGHT": "3", "GDD_MEM_WEIGHT": "4"}, 3),
        ({"GDD_WEIGHT": "0", "GDD_MEM_WEIGHT": "4"}, 0),
        ({"GDD_WEIGHT": "-1"}, 0),
        ({"GDD_WEIGHT": "0x10"}, 16),
    ],
)
def test_the_weight_has_a_new_and_an_old_name_and_none_above_zero_means_dynamic(
    variables: dict[str, str], weight: int
) -> None:
    assert read(**variables).weight == weight


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({"GDD_REGISTER_HOST": "a", "GDD_NACOS_REGISTER_HOST": "b", "GDD_MEM_HOST": "c"}, "a"),
        ({"GDD_NACOS_REGISTER_HOST": "b", "GDD_MEM_HOST": "c"}, "b"),
        ({"GDD_MEM_HOST": "c"}, "c"),
        ({"GDD_MEM_HOST": ".headless.svc"}, "192.168.9.9"),
        ({}, "192.168.9.9"),
        ({"GDD_REGISTER_HOST": "[fd00::1]"}, "fd00::1"),
        ({"GDD_REGISTER_HOST": "orders.default.svc.cluster.local"}, "orders.default.svc.cluster.local"),
        ({"GDD_SERVICE_DISCOVERY_MODE": "memberlist", "GDD_NACOS_REGISTER_HOST": "b"}, "192.168.9.9"),
        ({"GDD_SERVICE_DISCOVERY_MODE": "nacos", "GDD_MEM_HOST": "c"}, "192.168.9.9"),
    ],
)
def test_the_host_is_looked_for_in_the_variables_of_the_modes_and_then_on_the_machine(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], host: str
) -> None:
    monkeypatch.setattr(reading, "private_address", lambda: "192.168.9.9")
    both = {"GDD_SERVICE_DISCOVERY_MODE": "memberlist,nacos", "GDD_NACOS_SERVER_ADDR": "127.0.0.1:8848"}
    assert read(**{"GDD_REGISTER_HOST": ""} | both | variables).register_host == host


def test_a_drivers_bad_variable_that_stands_in_is_named_itself() -> None:
    assert "GDD_NACOS_REGISTER_HOST is 'a b'" in complaint(
        GDD_SERVICE_DISCOVERY_MODE="nacos",
        GDD_NACOS_SERVER_ADDR="127.0.0.1:8848",
        GDD_REGISTER_HOST="",
        GDD_NACOS_REGISTER_HOST="a b",
    )


@pytest.mark.parametrize(("path", "normal"), [("v1", "/v1"), ("/v1/", "/v1"), ("/", ""), ("/a/b", "/a/b")])
def test_the_root_path_gets_one_slash_in_front_and_none_behind(path: str, normal: str) -> None:
    assert read(GDD_ROUTE_ROOT_PATH=path).root_path == normal


# -- made by hand ------------------------------------------------------------------------------------------------------


def test_settings_may_be_said_in_code_without_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDD_SERVICE_NAME", "of the environment")
    monkeypatch.setenv("GDD_MEM_SEED", "10.9.9.9")
    monkeypatch.setattr(reading, "private_address", lambda: "192.168.9.9")
    said = Settings(service="orders", port=8080, seeds=["10.0.0.1", "10.0.0.2:8000"])
    assert (said.service_name, said.port, said.register_host, said.register) == ("orders", 8080, "192.168.9.9", True)
    assert said.modes == ("memberlist",)
    assert said.drivers["memberlist"].seeds == (("10.0.0.1", 7946), ("10.0.0.2", 8000))


def test_settings_in_code_without_a_service_are_those_of_a_process_that_only_looks() -> None:
    assert not Settings(seeds=["10.0.0.1"]).register


def test_settings_in_code_name_other_modes_and_take_any_variable() -> None:
    said = Settings(
        service="orders",
        register_host="10.0.0.7",
        weight=3,
        root_path="v1",
        compat=Compat.V1,
        modes=["static"],
        variables={"GDD_STATIC_USERS": "http://10.0.0.1:80"},
    )
    assert (said.modes, said.weight, said.root_path, said.compat) == (("static",), 3, "/v1", Compat.V1)
    assert [member.service for member in said.drivers["static"].members] == ["users"]


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        ({"port": 0}, "GDD_PORT"),
        ({"service": "or ders"}, "GDD_SERVICE_NAME"),
        ({"seeds": ["[::1"]}, "GDD_MEM_SEED"),
        ({"modes": "zookeeper"}, "GDD_SERVICE_DISCOVERY_MODE"),
        ({"register_host": "0.0.0.0"}, "GDD_REGISTER_HOST"),
    ],
)
def test_a_bad_argument_is_named_as_the_variable_that_it_stands_for(arguments: dict[str, Any], variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings(**{"service": "orders", "register_host": "10.0.0.7"} | arguments)


def test_settings_in_code_may_name_a_service_and_only_look() -> None:
    looking = Settings(service="orders", register=False)
    assert not looking.register
    assert looking.instance({}, datetime.now(UTC)) is None


def test_what_has_no_variable_counts_as_it_was_said_in_code() -> None:
    calls = CallDefaults(attempts=7)
    said = Settings(service="orders", register_host="10.0.0.7", calls=calls, log_level=logging.ERROR)
    assert (said.calls, said.log_level) == (calls, logging.ERROR)
    assert Settings(variables={"GDD_CALL_ATTEMPTS": "5"}).calls.attempts == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"service": 5}, "service is 5"),
        ({"service": b"orders"}, "service is b'orders'"),
        ({"seeds": [("10.0.0.1", 7946)]}, "seeds has"),
        ({"seeds": [None]}, "seeds has None"),
        ({"modes": [None]}, "modes has None"),
        ({"calls": 3}, "calls is a int"),
        ({"log_level": "info"}, "log_level is 'info'"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_by_its_name(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)):
        Settings(**arguments)


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy])
def test_settings_may_be_given_to_a_process_that_is_spawned(again: Callable[[Settings], Settings]) -> None:
    said = Settings(
        service="orders",
        register_host="10.0.0.7",
        modes=["memberlist", "static"],
        seeds=["10.0.0.1"],
        variables={"GDD_STATIC_USERS": "http://10.0.0.1:80", "GDD_MEM_NAME": "n1"},
    )
    arrived = again(said)
    assert arrived == said
    assert arrived.plugins == said.plugins
    assert arrived.changed({"GDD_WEIGHT": "3"}).weight == 3


def test_settings_can_be_evolved_and_compared() -> None:
    said = Settings(service="orders", register_host="10.0.0.7", seeds=["10.0.0.1"])
    assert attrs.evolve(said, port=7000).port == 7000
    assert attrs.evolve(said, port=7000).drivers is said.drivers
    assert attrs.evolve(said) == said


def test_settings_made_by_hand_need_a_name_and_a_host_to_register() -> None:
    with pytest.raises(SettingsError, match="register=False"):
        scripted_settings(ScriptedPlugin(), register=True)


@pytest.mark.parametrize("fields", [{"modes": ()}, {"modes": ("other",)}])
def test_settings_made_by_hand_need_a_plugin_for_every_mode(fields: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="mode"):
        attrs.evolve(scripted_settings(ScriptedPlugin()), **fields)


def test_the_settings_of_drivers_which_may_be_secret_are_not_shown() -> None:
    settings = attrs.evolve(scripted_settings(ScriptedPlugin()), drivers={"scripted": "password"})
    assert "password" not in repr(settings)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "10.0.0.256", "2130706433", "a..b", "a" * 64, "fe80::1%eth0", "u:p@h", "224.0.0.1"]
)
def test_a_host_that_nobody_would_take_from_us_is_refused(host: str) -> None:
    assert "GDD_REGISTER_HOST" in complaint(GDD_REGISTER_HOST=host)


@pytest.mark.parametrize(
    "path", ["/a\x1b", "/a b", "/a?b", "/" + "x" * 2000, "'/api'", '"/api"', "/${X}", "\\api", "http://h/api"]
)
def test_a_root_path_that_nobody_would_take_from_us_is_refused(path: str) -> None:
    assert "GDD_ROUTE_ROOT_PATH" in complaint(GDD_ROUTE_ROOT_PATH=path)


# -- variables that nobody reads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GDD_MEM_SEEDS", "GDD_MEM_SEED"),
        ("GDD_SERVICENAME", "GDD_SERVICE_NAME"),
        ("GDD_MEM_PROBE_INTERVALL", "GDD_MEM_PROBE_INTERVAL"),
        ("GDD_SERVICE_DISCOVERY_MODES", "GDD_SERVICE_DISCOVERY_MODE"),
    ],
)
@pytest.mark.parametrize("register", [True, False])
def test_a_variable_that_is_nearly_called_like_a_known_one_is_told_with_it(
    caplog: pytest.LogCaptureFixture, name: str, meant: str, register: bool
) -> None:
    Settings.from_env(ENOUGH | {name: "x"}, register=register)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{name} " in record.getMessage()
    assert f"{meant}?" in record.getMessage()


@pytest.mark.parametrize(
    "variables",
    [
        {"GDD_BANNER": "off", "GDD_LOG_LEVEL": "debug", "GDD_MANAGE_ENABLE": "true", "GDD_HOST": ""},
        {"GDD_NACOS_SERVER_ADDR": "127.0.0.1:8848", "GDD_NACOS_REGISTER_HOST": "10.0.0.1"},
        {"GDD_STATIC_ORDERS": "http://10.0.0.1:80"},
        {"GDD_MEM_SEED": "10.0.0.1", "GDD_PORT": "80", "GDD_WEIGHT": "2"},
        {"GDD_MEM_SEEDS": ""},
        {"MEM_SEED": "x", "GDD_SOMETHING_ELSE_ALTOGETHER": "x"},
    ],
)
@pytest.mark.parametrize("register", [True, False])
def test_variables_of_go_doudou_of_other_modes_and_of_nobody_are_left_alone(
    caplog: pytest.LogCaptureFixture, variables: dict[str, str], register: bool
) -> None:
    Settings.from_env(ENOUGH | variables, register=register)
    assert caplog.text == ""


def test_what_is_not_used_stands_in_one_line_of_the_log_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pydoudou")
    Settings.from_env(ENOUGH | {"GDD_BANNER": "off", "GDD_LOG_STYLE": "json"})
    (record,) = [record for record in caplog.records if "GDD_BANNER" in record.getMessage()]
    assert record.levelno == logging.DEBUG
    assert "GDD_LOG_STYLE" in record.getMessage()
