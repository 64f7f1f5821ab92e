"""From the address of a service to that of a member and back, as plain strings."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from pydoudou import Member
from pydoudou.balancers.calls.urls import is_service_name, logical_location, member_base, member_scheme

MEMBER = Member("orders", "10.0.0.7", 8080)
BELOW_API = Member("orders", "10.0.0.7", 8080, root_path="/api")
SIX = Member("orders", "fd00::7", 8080, root_path="v1")
SECURE = Member("orders", "10.0.0.8", 443, scheme="https")


@pytest.mark.parametrize("host", ["orders", "order_svc_rest", "order-svc", "a1", "xn--bestellungen-9za", "0xorders"])
def test_one_label_is_a_service(host: str) -> None:
    assert is_service_name(host)


@pytest.mark.parametrize(
    "host", ["", "localhost", "example.com", "orders.", "127.0.0.1", "::1", "2130706433", "0x7f000001", "0x"]
)
def test_names_of_machines_and_addresses_are_no_services(host: str) -> None:
    assert not is_service_name(host)


@pytest.mark.parametrize(
    ("asked", "own", "used"),
    [("http", "http", "http"), ("http", "https", "https"), ("lb", "https", "https"), ("https", "http", "https")],
)
def test_https_in_the_url_is_never_taken_back(asked: str, own: str, used: str) -> None:
    assert member_scheme(asked, Member("orders", "10.0.0.7", 8080, scheme=own)) == used


@pytest.mark.parametrize(
    ("member", "base"),
    [
        (MEMBER, "http://10.0.0.7:8080"),
        (BELOW_API, "http://10.0.0.7:8080/api"),
        (SIX, "http://[fd00::7]:8080/v1"),
        (Member("orders", "h", 1, root_path="/a b/c%20d/é/"), "http://h:1/a%20b/c%20d/%C3%A9"),
        (Member("orders", "h", 1, root_path="a?b#c\r\n"), "http://h:1/a%3Fb%23c%0D%0A"),
    ],
)
def test_the_base_of_a_member_is_quoted_as_a_url_needs(member: Member, base: str) -> None:
    assert member_base(member, "http") == base


def translated(
    location: str, member: Member = MEMBER, asked: str = "http://orders/items/1", *others: Member
) -> str | None:
    """The location as the caller reads it, or None for unchanged."""
    return logical_location(location, asked=urlsplit(asked), member=member, scheme=member.scheme, members=others)


@pytest.mark.parametrize("location", ["/after", "after", "../after", "?page=2", "#top", ""])
def test_a_relative_location_stays_when_nothing_was_put_in_front(location: str) -> None:
    assert translated(location) is None


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/api/after?x=1#top", "http://orders/after?x=1#top"),
        ("after", "http://orders/items/after"),
        ("../after", "http://orders/after"),
        ("/api", "http://orders/"),
        ("/apiary", "http://orders/apiary"),
        ("/elsewhere", "http://orders/elsewhere"),
        ("http://10.0.0.7:8080/api/after", "http://orders/after"),
        ("http://orders/api/after", "http://orders/after"),
        ("http://orders:8080/api/after", "http://orders/after"),
        ("https://orders/api/after", "https://orders/after"),
        ("//orders/api/after", "http://orders/after"),
    ],
)
def test_the_root_path_is_taken_away_again(location: str, expected: str) -> None:
    assert translated(location, BELOW_API) == expected


def test_the_address_of_another_member_is_the_service_with_that_members_root_path() -> None:
    assert translated("http://[fd00::7]:8080/v1/after", BELOW_API, "http://orders/items", SIX) == "http://orders/after"


def test_a_default_port_is_the_members_port() -> None:
    assert translated("https://10.0.0.8/after", SECURE) == "http://orders/after"


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/after",
        "http://10.0.0.7:8081/after",
        "https://10.0.0.7:8080/after",
        "mailto:someone@example.com",
        "http://[broken/after",
        "http://10.0.0.7:99999/after",
    ],
)
def test_what_is_not_the_service_stays(location: str) -> None:
    assert translated(location) is None


@pytest.mark.parametrize("location", ["/after", "after", "http://10.0.0.7:8080/after", "http://orders/after"])
def test_under_lb_every_location_of_the_service_becomes_absolute(location: str) -> None:
    assert translated(location, MEMBER, "lb://orders/before") == "lb://orders/after"


def test_user_information_of_the_url_does_not_come_back() -> None:
    assert translated("/api/after", BELOW_API, "http://me:secret@orders/before") == "http://orders/after"
