"""What a member says of itself in its headers, in the terms of its caller: pure functions of text."""

from __future__ import annotations

import attrs
import pytest

from pydoudou import Member
from pydoudou.balancers.calls.terms import Terms

MEMBER = Member("orders", "10.0.0.7", 8080, root_path="/api")
OTHER = Member("orders", "10.0.0.8", 8080, root_path="/v2")


def translated(name: str, value: str, *, asked: str = "http://orders/items?page=1", member: Member = MEMBER) -> str:
    scheme = "https" if asked.startswith("https") else member.scheme
    return Terms(asked, member, scheme, lambda: (member, OTHER)).header(name, value)


@pytest.mark.parametrize("name", ["location", "content-location"])
@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("/api/items?page=2", "http://orders/items?page=2"),
        ("http://10.0.0.7:8080/api/items", "http://orders/items"),
        ("http://10.0.0.8:8080/v2/items", "http://orders/items"),
        ("http://elsewhere.example/api/items", "http://elsewhere.example/api/items"),
        ("items/7", "http://orders/items/7"),
    ],
)
def test_a_url_is_that_of_the_service(name: str, said: str, read: str) -> None:
    assert translated(name, said) == read


def test_each_target_of_a_link_is_translated_and_its_parameters_are_kept() -> None:
    said = '</api/items?page=2>; rel="next", <http://10.0.0.7:8080/api/items?page=9>;rel=last, <https://a.example/>'
    assert translated("link", said) == (
        '<http://orders/items?page=2>; rel="next", <http://orders/items?page=9>;rel=last, <https://a.example/>'
    )


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("0; url=/api/next", "0; url=http://orders/next"),
        ('5;URL="/api/next"', '5;URL="http://orders/next"'),
        ("5", "5"),
    ],
)
def test_the_url_of_a_refresh_is_translated(said: str, read: str) -> None:
    assert translated("refresh", said) == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("S=1; Path=/api; HttpOnly", "S=1; Path=/; HttpOnly"),
        ("S=1; path=/api/", "S=1; path=/"),
        ("S=1;PATH = /api/cart", "S=1;PATH =/cart"),
        ("S=1; Path=/", "S=1; Path=/"),
        ("S=1; Path=/apiary", "S=1; Path=/apiary"),
        ("S=1; Path=/other", "S=1; Path=/other"),
        ("S=/api; Max-Age=5", "S=/api; Max-Age=5"),
        ("Path=/api; Path=/api", "Path=/api; Path=/"),
        ("Secure; Path=/api", "Secure; Path=/"),
    ],
)
def test_the_path_of_a_cookie_is_that_of_the_caller(said: str, read: str) -> None:
    assert translated("set-cookie", said) == read


@pytest.mark.parametrize("path", ["/shop", "/shop/", "/"])
def test_a_cookie_for_more_than_the_root_path_is_for_all_below_it(path: str) -> None:
    member = attrs.evolve(MEMBER, root_path="/shop/api")
    assert translated("set-cookie", f"S=1; Path={path}", member=member) == "S=1; Path=/"


@pytest.mark.parametrize("path", ["/a b", "/a%20b", '"/a b"', "/a b/"])
def test_a_cookie_may_spell_the_root_path_quoted_or_not(path: str) -> None:
    member = attrs.evolve(MEMBER, root_path="/a b")
    assert translated("set-cookie", f"S=1; Path={path}", member=member) == "S=1; Path=/"


TLS = attrs.evolve(MEMBER, scheme="https", root_path="")


def secure(asked: str, *members: Member) -> str:
    scheme = "https" if asked.startswith("https") else members[0].scheme
    return Terms(asked, members[0], scheme, lambda: members).header("set-cookie", "S=1; Secure; Path=/")


def test_a_secure_cookie_goes_back_to_a_service_that_is_reached_by_tls_alone() -> None:
    assert secure("http://orders/", TLS) == "S=1; Path=/"
    assert secure("lb://orders/", TLS) == "S=1; Path=/"


def test_a_secure_cookie_stays_secure_when_the_url_says_so_or_a_member_has_no_tls() -> None:
    for asked, members in (
        ("https://orders/", (TLS,)),
        ("http://orders/", (MEMBER,)),
        ("http://orders/", (TLS, attrs.evolve(TLS, host="10.0.0.9", scheme="http"))),
    ):
        assert secure(asked, *members) == "S=1; Secure; Path=/"
