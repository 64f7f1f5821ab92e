"""Fixed addresses from the environment."""

from __future__ import annotations

import pytest
from pydoudou import Member, Registry, RoundRobin, Settings, SettingsError


def members_of(**variables: str) -> tuple[Member, ...]:
    settings = Settings.from_env({"GDD_SERVICE_DISCOVERY_MODE": "static"} | variables, register=False)
    with Registry(settings) as registry:
        return registry.members()


def test_a_variable_lists_the_addresses_of_a_service_with_their_weights() -> None:
    first, second = members_of(GDD_STATIC_ORDERS=" http://10.0.0.1:8080/api/;weight=2.5 , https://[fd00::1]")
    assert (first.service, first.base_url, first.weight) == ("orders", "http://10.0.0.1:8080/api", 2.5)
    assert (second.base_url, second.weight, second.sources) == ("https://[fd00::1]:443", 1.0, ("static",))


def test_an_underscore_in_the_variable_stands_for_a_hyphen_in_the_name() -> None:
    assert {member.service for member in members_of(GDD_STATIC_USER_SVC="http://h")} == {"user-svc"}


def test_go_doudous_own_variables_are_named_by_service() -> None:
    found = members_of(
        GDD_STATIC_VARIABLES="wordcloud-usersvc=USERSVC, seg = SEG", USERSVC="http://u:6061", SEG="http://s:1"
    )
    assert {member.service: member.address for member in found} == {"wordcloud-usersvc": "u:6061", "seg": "s:1"}


def test_a_balancer_picks_them() -> None:
    settings = Settings.from_env(
        {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": "http://a,http://b"}, register=False
    )
    with Registry(settings) as registry:
        balancer = RoundRobin("orders", registry)
        assert {balancer.pick().host for _ in range(4)} == {"a", "b"}
        assert registry.status().ready


def test_a_process_may_register_in_vain() -> None:
    environment = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_SERVICE_NAME": "orders", "GDD_REGISTER_HOST": "h"}
    with Registry(Settings.from_env(environment)) as registry:
        registry.update({"zone": "a"})
        assert registry.members() == ()


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("10.0.0.1:8080", "scheme must be http or https"),
        ("ftp://h", "scheme must be http or https"),
        ("http://", "no host"),
        ("http://h:99999", "[Pp]ort"),
        ("http://h;weight=heavy", "heavy"),
        ("http://h;weight=-1", "from 0 to 10000"),
        ("http://h;zone=a", "only weight"),
        ("http://h/?a=1", "nothing may follow"),
        ("http://user@h", "no user"),
    ],
)
def test_a_bad_address_is_named_with_its_fault(value: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault) as caught:
        members_of(GDD_STATIC_ORDERS=value)
    assert "GDD_STATIC_ORDERS" in str(caught.value)


def test_a_variable_that_is_named_but_not_set_is_an_error() -> None:
    with pytest.raises(SettingsError, match="USERSVC is not set"):
        members_of(GDD_STATIC_VARIABLES="users=USERSVC")
    with pytest.raises(SettingsError, match="service=VARIABLE"):
        members_of(GDD_STATIC_VARIABLES="USERSVC")
