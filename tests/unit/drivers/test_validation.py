"""The door: what may become a member, and what becomes of the rest."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydoudou import Member, MemberState
from pydoudou.drivers.kit.refusals import Refusals
from pydoudou.drivers.kit.validation import (
    Unusable,
    checked_data,
    checked_host,
    checked_member,
    checked_name,
    checked_port,
    checked_root_path,
    checked_scheme,
    checked_weight,
    printable,
)

HARMFUL = ["\n", "\r", "\x00", "\x1b[2J", "\x7f", "\x9b", "\u2028", "\u202e", "\ud800", "\ufeff", "\t"]


def test_usable_values_become_a_member_as_they_are() -> None:
    made = checked_member(
        "orders", "10.0.0.1", 8080, scheme="grpc", root_path="/api", weight=2, data={"zone": "a"}, node="n-1"
    )
    assert made == Member("orders", "10.0.0.1", 8080, "grpc", "/api", 2.0, data={"zone": "a"}, node="n-1")
    assert (made.state, made.sources) == (MemberState.ALIVE, ())


@pytest.mark.parametrize("harm", HARMFUL)
def test_a_name_that_cannot_be_printed_is_refused_in_words_that_can(harm: str) -> None:
    for kind in ("service", "node"):
        with pytest.raises(Unusable) as caught:
            checked_name(f"orders{harm}", kind=kind)
        assert caught.value.kind == kind
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["", " ", " orders", "orders ", None, 7, b"orders", "x" * 513, "é" * 257])
def test_a_name_is_text_of_some_length(name: Any) -> None:
    with pytest.raises(Unusable):
        checked_name(name)


@pytest.mark.parametrize("name", ["orders", "GROUP@@orders", "订单", "user-svc_grpc", "x" * 512, "two words"])
def test_other_names_are_as_they_are(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("FD00:0:0::0001", "fd00::1"),
        ("[::1]", "::1"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("orders", "orders"),
        ("orders_1.prod.svc.cluster.local.", "orders_1.prod.svc.cluster.local."),
        ("4orders.example", "4orders.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_is_spelled_in_one_way(raw: str, host: str) -> None:
    assert checked_host(raw) == host


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            " ",
            "u:p@10.0.0.4",
            "10.0.0.5\x1b[2J",
            "10.0.0.6\r\nX: 1",
            "10.0.0.7/x?y#z",
            "h:80",
            "h h",
            "[::1",
            "::1]x",
        ),
        *("a..b", ".a", "-" * 64, "a" * 64, "a." * 127 + "abc", "bücher.example", "\ud800", "10.0.0.1\n"),
        *("10.0.0.256", "1.2.3", "010.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "h.0", "١٠.0.0.1"),
        *("0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "fe80::1%eth0", "::ffff:0.0.0.0"),
        *(None, 7, b"10.0.0.1", ["10.0.0.1"]),
    ],
)
def test_a_host_that_nobody_can_connect_to_is_refused(host: Any) -> None:
    with pytest.raises(Unusable) as caught:
        checked_host(host)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "port", [0, -1, 65536, 70000, 10**400, True, 80.0, None, "", "0", "http", "١", "8080\n", "+80"]
)
def test_a_port_is_a_number_from_1_to_65535(port: Any) -> None:
    with pytest.raises(Unusable):
        checked_port(port)
    assert (checked_port(1), checked_port(65535), checked_port("8080")) == (1, 65535, 8080)


@pytest.mark.parametrize("scheme", ["", "1http", "ht tp", "http\n", "javascript:", None, 7])
def test_a_scheme_is_one_of_a_url(scheme: Any) -> None:
    with pytest.raises(Unusable):
        checked_scheme(scheme)
    assert checked_scheme("HTTPS") == "https"


@pytest.mark.parametrize(("raw", "path"), [("", ""), (None, ""), ("/", ""), ("api", "/api"), ("/a b/ü/", "/a b/ü")])
def test_a_root_path_has_one_slash_in_front_and_none_behind(raw: Any, path: str) -> None:
    assert checked_root_path(raw) == path


@pytest.mark.parametrize("path", ["/a\r\nHost: evil", "/\ud800", "/\x1b", 7, b"/api", "/" + "x" * 1024])
def test_a_root_path_that_no_url_can_have_is_refused(path: Any) -> None:
    with pytest.raises(Unusable):
        checked_root_path(path)


@pytest.mark.parametrize(
    ("raw", "weight"),
    [
        *((None, 1), (0, 0), (2.5, 2.5), ("3", 3), (-1, 0), (10_000, 10_000), (10_001, 10_000), (1e308, 10_000)),
        *((2**64 - 1, 10_000), (10**400, 10_000), (-(10**400), 0), (math.inf, 10_000), (-math.inf, 0), (math.nan, 0)),
    ],
)
def test_a_weight_is_clamped(raw: Any, weight: float) -> None:
    found = checked_weight(raw)
    assert (found, type(found)) == (weight, float)
    assert checked_weight(raw, dynamic=True) == min(weight, 8)


@pytest.mark.parametrize("weight", ["heavy", [1], {}, b"1", object()])
def test_a_weight_that_is_no_number_is_refused(weight: Any) -> None:
    with pytest.raises(Unusable):
        checked_weight(weight)


def test_unusable_metadata_is_left_out_and_told_and_the_member_stays() -> None:
    told: list[Unusable] = []
    data = {
        "zone": "a",
        "nan": math.nan,
        "lone": "\ud800",
        "set": {1},
        "\x1b": 1,
        7: "seven",
        "deep": {"list": [1, b"x"]},
    }
    made = checked_member("orders", "h", 80, data=data, left_out=told.append)
    assert dict(made.data) == {"zone": "a", "deep": {"list": [1, b"x"]}}
    assert len(told) == 5
    assert all(str(unusable).isprintable() for unusable in told)


def test_metadata_that_is_no_mapping_or_endlessly_deep_is_refused() -> None:
    with pytest.raises(Unusable):
        checked_data([1])
    endless: list[Any] = []
    endless.append(endless)
    assert checked_data({"endless": endless}) == {}


_ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())


@given(service=_ANYTHING, host=_ANYTHING, port=_ANYTHING, scheme=_ANYTHING, root=_ANYTHING, weight=_ANYTHING)
def test_whatever_comes_there_is_a_harmless_member_or_a_harmless_reason(
    service: Any, host: Any, port: Any, scheme: Any, root: Any, weight: Any
) -> None:
    reason = ""
    try:
        made = checked_member(service, host, port, scheme=scheme, root_path=root, weight=weight, node=service)
    except Unusable as unusable:
        reason = str(unusable)
    else:
        assert made.base_url.isprintable()
        assert 0 <= made.weight <= 10_000
    assert reason.isprintable()


@given(_ANYTHING)
def test_anything_can_be_shown(value: Any) -> None:
    shown = printable(value)
    assert shown.isprintable()
    assert len(shown) <= 80 * 10 + 4


def test_what_is_dropped_is_counted_and_said_once_for_each_kind_and_source(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    refusals = Refusals(logging.getLogger("refusing"), lambda: now)
    for later in (0.0, 100.0, 200.0):
        now = later
        refusals.note("10.0.0.1\n", Unusable("port", "the port is 0"))
    refusals.note("10.0.0.2", Unusable("port", "the port is 0"))
    refusals.note("10.0.0.2", Unusable("host", "the host is gone"))
    assert refusals.count == 5
    assert [record.getMessage() for record in caplog.records] == [
        r"dropped what '10.0.0.1\n' says: the port is 0",
        "dropped what '10.0.0.2' says: the port is 0",
        "dropped what '10.0.0.2' says: the host is gone",
    ]
