"""Every variable as an operator asks about it."""

from __future__ import annotations

import pytest

from pydoudou import Settings, SettingsError
from pydoudou.discovery.configuration.described import SET, Variable, described, described_reading
from pydoudou.discovery.configuration.reading import read
from pydoudou.discovery.configuration.sources import ENVIRONMENT, Configuration, Source

ENOUGH = {"GDD_SERVICE_NAME": "orders", "GDD_REGISTER_HOST": "10.0.0.7", "GDD_MEM_HOST": "127.0.0.1"}
KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="


def rows(settings: Settings) -> dict[str, Variable]:
    found = described(settings)
    assert len({each.name for each in found}) == len(found), "some variable is there twice"
    return {each.name: each for each in found}


def wrong(**variables: str) -> dict[str, Variable]:
    source = Source(ENVIRONMENT, ENOUGH | variables)
    return {each.name: each for each in described_reading(read(Configuration((source,)), register=True))}


def test_a_variable_has_its_value_its_source_and_its_default() -> None:
    found = rows(Settings.from_env(ENOUGH | {"GDD_PORT": "8080"}))
    assert (found["GDD_PORT"].value, found["GDD_PORT"].source, found["GDD_PORT"].default) == (
        "8080",
        "environment",
        "6060",
    )
    assert (found["GDD_MEM_PROBE_INTERVAL"].value, found["GDD_MEM_PROBE_INTERVAL"].source) == ("5s", "default")
    assert found["GDD_PORT"].meaning == "the port of the service, 1 to 65535"


def test_what_is_said_in_code_has_that_source() -> None:
    found = rows(Settings(service="orders", register_host="10.0.0.7", variables={"GDD_MEM_HOST": "127.0.0.1"}))
    assert (found["GDD_SERVICE_NAME"].value, found["GDD_SERVICE_NAME"].source) == ("orders", "code")
    assert found["GDD_PORT"].source == "default"


def test_what_was_changed_at_run_time_counts_before_everything_else() -> None:
    settings = Settings.from_env(ENOUGH | {"GDD_MEM_PROBE_INTERVAL": "9s", "GDD_MEM_GOSSIP_NODES": "7"})
    found = rows(settings.changed({"GDD_MEM_PROBE_INTERVAL": "8s", "GDD_MEM_GOSSIP_NODES": ""}))
    assert (found["GDD_MEM_PROBE_INTERVAL"].value, found["GDD_MEM_PROBE_INTERVAL"].source) == ("8s", "code")
    assert (found["GDD_MEM_GOSSIP_NODES"].value, found["GDD_MEM_GOSSIP_NODES"].source) == ("4", "default")


NASTY = [
    *("", "  ", " 1", "-1", "0", "1e308", "nan", "inf", "-inf", "0x10", "1_000", "٣", "9" * 20, "1.5", "1ns", "9e9s"),
    *("\x00", "a\nb", "\ud800", "é", "true", "on", "{}", "[1]", "a,b", ",", "%", "${HOME}", "-5s", "1h1h", "x" * 5000),
    *("http://", "http://x:0", "1.2.3.4:99999", "[::1", "::1", "10.0.0.0/33", "0.0.0.0/0", "http://user:word@10.0.0.1"),
]
WITH_EVERYTHING = {
    "GDD_SERVICE_DISCOVERY_MODE": "memberlist,nacos,static",
    "GDD_NACOS_SERVER_ADDR": "10.0.0.1",
    "GDD_STATIC_ORDERS": "http://10.0.0.1:80",
}


@pytest.mark.parametrize("name", sorted(each.name for each in described(Settings.from_env(ENOUGH | WITH_EVERYTHING))))
def test_every_value_of_every_variable_is_taken_or_refused_by_name(name: str) -> None:
    for value in NASTY:
        try:
            Settings.from_env(ENOUGH | WITH_EVERYTHING | {name: value})
        except SettingsError as error:
            said = str(error)
            assert name in said
            assert len(said) < 1500
            assert said.replace("\n", "").isprintable()


def test_secrets_are_never_shown() -> None:
    found = rows(
        Settings.from_env(ENOUGH | {"GDD_MANAGE_USER": "ada", "GDD_MANAGE_PASS": "x9x", "GDD_MEM_SECRET_KEY": KEY})
    )
    for name in ("GDD_MANAGE_USER", "GDD_MANAGE_PASS", "GDD_MEM_SECRET_KEY"):
        assert (found[name].value, found[name].secret) == (SET, True)
    assert not {"ada", "x9x", KEY} & {each.value for each in found.values()}


def test_a_wrong_value_is_a_problem_of_its_variable() -> None:
    found = wrong(GDD_PORT="eighty", GDD_MEM_SECRET_KEY="not a key")
    assert "GDD_PORT is 'eighty'; accepted: a whole number" in found["GDD_PORT"].problem
    assert "not a key" not in repr(found["GDD_MEM_SECRET_KEY"])
    assert found["GDD_MEM_SECRET_KEY"].problem
    assert not found["GDD_SERVICE_NAME"].problem


def test_a_value_whose_problem_hides_it_is_not_shown() -> None:
    found = wrong(GDD_SERVICE_DISCOVERY_MODE="nacos", GDD_NACOS_SERVER_ADDR="http://ada:x9x@10.0.0.1:8848")
    assert found["GDD_NACOS_SERVER_ADDR"].problem
    assert "x9x" not in repr(found)


def test_unknown_variables_are_told_with_what_was_meant_and_without_their_values() -> None:
    found = wrong(GDD_SERVCE_NAME="x9x", GDD_ODD="x9x", GDD_DB_HOST="x9x")
    assert "did you mean GDD_SERVICE_NAME?" in found["GDD_SERVCE_NAME"].problem
    assert found["GDD_ODD"].problem == "no variable of this library, and without effect"
    assert not found["GDD_DB_HOST"].problem, "go-doudou has it, and a file of variables may serve both"
    assert "x9x" not in repr(found)


def test_a_variable_that_matches_a_pattern_is_told_by_its_name() -> None:
    variables = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_USER_SVC": "http://10.0.0.1"}
    found = rows(Settings.from_env(variables, register=False))
    assert found["GDD_STATIC_USER_SVC"].value == "http://10.0.0.1"
    assert "GDD_PORT" not in found, "a process that only looks reads nothing of what is registered"


def test_settings_whose_drivers_were_given_have_no_variables() -> None:
    settings = Settings.from_env(ENOUGH)
    assert described(Settings(settings.modes, settings.plugins, settings.drivers, register=False)) == []


def test_one_half_of_the_pages_credentials_is_a_problem() -> None:
    assert "because GDD_MANAGE_USER is set" in wrong(GDD_MANAGE_USER="ada")["GDD_MANAGE_PASS"].problem
    assert "because GDD_MANAGE_PASS is set" in wrong(GDD_MANAGE_PASS="ada")["GDD_MANAGE_USER"].problem
