"""Members as values."""

from __future__ import annotations

import pickle

import pytest

from pydoudou import Member


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
