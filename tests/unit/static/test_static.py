"""Fixed addresses from the environment."""

from __future__ import annotations

import attrs
import pytest
from support.scripted import ScriptedPlugin, member
from support.scripted import settings as scripted_settings

from pydoudou import Member, MemberState, Registry, RoundRobin, Settings, SettingsError
from pydoudou.drivers.environment import Environment
from pydoudou.drivers.static import plugin


def settings_of(*, register: bool = False, **variables: str) -> Settings:
    return Settings.from_env({"GDD_SERVICE_DISCOVERY_MODE": "static"} | variables, register=register)


def members_of(**variables: str) -> tuple[Member, ...]:
    with Registry(settings_of(**variables)) as registry:
        return registry.members()


def message_of(**variables: str) -> str:
    with Registry(settings_of(**variables, register="GDD_SERVICE_NAME" in variables)) as registry:
        assert registry.status().ready
        return registry.status().backends[0].driver.message


def complaint(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_of(**variables)
    return str(caught.value)


# -- addresses ---------------------------------------------------------------------------------------------------------


def test_a_variable_lists_the_addresses_of_a_service_with_their_weights() -> None:
    first, second = members_of(GDD_STATIC_ORDERS=" http://10.0.0.1:8080/api/;weight=2.5 , https://[fd00::1]")
    assert (first.service, first.base_url, first.weight) == ("orders", "http://10.0.0.1:8080/api", 2.5)
    assert (second.base_url, second.weight, second.sources) == ("https://[fd00::1]:443", 1.0, ("static",))


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("http://[fd00::1]:8080", "fd00::1", 8080),
        ("http://[FD00:0:0::0001]", "fd00::1", 80),
        ("http://Orders.Example", "orders.example", 80),
        ("https://orders_1", "orders_1", 443),
        ("grpc://10.0.0.1", "10.0.0.1", 50051),
        ("http://10.0.0.1:", "10.0.0.1", 80),
    ],
)
def test_an_address_is_spelled_as_other_backends_would_report_it(address: str, host: str, port: int) -> None:
    (found,) = members_of(GDD_STATIC_ORDERS=address)
    assert (found.host, found.port, found.scheme) == (host, port, address.partition(":")[0])


@pytest.mark.parametrize(("path", "root_path"), [("", ""), ("/", ""), ("//", ""), ("/api/v1/", "/api/v1")])
def test_a_root_path_has_one_slash_in_front_and_none_behind(path: str, root_path: str) -> None:
    (found,) = members_of(GDD_STATIC_ORDERS=f"http://h{path}")
    assert found.root_path == root_path
    assert found.base_url == f"http://h:80{root_path}"


@pytest.mark.parametrize("weight", ["0", "0.5", "10000"])
def test_a_weight_is_any_number_up_to_ten_thousand(weight: str) -> None:
    (found,) = members_of(GDD_STATIC_ORDERS=f"http://h; weight = {weight} ")
    assert found.weight == float(weight)


# -- names -------------------------------------------------------------------------------------------------------------


def test_an_underscore_in_the_variable_stands_for_a_hyphen_in_the_name() -> None:
    assert {member.service for member in members_of(GDD_STATIC_USER_SVC="http://h")} == {"user-svc"}


def test_go_doudous_own_variables_are_named_by_service() -> None:
    found = members_of(
        GDD_STATIC_VARIABLES="wordcloud-usersvc=USERSVC, seg = SEG", USERSVC="http://u:6061", SEG="http://s:1"
    )
    assert {member.service: member.address for member in found} == {"wordcloud-usersvc": "u:6061", "seg": "s:1"}


@pytest.mark.parametrize("service", ["user_svc", "Orders", "orders.v1", "SHOP@@orders", "orders_grpc"])
def test_a_name_that_no_variable_can_spell_is_spelled_beside_it(service: str) -> None:
    with Registry(settings_of(GDD_STATIC_VARIABLES=f"{service}=GDD_STATIC_ANY", GDD_STATIC_ANY="http://h")) as registry:
        assert [member.service for member in registry.members(service)] == [service]
        assert len(registry.members()) == 1, "its variable's own name is none of a service any more"


def test_the_name_that_go_doudou_v2_gives_a_service_means_the_same_service() -> None:
    with Registry(settings_of(GDD_STATIC_VARIABLES="orders_rest=ORDERS", ORDERS="http://h")) as registry:
        assert registry.members("orders") == registry.members("orders_rest") != ()


# -- in use ------------------------------------------------------------------------------------------------------------


def test_a_balancer_picks_them() -> None:
    with Registry(settings_of(GDD_STATIC_ORDERS="http://a,http://b")) as registry:
        balancer = RoundRobin("orders", registry)
        assert {balancer.pick().host for _ in range(4)} == {"a", "b"}
        assert registry.status().ready


