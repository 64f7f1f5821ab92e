"""What a list means, and what it does not mean right after a reconnect."""

from __future__ import annotations

import pytest

from pydoudou import Member, MemberState
from pydoudou.drivers.nacos.instances import Listed
from pydoudou.drivers.nacos.listings import KEPT_FOR, Listings
from pydoudou.drivers.nacos.service_names import ServiceName

ORDERS = ServiceName("G", "orders")
A, B = Listed("a", "10.0.0.1", 1), Listed("b", "10.0.0.2", 1)


def told(reports: list[Member]) -> list[tuple[str, str, MemberState]]:
    return [(report.service, report.host, report.state) for report in reports]


@pytest.fixture
def listings() -> Listings:
    """On a connection that began at 0, with A and B listed at 1."""
    listings = Listings()
    listings.ask(ORDERS, "orders")
    listings.connected(0.0)
    listings.listed(ORDERS, [A, B], 1.0)
    return listings


def test_only_what_changed_is_reported(listings: Listings) -> None:
    heavier = Listed("a", "10.0.0.1", 1, weight=2.0)
    assert told(listings.listed(ORDERS, [heavier, B], 2.0)) == [("orders", "10.0.0.1", MemberState.ALIVE)]
    assert listings.listed(ORDERS, [heavier, B], 3.0) == []


def test_who_was_listed_and_is_not_any_more_is_gone_at_once(listings: Listings) -> None:
    assert told(listings.listed(ORDERS, [A], 2.0)) == [("orders", "10.0.0.2", MemberState.FAILED)]
    assert len(listings) == 1


def test_a_disabled_instance_is_gone(listings: Listings) -> None:
    off = Listed("b", "10.0.0.2", 1, enabled=False)
    assert told(listings.listed(ORDERS, [A, off], 2.0)) == [("orders", "10.0.0.2", MemberState.FAILED)]


def test_an_empty_list_right_after_a_reconnect_takes_nobody_away(listings: Listings) -> None:
    listings.connected(100.0)
    assert listings.listed(ORDERS, [], 100.1) == []
    assert listings.expire(100.0 + KEPT_FOR - 0.1) == []
    assert len(listings) == 2


def test_those_that_come_back_one_by_one_were_never_away(listings: Listings) -> None:
    listings.connected(100.0)
    assert listings.listed(ORDERS, [A], 100.1) == []
    assert listings.listed(ORDERS, [A, B], 105.0) == []
    assert listings.expire(100.0 + KEPT_FOR) == []


def test_who_does_not_come_back_in_time_is_gone(listings: Listings) -> None:
    listings.connected(100.0)
    listings.listed(ORDERS, [A], 100.1)
    assert told(listings.expire(100.0 + KEPT_FOR)) == [("orders", "10.0.0.2", MemberState.FAILED)]
    assert listings.expire(200.0) == []


def test_who_came_back_and_goes_then_is_gone_at_once(listings: Listings) -> None:
    listings.connected(100.0)
    listings.listed(ORDERS, [A, B], 100.1)
    assert told(listings.listed(ORDERS, [A], 100.2)) == [("orders", "10.0.0.2", MemberState.FAILED)]


def test_a_list_that_comes_late_counts_by_itself(listings: Listings) -> None:
    listings.connected(100.0)
    assert told(listings.listed(ORDERS, [A], 100.0 + KEPT_FOR)) == [("orders", "10.0.0.2", MemberState.FAILED)]


def test_a_service_that_was_not_listed_on_this_connection_loses_nobody(listings: Listings) -> None:
    listings.connected(100.0)
    assert listings.expire(1000.0) == []


def test_a_name_that_is_asked_for_later_gets_everybody_known(listings: Listings) -> None:
    assert {report.host for report in listings.ask(ORDERS, "G@@orders")} == {"10.0.0.1", "10.0.0.2"}
    assert listings.ask(ORDERS, "G@@orders") == []
    assert {report.service for report in listings.listed(ORDERS, [A], 2.0)} == {"orders", "G@@orders"}


def test_a_list_that_nobody_asked_for_means_nothing() -> None:
    assert Listings().listed(ORDERS, [A], 0.0) == []
