"""Members as values."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime

import pytest

from pydoudou import DriverStatus, Member


@pytest.mark.parametrize("data", [{}, {"zone": "a"}])
def test_a_member_survives_pickling(data: dict[str, str]) -> None:
    member = Member("orders", "10.0.0.1", 8080, data=data) if data else Member("orders", "10.0.0.1", 8080)
    assert pickle.loads(pickle.dumps(member)) == member


def test_a_base_url_has_brackets_around_ipv6_and_no_slash_at_the_end() -> None:
    assert Member("orders", "::1", 8080, root_path="/api/").base_url == "http://[::1]:8080/api"
    assert Member("orders", "h", 80, root_path="/").base_url == "http://h:80"
    assert Member("orders", "h", 80, root_path="api").base_url == "http://h:80/api"


def test_members_can_be_kept_in_sets_whatever_their_data() -> None:
    assert len({Member("orders", "h", 80, data={"a": [1]}), Member("orders", "h", 80, data={"a": [1]})}) == 1


@pytest.mark.parametrize(
    ("root_path", "quoted"),
    [("/a b/c%20d/é/", "/a%20b/c%20d/%C3%A9"), ("a?b#c\r\n", "/a%3Fb%23c%0D%0A"), ("", ""), ("/v1:x@y", "/v1:x@y")],
)
def test_a_base_url_is_quoted_as_a_url_needs(root_path: str, quoted: str) -> None:
    member = Member("orders", "h", 1, root_path=root_path)
    assert (member.quoted_root_path, member.base_url) == (quoted, f"http://h:1{quoted}")


def test_members_and_statuses_are_json_whatever_their_data() -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    data = {"bytes": b"\xff", "nan": float("nan"), "lone": "\ud800", 7: {1}, "when": when, "deep": [{"x": object}]}
    member = Member("orders", "h", 1, data=data, registered_at=when, sources=("static",))
    shown = json.loads(json.dumps(member.to_dict(), allow_nan=False))
    assert shown["data"]["bytes"] == "\\xff"
    assert (shown["data"]["nan"], shown["data"]["7"], shown["registered_at"]) == (None, [1], when.isoformat())
    assert (shown["state"], shown["sources"], shown["base_url"]) == ("alive", ["static"], "http://h:1")
    status = DriverStatus("m", True, "fine", gauges={"lag": float("inf")})
    assert json.loads(json.dumps(status.to_dict(), allow_nan=False))["gauges"] == {"lag": None}