def test_a_process_may_register_in_vain_and_is_told_so() -> None:
    environment = {"GDD_SERVICE_NAME": "orders", "GDD_REGISTER_HOST": "h", "GDD_STATIC_USERS": "http://u"}
    with Registry(settings_of(**environment, register=True)) as registry:
        registry.update({"zone": "a"})
        assert [member.service for member in registry.members()] == ["users"]
    assert message_of(**environment) == (
        "1 fixed address of 1 service; orders is not registered, which this mode cannot do"
    )


def test_the_status_counts_addresses_and_services() -> None:
    assert message_of(GDD_STATIC_ORDERS="http://a,http://b") == "2 fixed addresses of 1 service"
    assert message_of(GDD_STATIC_ORDERS="http://a", GDD_STATIC_USERS="http://a") == "2 fixed addresses of 2 services"
    assert "GDD_STATIC_<SERVICE>" in message_of()


def test_what_another_backend_says_of_a_fixed_address_stands() -> None:
    environment = Environment({"GDD_STATIC_ORDERS": "http://10.0.0.1:6060,http://10.0.0.2:6060"})
    other = ScriptedPlugin(members=[member("10.0.0.1"), member("10.0.0.3")])
    both = scripted_settings(other)
    both = attrs.evolve(
        both,
        modes=("static", "scripted"),
        plugins={"static": plugin, "scripted": other},
        drivers={"static": plugin.read_settings(environment), "scripted": None},
    )
    with Registry(both) as registry:

        def hosts() -> list[str]:
            return [found.host for found in registry.members("orders")]

        assert hosts() == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        assert registry.members("orders")[0].sources == ("static", "scripted")
        other.report(member("10.0.0.1"), member("10.0.0.3"), state=MemberState.FAILED)
        assert hosts() == ["10.0.0.2"]
        other.report(member("10.0.0.1"))
        assert hosts() == ["10.0.0.1", "10.0.0.2"]


# -- bad values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("10.0.0.1:8080", "scheme must be one of http, https, grpc"),
        ("ftp://h", "scheme must be one of"),
        ("http://", "no DNS name"),
        ("http://ordé", "no DNS name"),
        ("http://h%20", "no DNS name"),
        ("http://fd00::1:8080", "in brackets"),
        ("http://[10.0.0.1]", "10.0.0.1"),
        ("http://h:99999", "Port out of range"),
        ("http://h:eighty", "eighty"),
        ("http://h:0", "the port is 0"),
        ("http://h 2", "no blanks"),
        ("http://h/a b", "no blanks"),
        ("http://h;weight=heavy", "not 'heavy'"),
        ("http://h;weight=", "not ''"),
        ("http://h;weight=nan", "from 0 to 10000"),
        ("http://h;weight=-1", "from 0 to 10000"),
        ("http://h;zone=a", "only weight"),
        ("http://h/?a=1", "nothing may follow"),
        ("http://h/#a", "nothing may follow"),
        ("http://h/a,http://h:80/b", "h:80 is there already"),
        ("http://h,http://h;weight=2", "can only be one"),
    ],
)
def test_a_bad_address_is_named_with_its_fault(value: str, fault: str) -> None:
    message = complaint(GDD_STATIC_ORDERS=value)
    assert "GDD_STATIC_ORDERS" in message
    assert fault in message
    assert message.startswith("1 setting ")


@pytest.mark.parametrize(
    "address", ["http://user:s3cret@h", "http://u:s3c,s3cret@h", "http://u:s3cret/@h", "http://:s3cret@h"]
)
def test_a_password_in_an_address_is_refused_and_not_shown(address: str) -> None:
    message = complaint(GDD_STATIC_ORDERS=f"http://a,{address}")
    assert "no password stands before the host" in message
    assert "s3c" not in message


def test_a_variable_that_is_named_but_not_set_is_an_error() -> None:
    assert "USERSVC is not set" in complaint(GDD_STATIC_VARIABLES="users=USERSVC")
    assert "service=VARIABLE" in complaint(GDD_STATIC_VARIABLES="USERSVC")


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"GDD_STATIC_VARIABLES": "orders=A,orders=B", "A": "http://a", "B": "http://b"}, "'orders' is there twice"),
        ({"GDD_STATIC_VARIABLES": "orders=A,orders_rest=A", "A": "http://a"}, "'orders' is there twice"),
        ({"GDD_STATIC_VARIABLES": "orders=A", "A": "http://a", "GDD_STATIC_ORDERS": "http://b"}, "A has the addresses"),
        ({"GDD_STATIC_orders": "http://a", "GDD_STATIC_ORDERS": "http://b"}, "GDD_STATIC_ORDERS has the addresses"),
        ({"GDD_STATIC_": "http://a"}, "the name of a service is missing"),
    ],
)
def test_a_service_has_one_variable_and_a_variable_a_name(variables: dict[str, str], fault: str) -> None:
    assert fault in complaint(**variables)


def test_all_bad_addresses_come_in_one_error_with_other_bad_variables() -> None:
    message = complaint(GDD_STATIC_ORDERS="h,http://h:0", GDD_STATIC_USERS="ftp://h", GDD_STATIC_VARIABLES="x=")
    assert message.startswith("4 settings cannot be used:")
