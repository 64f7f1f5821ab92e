"""The URLs that requests through aiohttp ask for, and where these are at the members."""

from __future__ import annotations

import logging

import pytest
from support.http_members import InOrder
from yarl import URL

from pydoudou.balancers.calls.policy import CallPolicy
from pydoudou.balancers.calls.service import CalledService, ClientErrors
from pydoudou.balancers.calls.urls import UnusableAddress
from pydoudou.balancers.reporting import reporting
from pydoudou.contrib.aiohttp_origins import AskedUrls, Origin
from pydoudou.drivers.members import Member

ERRORS = ClientErrors(LookupError, TimeoutError, lambda error: None)


def service(*members: Member) -> CalledService[Origin]:
    balancer, log = reporting(InOrder(*members), "orders"), logging.getLogger("pydoudou.tests")
    return CalledService("orders", balancer, CallPolicy(), ERRORS, Origin, log, lambda members: None)


def test_of_many_urls_and_members_only_so_many_are_kept() -> None:
    members = [Member("orders", "127.0.0.1", port, root_path="/api") for port in (1, 2, 3)]
    called, urls = service(*members), AskedUrls()
    most_urls = most_routes = 0
    for number in range(3000):
        url = URL(f"http://orders/items/{number}?page=2")
        asked = urls.add(url, called)
        assert urls[url] is asked
        for member in members:
            route = urls.route(asked, member)
            assert str(route.url) == f"http://127.0.0.1:{member.port}/api/items/{number}?page=2"
            assert urls.route(asked, member) is asked.routes[id(member)] is route
        most_urls = max(most_urls, len(urls))
        most_routes = max(most_routes, sum(len(one.routes) for one in urls.values()))
    assert 300 < most_urls <= most_routes <= 1024


def test_a_member_that_no_request_can_be_sent_to_has_no_route() -> None:
    member, urls = Member("orders", "10.0.0.1/x", 80), AskedUrls()
    asked = urls.add(URL("http://orders/"), service(member))
    with pytest.raises(UnusableAddress):
        urls.route(asked, member)
    assert asked.routes == {}
