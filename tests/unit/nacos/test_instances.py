"""What stands in Nacos for this process, and what is read out of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from pydoudou import Compat, Member, MemberState, MetadataTooLarge, RegistrationError
from pydoudou.drivers.kit.runtime import RUNTIME
from pydoudou.drivers.kit.validation import Unusable
from pydoudou.drivers.members import Instance
from pydoudou.drivers.nacos.instances import (
    METADATA_LIMIT,
    Listed,
    Registration,
    ServiceList,
    decode_members,
    encode_instance,
)
from pydoudou.drivers.nacos.service_names import ServiceName

ORDERS = ServiceName("DEFAULT_GROUP", "orders")
INSTANCE = Instance("orders", "10.0.0.7", 6060, "/v1", 3, {"zone": "a"}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def registered(**changes: object) -> tuple[Registration, ...]:
    return encode_instance(attrs.evolve(INSTANCE, **changes), "DEFAULT_GROUP", "DEFAULT")


@pytest.mark.parametrize(
    ("compat", "names"),
    [(Compat.BOTH, ["orders", "orders_rest"]), (Compat.V1, ["orders"]), (Compat.V2, ["orders_rest"])],
)
def test_the_name_says_which_generations_find_it(compat: Compat, names: list[str]) -> None:
    assert [registration.service.name for registration in registered(compat=compat)] == names


def test_the_metadata_is_go_doudous_and_the_users() -> None:
    registration = registered()[0]
    assert registration.weight == 3.0
    moment = registration.metadata["registerAt"]
    assert datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S%z") == INSTANCE.registered_at
    assert {key: value for key, value in registration.metadata.items() if key != "registerAt"} == {
        "goVer": RUNTIME,
        "gddVer": "",
        "buildUser": "",
        "buildTime": "",
        "weight": "3",
        "rootPath": "/v1",
        "zone": "a",
    }


def test_values_become_text() -> None:
    data = {"text": "ä", "yes": True, "no": False, "number": 1.5, "none": None, "bytes": "ä".encode()}
    metadata = registered(data=data)[0].metadata
    assert {key: metadata[key] for key in data} == {
        "text": "ä",
        "yes": "true",
        "no": "false",
        "number": "1.5",
        "none": "",
        "bytes": "ä",
    }


@pytest.mark.parametrize("data", [{"a": b"\xff"}, {"a": ["list"]}, {1: "number"}])
def test_what_cannot_be_text_is_refused(data: dict[object, object]) -> None:
    with pytest.raises(RegistrationError, match="metadata"):
        registered(data=data)


def test_the_user_cannot_overwrite_what_clients_go_by() -> None:
    assert registered(data={"rootPath": "/elsewhere", "weight": "0"})[0].metadata["rootPath"] == "/v1"


def test_a_dynamic_weight_is_one_because_none_means_no_traffic() -> None:
    registration = registered(weight=0)[0]
    assert (registration.weight, registration.metadata["weight"]) == (1.0, "1")


def test_more_metadata_than_nacos_takes_is_an_error_that_names_the_largest_keys() -> None:
    assert registered(data={"big": "x" * 900})
    with pytest.raises(MetadataTooLarge, match=r"'big' \(1003 characters\), 'small' \(8 characters\)") as caught:
        registered(data={"small": "xxx", "big": "x" * 1000})
    assert caught.value.limit == METADATA_LIMIT
    assert caught.value.size > METADATA_LIMIT


# -- reading -----------------------------------------------------------------------------------------------------------


def listed(**fields: object) -> Listed:
    return Listed(**{"key": "k", "host": "10.0.0.7", "port": 6060} | fields)  # type: ignore[arg-type]


def decoded(
    instance: Listed, service: ServiceName = ORDERS, unusable: Callable[[Unusable], None] = pytest.fail
) -> Member | None:
    """The one member that the instance is to callers, None if it is none."""
    members = list(decode_members(ServiceList(service, (instance,)), service.name, unusable))
    return members[0] if members else None


def test_an_instance_becomes_a_member() -> None:
    metadata = {
        "rootPath": "/v1",
        "weight": "9",
        "zone": "a",
        "registerAt": "2026-01-02T05:04:05+0200",
        "goVer": "go1.22",
    }
    found = decoded(listed(weight=2.5, metadata=metadata))
    assert found is not None
    assert (found.service, found.base_url, found.weight) == ("orders", "http://10.0.0.7:6060/v1", 2.5)
    assert (dict(found.data), found.node, found.state) == ({"zone": "a"}, "k", MemberState.ALIVE)
    assert found.registered_at == datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert found.process == {"goVer": "go1.22"}


def test_an_unhealthy_instance_is_a_suspect_and_a_disabled_one_is_not_there() -> None:
    found = decoded(listed(healthy=False))
    assert found is not None
    assert found.state is MemberState.SUSPECT
    assert decoded(listed(enabled=False)) is None


@pytest.mark.parametrize(
    ("weight", "shown"), [(-1.0, 0), (0.0, 0), (float("nan"), 0), (float("inf"), 10_000), (1e308, 10_000)]
)
def test_a_weight_is_clamped(weight: float, shown: float) -> None:
    found = decoded(listed(weight=weight))
    assert found is not None
    assert found.weight == shown


@pytest.mark.parametrize(
    ("host", "port"), [("10.9.9.1", 0), ("10.9.9.1", 70000), ("u:p@h", 80), ("h\x1b[2J", 80), ("h/x?y#z", 80), ("", 80)]
)
def test_an_instance_that_nobody_could_call_is_told_of_and_left_out(host: str, port: int) -> None:
    told: list[Unusable] = []
    assert decoded(listed(host=host, port=port), unusable=told.append) is None
    assert len(told) == 1


@pytest.mark.parametrize(("secure", "scheme"), [("true", "https"), ("TRUE", "https"), ("false", "http"), ("", "http")])
def test_a_secure_instance_is_called_by_https(secure: str, scheme: str) -> None:
    found = decoded(listed(metadata={"secure": secure}))
    assert found is not None
    assert found.scheme == scheme


def test_a_grpc_service_is_known_by_its_name() -> None:
    found = decoded(listed(), ServiceName("G", "orders_grpc"))
    assert found is not None
    assert found.scheme == "grpc"


def test_a_time_that_is_none_is_unknown() -> None:
    found = decoded(listed(metadata={"registerAt": "yesterday"}))
    assert found is not None
    assert found.registered_at is None
