"""Metadata: exact where Go processes read it, tolerant where they write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captured import load

from pydoudou.drivers.errors import MetadataTooLarge, RegistrationError
from pydoudou.drivers.memberlist.metadata import MAX_SERVICES, decode_members, encode_instance
from pydoudou.drivers.members import Compat, Instance

V1 = (
    "81a55f6d65746189a96275696c6454696d65a0a96275696c6455736572a0a6676464566572a676312e332e37a5676f566572a6676f312e3231"
    "a4706f7274d117acaa72656769737465724174a46553f100ad726f757465526f6f7450617468a32f7631a773657276696365a3737663"
    "a677656967687401"
)
V1_DYNAMIC = (
    "82a55f6d65746189a96275696c6454696d65a0a96275696c6455736572a0a6676464566572a0a5676f566572a0a4706f7274d117ac"
    "aa72656769737465724174a81d6f34546553f100ad726f757465526f6f7450617468a0a773657276696365a3737663a677656967687400"
    "a46461746181a47a6f6e65a161"
)
V2 = (
    "87a96275696c6454696d65a0a96275696c6455736572a0a6676464566572a776322e352e3133a5676f566572a6676f312e3231"
    "aa72656769737465724174a46553f100ab73657276696365496e666f9185a4686f7374a831302e302e302e31a46e616d65a87376635f72657374"
    "a4706f7274d117acad726f757465526f6f7450617468a32f7631a474797065a472657374a677656967687401"
)
WHEN = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def instance(**changes: Any) -> Instance:
    fields: dict[str, Any] = {"service": "orders", "host": "10.0.0.9", "port": 8080, "registered_at": WHEN}
    return Instance(**(fields | changes))


def test_our_blob_equals_the_one_that_both_generations_of_go_doudou_accepted() -> None:
    vector = load("bridge-meta")
    fields = vector["fields"]
    registered = Instance(
        fields["service"],
        fields["host"],
        fields["port"],
        fields["route_root_path"],
        fields["weight"],
        fields["data"],
        datetime.fromtimestamp(fields["registered_at_unix"], UTC),
    )
    blob = msgpack.unpackb(encode_instance(registered, runtime="py3.11"), raw=True)
    assert blob[b"serviceInfo"][0].pop(b"data") == blob[b"data"]  # written for v2 too since then
    assert msgpack.packb(blob, use_bin_type=False).hex() == vector["hex"]


def test_both_generations_see_the_data_while_they_fit_twice() -> None:
    for size, for_v2 in ((50, True), (200, False)):
        registered = instance(data={"text": "x" * size})
        blob = msgpack.unpackb(encode_instance(registered), raw=False, unicode_errors="surrogateescape")
        assert blob["data"] == registered.data
        assert blob["serviceInfo"][0].get("data") == (registered.data if for_v2 else None)
        (member,) = decode_members(encode_instance(registered), host="10.0.0.9", node="n").members
        assert member.data == registered.data


def test_of_a_node_with_many_services_only_some_are_taken() -> None:
    services = [{"name": f"s{number}", "port": 80} for number in range(20)]
    blob = msgpack.packb({"serviceInfo": services, "weight": 1}, use_bin_type=False)
    metadata = decode_members(blob, host="10.0.0.5", node="n")
    assert [member.service for member in metadata.members] == [f"s{number}" for number in range(MAX_SERVICES)]
    assert [unusable.kind for unusable in metadata.unusable] == ["service"]


def test_a_v1_node_offers_its_service_at_its_gossip_address() -> None:
    (member,) = decode_members(bytes.fromhex(V1), host="10.0.0.5", node="n").members
    assert (member.service, member.host, member.port, member.root_path) == ("svc", "10.0.0.5", 6060, "/v1")
    assert (member.weight, member.registered_at, member.node) == (1.0, WHEN, "n")


def test_a_weight_of_zero_asks_for_the_dynamic_one() -> None:
    metadata = decode_members(bytes.fromhex(V1_DYNAMIC), host="10.0.0.5", node="n")
    assert metadata.weight == 0
    assert metadata.members[0].data == {"zone": "a"}
    assert metadata.members[0].registered_at == WHEN + timedelta(microseconds=123456)


def test_a_v2_node_offers_its_service_under_the_plain_name_at_the_listed_address() -> None:
    (member,) = decode_members(bytes.fromhex(V2), host="10.0.0.5", node="n").members
    assert (member.service, member.host, member.port) == ("svc", "10.0.0.1", 6060)


def test_a_node_says_how_it_was_built_and_where_it_gossips() -> None:
    (member,) = decode_members(bytes.fromhex(V2), host="10.0.0.5", node="n", port=7946).members
    assert member.process == {"goVer": "go1.21", "gddVer": "v2.5.13", "memPort": 7946}
    (member,) = decode_members(encode_instance(instance(), runtime="py3.11"), host="h", node="n").members
    assert member.process == {"goVer": "py3.11"}


def test_what_nobody_should_read_of_a_process_is_left_out() -> None:
    told = {"goVer": "go\x1b[2J", "gddVer": "v" * 1000, "buildUser": 7, "buildTime": "2024"}
    blob = msgpack.packb({"_meta": {"service": "svc", "port": 80, **told}}, use_bin_type=False)
    (member,) = decode_members(blob, host="10.0.0.5", node="n").members
    assert member.process == {"buildTime": "2024"}


def test_a_grpc_service_keeps_its_suffix_and_has_its_scheme() -> None:
    service = {"host": "10.0.0.1", "name": "svc_grpc", "port": 50051, "routeRootPath": "", "type": "grpc"}
    blob = msgpack.packb({"serviceInfo": [service], "weight": 1}, use_bin_type=False)
    (member,) = decode_members(blob, host="10.0.0.5", node="n").members
    assert (member.service, member.scheme, member.base_url) == ("svc_grpc", "grpc", "grpc://10.0.0.1:50051")


@pytest.mark.parametrize("compat", list(Compat))
def test_what_we_write_is_read_as_one_member_in_every_shape(compat: Compat) -> None:
    written = instance(compat=compat, data={"zone": "a"}, root_path="/api", weight=3)
    (member,) = decode_members(encode_instance(written), host=written.host, node="n").members
    assert (member.service, member.address, member.root_path) == ("orders", "10.0.0.9:8080", "/api")
    assert (member.weight, dict(member.data), member.registered_at) == (3.0, {"zone": "a"}, WHEN)


def test_one_shape_is_smaller_than_both() -> None:
    sizes = {compat: len(encode_instance(instance(compat=compat))) for compat in Compat}
    assert max(sizes[Compat.V1], sizes[Compat.V2]) < sizes[Compat.BOTH]


def test_a_node_that_only_looks_has_no_metadata_and_offers_nothing() -> None:
    assert decode_members(b"", host="h", node="n").members == ()
    assert decode_members(b"", host="h", node="n").readable


@pytest.mark.parametrize("vector", [v for v in load("doudou") if v["name"].startswith("doudou-v0.9.7/tcp-request")])
def test_json_of_the_oldest_nodes_is_read_too(vector: dict[str, Any]) -> None:
    import json

    (node,) = vector["decoded"]["inner"]["nodes"]
    (member,) = decode_members(json.dumps(node["Meta"]["json"]).encode(), host="10.0.0.5", node="n").members
    assert (member.service, member.data) == ("usersvc", {"color": "red"})


def test_metadata_that_does_not_fit_names_its_size_and_the_largest_keys() -> None:
    with pytest.raises(MetadataTooLarge) as caught:
        encode_instance(instance(data={"small": 1, "description": "x" * 400, "notes": "y" * 100}))
    assert caught.value.size > caught.value.limit == 512
    message = str(caught.value)
    assert str(caught.value.size) in message
    assert message.index("'description'") < message.index("'notes'") < message.index("'small'")


@pytest.mark.parametrize("value", [{"nested": 1}, [1, 2], object(), 2**64])
def test_a_value_that_go_cannot_show_is_refused_before_anything_is_sent(value: object) -> None:
    with pytest.raises(RegistrationError, match="'key'"):
        encode_instance(instance(data={"key": value}))


def test_a_key_that_is_not_text_is_refused() -> None:
    with pytest.raises(RegistrationError, match="not text"):
        encode_instance(instance(data={7: "x"}))


@given(st.binary(max_size=600))
def test_no_blob_raises(blob: bytes) -> None:
    decode_members(blob, host="h", node="n")


_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=8)
    | st.text(max_size=8)
)
_NESTED = st.lists(_SCALAR, max_size=3) | st.dictionaries(st.binary(max_size=8), _SCALAR, max_size=3)
_ANYTHING = _SCALAR | _NESTED | st.lists(_NESTED, max_size=3)
_KEYS = st.sampled_from(
    ["_meta", "data", "serviceInfo", "weight", "registerAt", "service", "port", "host", "name", "type"]
)


@given(
    st.dictionaries(
        _KEYS,
        _ANYTHING
        | st.dictionaries(_KEYS, _ANYTHING, max_size=5)
        | st.lists(st.dictionaries(_KEYS, _ANYTHING, max_size=5), max_size=3),
        max_size=6,
    )
)
def test_no_mistyped_field_raises(fields: dict[str, Any]) -> None:
    metadata = decode_members(msgpack.packb(fields, use_bin_type=False), host="h", node="n")
    for member in metadata.members:
        assert isinstance(member.base_url, str)


def test_an_unusable_service_of_a_node_is_left_out_and_the_others_stay() -> None:
    services: list[dict[str, Any]] = [
        {"name": "good_rest", "port": 80},
        {"name": "zero_rest", "port": 0},
        {"name": "away_rest", "port": 80, "host": "u:p@10.0.0.1"},
        {"name": "split_rest", "port": 80, "routeRootPath": "/a\r\nHost: b"},
    ]
    blob = msgpack.packb({"serviceInfo": services, "weight": 1}, use_bin_type=False)
    metadata = decode_members(blob, host="10.0.0.5", node="n")
    assert [member.service for member in metadata.members] == ["good"]
    assert [unusable.kind for unusable in metadata.unusable] == ["port", "host", "root path"]


@pytest.mark.parametrize("weight", [10**308, 2**64 - 1, 10_001])
def test_an_absurd_weight_is_the_largest_that_anybody_may_have(weight: int) -> None:
    blob = f'{{"_meta":{{"service":"orders","port":80,"weight":{weight}}}}}'.encode()
    assert [member.weight for member in decode_members(blob, host="h", node="n").members] == [10_000.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_values_that_break_readers_are_refused_before_anything_is_sent(value: object) -> None:
    with pytest.raises(RegistrationError, match="'key'"):
        encode_instance(instance(data={"key": value}))
