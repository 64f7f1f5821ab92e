"""Which services are asked for, what a list means, and what it does not mean right after a reconnect."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from pydoudou import Member, MemberState
from pydoudou.drivers.nacos.errors import NacosError, NacosFailed, NacosRefused, NacosUnavailable
from pydoudou.drivers.nacos.instances import Listed, ServiceList
from pydoudou.drivers.nacos.listings import KEPT_FOR, REFUSED_AGAIN_AFTER
from pydoudou.drivers.nacos.service_names import ServiceName
from pydoudou.drivers.nacos.subscriber import Subscriber

ORDERS = ServiceName("G", "orders")
REST = ServiceName("G", "orders_rest")
A, B = Listed("a", "10.0.0.1", 1), Listed("b", "10.0.0.2", 1)


class Server:
    """A session with the server behind it, the driver's clock, and the registry that is reported to.

    Attributes:
        lists: who offers what; `errors`: what the server says instead, by service or to the question for all names.
        clock_ms: the time of the lists that it is asked for.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.lists: dict[ServiceName, tuple[Listed, ...]] = {}
        self.clock_ms = 0
        self.errors: dict[ServiceName | str, NacosError] = {}
        self.asked: list[tuple[str, ServiceName | str]] = []
        self.reports: list[tuple[str, str, MemberState]] = []
        self.subscriber = Subscriber("G", self.ask, self.observe, lambda: self.now)

    async def ask(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return await function(*arguments)

    def observe(self, members: list[Member]) -> None:
        self.reports += [(member.service, member.host, member.state) for member in members]

    def answer(self, question: str, about: ServiceName | str) -> None:
        self.asked.append((question, about))
        if error := self.errors.get(about):
            raise error

    async def subscribe(self, service: ServiceName) -> None:
        self.answer("subscribe", service)
        self.lists_now(service)

    async def unsubscribe(self, service: ServiceName) -> None:
        self.answer("unsubscribe", service)

    async def query(self, service: ServiceName) -> ServiceList:
        self.answer("query", service)
        return ServiceList(service, self.lists.get(service, ()), changed_at=self.clock_ms)

    async def names(self, group: str) -> list[str]:
        self.answer("names", group)
        return [service.name for service in self.lists]

    # -- what a test does ----------------------------------------------------------------------------------------------

    def lists_now(self, service: ServiceName, *instances: Listed, **fields: Any) -> None:
        """The server pushes its list, or this one."""
        listed = ServiceList(service, instances or self.lists.get(service, ()), **fields)
        self.subscriber.listed(self, listed)  # type: ignore[arg-type]

    def connects(self) -> None:
        anyio.run(self.subscriber.begin, self)

    def does(self, action: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        anyio.run(action, *arguments)

    def told(self) -> list[tuple[str, str, MemberState]]:
        """What was reported since the last time."""
        reports, self.reports = self.reports, []
        return reports

    def was_asked(self) -> list[tuple[str, ServiceName | str]]:
        """The same of questions."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def server() -> Server:
    """Connected at 0, with A and B offering what is subscribed as `orders`."""
    server = Server()
    server.lists[ORDERS] = (A, B)
    server.connects()
    server.does(server.subscriber.subscribe, "orders")
    server.now = 1.0
    server.reports.clear()
    server.asked.clear()
    return server


ALIVE, FAILED, LEFT = MemberState.ALIVE, MemberState.FAILED, MemberState.LEFT


# -- what is wanted ----------------------------------------------------------------------------------------------------


def test_whoever_asks_gets_both_names_and_is_told_before_that_returns() -> None:
    server = Server()
    server.lists = {ORDERS: (A,), REST: (B,)}
    server.connects()
    server.does(server.subscriber.subscribe, "orders")
    assert sorted(server.was_asked(), key=str) == [("subscribe", ORDERS), ("subscribe", REST)]
    assert sorted(server.told()) == [("orders", "10.0.0.1", ALIVE), ("orders", "10.0.0.2", ALIVE)]
    assert (server.subscriber.services, server.subscriber.instances) == (2, 2)
    server.does(server.subscriber.subscribe, "orders")
    assert server.was_asked() == []


def test_what_is_asked_for_before_the_server_was_reached_is_subscribed_with_the_session() -> None:
    server = Server()
    server.does(server.subscriber.subscribe, "orders")
    assert server.was_asked() == []
    server.connects()
    assert sorted(server.was_asked(), key=str) == [("subscribe", ORDERS), ("subscribe", REST)]


def test_who_is_not_asked_for_any_more_leaves_and_the_server_is_told(server: Server) -> None:
    server.does(server.subscriber.unsubscribe, "orders")
    assert sorted(server.told()) == [("orders", "10.0.0.1", LEFT), ("orders", "10.0.0.2", LEFT)]
    assert sorted(server.was_asked(), key=str) == [("unsubscribe", ORDERS), ("unsubscribe", REST)]
    server.lists_now(ORDERS, A)
    assert server.told() == []
    assert (server.subscriber.services, server.subscriber.instances) == (0, 0)
    server.does(server.subscriber.subscribe, "orders")
    assert len(server.told()) == 2


def test_what_somebody_else_asks_for_stays(server: Server) -> None:
    server.does(server.subscriber.subscribe, None)
    server.does(server.subscriber.unsubscribe, "orders")
    assert server.told() == []
    server.does(server.subscriber.unsubscribe, None)
    assert len(server.told()) == 2
    server.does(server.subscriber.unsubscribe, "nobody asked for this")
    server.does(server.subscriber.unsubscribe, None)


def test_who_asks_for_everything_gets_what_is_there_and_what_comes(server: Server) -> None:
    stock = ServiceName("G", "stock")
    server.lists[stock] = (A,)
    server.does(server.subscriber.subscribe, None)
    assert server.told() == [("stock", "10.0.0.1", ALIVE)]
    later = ServiceName("G", "later_rest")
    server.lists[later] = (B,)
    server.does(server.subscriber.look_around)
    assert server.told() == [("later", "10.0.0.2", ALIVE)]
    del server.lists[stock]
    server.lists_now(stock)
    server.does(server.subscriber.look_around)
    assert server.told() == [("stock", "10.0.0.1", FAILED)]
    assert ("unsubscribe", stock) in server.was_asked()


def test_a_name_that_is_asked_for_later_gets_everybody_known(server: Server) -> None:
    server.does(server.subscriber.subscribe, "G@@orders")
    assert {report[:2] for report in server.told()} == {("G@@orders", "10.0.0.1"), ("G@@orders", "10.0.0.2")}
    assert server.was_asked() == []
    server.lists_now(ORDERS, A)
    assert {report[0] for report in server.told()} == {"orders", "G@@orders"}


@pytest.mark.parametrize("name", ["", "a b", "a/b", "evil\n", "x" * 600, "@@orders", "\x1b[2J"])
def test_a_name_that_nacos_cannot_have_is_not_asked_for(name: str) -> None:
    server = Server()
    server.connects()
    server.does(server.subscriber.subscribe, name)
    server.does(server.subscriber.unsubscribe, name)
    assert server.was_asked() == []


# -- what goes wrong with one service stays with it --------------------------------------------------------------------


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.WARNING, "pydoudou.drivers.nacos"):
        yield lambda: [record.getMessage() for record in caplog.records]


def test_a_refused_service_is_said_once_and_asked_for_again_after_a_while(
    server: Server, lines: Callable[[], list[str]]
) -> None:
    evil = ServiceName("G", "evil")
    server.errors[evil] = NacosRefused("illegal")
    server.does(server.subscriber.subscribe, "evil")
    for server.now in (2.0, 4.0, REFUSED_AGAIN_AFTER + 0.9):
        server.does(server.subscriber.look_around)
    assert server.was_asked().count(("subscribe", evil)) == 1
    server.now = REFUSED_AGAIN_AFTER + 1.1
    server.does(server.subscriber.look_around)
    assert server.was_asked().count(("subscribe", evil)) == 1
    assert lines() == ["Nacos refuses to tell who offers G@@evil: illegal"]
    assert (server.subscriber.refused, server.subscriber.failures) == (1, 2)
    server.lists_now(ORDERS, A)
    assert server.told() == [("orders", "10.0.0.2", FAILED)]


@pytest.mark.parametrize("error", [NacosFailed("down"), NacosUnavailable("no answer")])
def test_a_service_that_fails_is_asked_for_again_ever_more_rarely_until_it_works(
    server: Server, lines: Callable[[], list[str]], error: NacosError
) -> None:
    stock = ServiceName("G", "stock")
    server.errors[stock], server.lists[stock] = error, (A,)
    server.does(server.subscriber.subscribe, "stock")
    for _ in range(1000):
        server.now += 0.1
        server.does(server.subscriber.look_around)
    assert 5 <= server.was_asked().count(("subscribe", stock)) <= 10
    assert len(lines()) == 1
    del server.errors[stock]
    server.now += 30.0
    server.does(server.subscriber.look_around)
    assert server.told() == [("stock", "10.0.0.1", ALIVE)]


def test_a_group_that_cannot_be_listed_costs_nothing_else(server: Server, lines: Callable[[], list[str]]) -> None:
    server.errors["G"] = NacosRefused("no right")
    server.does(server.subscriber.subscribe, None)
    assert lines() == ["Nacos refuses to tell who offers all services: no right"]
    server.lists_now(ORDERS, A)
    assert server.told() == [("orders", "10.0.0.2", FAILED)]


def test_a_poll_that_fails_takes_nobody_away(server: Server) -> None:
    server.errors[ORDERS] = NacosFailed("down")
    server.does(server.subscriber.poll)
    assert server.told() == []
    server.errors.clear()
    server.lists[ORDERS] = (A,)
    server.does(server.subscriber.poll)
    assert server.told() == [("orders", "10.0.0.2", FAILED)]


def test_unusable_instances_are_dropped_alone_counted_and_said_once(
    server: Server, lines: Callable[[], list[str]]
) -> None:
    for changed_at in (1, 2):
        server.lists_now(ORDERS, A, B, Listed("c", "u:p@h", 1), unreadable=("{}: no ip",), changed_at=changed_at)
    assert server.told() == []
    assert server.subscriber.dropped == 4
    assert lines() == [
        "dropped what 'G@@orders' says: {}: no ip",
        "dropped what 'G@@orders' says: the host 'u:p@h' is no IP address and no DNS name to connect to",
    ]


# -- what a list means -------------------------------------------------------------------------------------------------


def test_a_disabled_instance_is_gone(server: Server) -> None:
    server.lists_now(ORDERS, A, Listed("b", "10.0.0.2", 1, enabled=False))
    assert server.told() == [("orders", "10.0.0.2", FAILED)]


def test_an_older_list_than_the_last_one_means_nothing(server: Server) -> None:
    server.lists_now(ORDERS, A, changed_at=7)
    server.told()
    server.lists_now(ORDERS, A, B, changed_at=6)
    assert server.told() == []
    server.lists_now(ORDERS, B, changed_at=7)  # two changes within a millisecond
    assert len(server.told()) == 2


@pytest.mark.parametrize("ask", ["look_around", "poll"])
def test_a_server_whose_clock_was_put_back_is_asked_and_believed(server: Server, ask: str) -> None:
    """It would be an hour without news, else."""
    server.lists_now(ORDERS, A, B, changed_at=7_200_000)
    server.lists[ORDERS], server.clock_ms = (A,), 3_600_000
    server.lists_now(ORDERS, A, changed_at=3_599_999)
    assert server.told() == []
    server.does(getattr(server.subscriber, ask))
    assert server.told() == [("orders", "10.0.0.2", FAILED)]
    server.lists_now(ORDERS, B, changed_at=3_600_001)
    assert server.told() == [("orders", "10.0.0.1", FAILED), ("orders", "10.0.0.2", ALIVE)]
    server.was_asked()
    server.does(server.subscriber.look_around)
    assert server.was_asked() == []


def test_an_answer_that_a_push_has_overtaken_means_nothing(server: Server) -> None:
    async def query(service: ServiceName) -> ServiceList:
        server.lists_now(ORDERS, A, B, changed_at=8)
        return ServiceList(service, (A,) if service == ORDERS else (), changed_at=7)

    server.query = query  # type: ignore[method-assign]
    server.does(server.subscriber.poll)
    assert server.told() == []


def test_an_answer_without_a_list_takes_nobody_away(server: Server) -> None:
    server.lists_now(ORDERS, A, B, changed_at=7)
    server.lists[ORDERS], server.clock_ms = (), 0
    server.does(server.subscriber.poll)
    assert server.told() == []


def test_an_empty_list_right_after_a_reconnect_takes_nobody_away(server: Server) -> None:
    server.lists = {ORDERS: ()}
    server.subscriber.end()
    server.now = 100.0
    server.connects()
    server.now = 100.0 + KEPT_FOR - 0.1
    server.subscriber.expire()
    assert server.told() == []
    assert server.subscriber.instances == 2


def test_those_that_come_back_one_by_one_were_never_away(server: Server) -> None:
    server.lists = {ORDERS: (A,)}
    server.now = 100.0
    server.connects()
    server.lists_now(ORDERS, A, B)
    server.now = 100.0 + KEPT_FOR
    server.subscriber.expire()
    assert server.told() == []


def test_who_does_not_come_back_in_time_is_gone(server: Server) -> None:
    server.lists = {ORDERS: (A,)}
    server.now = 100.0
    server.connects()
    server.now = 100.0 + KEPT_FOR
    server.subscriber.expire()
    assert server.told() == [("orders", "10.0.0.2", FAILED)]
    server.now = 200.0
    server.subscriber.expire()
    assert server.told() == []


def test_who_came_back_and_goes_then_is_gone_at_once(server: Server) -> None:
    server.now = 100.0
    server.connects()
    server.lists_now(ORDERS, A)
    assert server.told() == [("orders", "10.0.0.2", FAILED)]


def test_a_service_that_was_not_listed_on_this_connection_loses_nobody(server: Server) -> None:
    server.errors[ORDERS] = NacosFailed("down")
    server.now = 100.0
    server.connects()
    server.now = 1000.0
    server.subscriber.expire()
    assert server.told() == []
    server.errors.clear()
    server.lists[ORDERS] = (A,)
    server.does(server.subscriber.look_around)
    assert server.told() == [("orders", "10.0.0.2", FAILED)]


def test_a_list_of_an_earlier_session_means_nothing(server: Server) -> None:
    server.subscriber.end()
    server.lists_now(ORDERS, A)
    assert server.told() == []
    assert server.subscriber.services == 0
