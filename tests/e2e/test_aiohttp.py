"""What is aiohttp's own: its repetitions, the ends of its responses, its bodies, its pool and its WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from support.http_members import (
    Behaviour,
    GivenMembers,
    HttpMember,
    InOrder,
    black_hole,
    half_an_answer,
    hang_up,
    in_two_pieces,
    redirect,
    refusing,
    reset,
    silent,
)
from support.waiting import eventually_async

from pydoudou import Balancer, Hedging, Member, NoMemberAvailable, RoundRobin
from pydoudou.balancers.calls.policy import CallPolicy
from pydoudou.balancers.service_state import state_of
from pydoudou.balancers.surroundings import Surroundings
from pydoudou.contrib import aiohttp_internals, aiohttp_responses
from pydoudou.contrib.aiohttp import DiscoveryResponse, NoMemberError, attempts_of, discovery_middleware, member_of
from pydoudou.drivers.members import Reached

URL = "http://orders/items"


@pytest.fixture
def good() -> Iterator[HttpMember]:
    with HttpMember("good") as member:
        yield member


def run(balancer: Balancer, use: Callable[[aiohttp.ClientSession], Awaitable[None]], **options: Any) -> None:
    """Use a session whose service ``orders`` has this balancer."""

    async def main() -> None:
        middleware = discovery_middleware(balancer={"orders": balancer}, **options)
        async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
            await use(session)

    asyncio.run(main())


async def fetched(session: aiohttp.ClientSession, method: str = "GET", url: str = URL, **more: Any) -> Any:
    """A response that was read."""
    async with session.request(method, url, **more) as response:
        await response.read()
    return response


class Remembering:
    """Members of a service, and what is remembered of them."""

    def __init__(self, *members: Member) -> None:
        self.registry = GivenMembers(*members)

    def balancer(self) -> RoundRobin:
        return RoundRobin("orders", self.registry)

    def seen(self, member: HttpMember | Member) -> tuple[int, dict[Reached, int], int, int]:
        """In flight, outcomes, incomplete answers, and cancelled ones."""
        one = member if isinstance(member, Member) else member.member()
        state = state_of(self.registry, "orders")
        in_flight, record = state.in_flight(one), state.memory.record(one)
        assert record is not None
        return in_flight, record.outcomes, record.incomplete, record.cancelled


ANSWERED = (0, {Reached.ANSWERED: 1}, 0, 0)


# -- one call of the user is one call ----------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [hang_up, reset])
@pytest.mark.parametrize("known", [True, False], ids=["by its timer", "cautiously"])
def test_aiohttp_does_not_repeat_a_call_around_the_middleware(
    failure: Behaviour, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp_internals, "CALLS_ARE_KNOWN", known)

    async def use(session: aiohttp.ClientSession) -> None:
        for calls in (1, 2):
            with pytest.raises(aiohttp.ClientConnectionError) as caught:
                await session.get(URL)
            assert len(bad.served) == calls
            assert isinstance(caught.value, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)) == known

    with HttpMember(answer=failure) as bad:
        run(InOrder(bad.member()), use)


def test_a_call_after_one_that_failed_is_another_call(good: HttpMember) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.put(URL, data=parts())  # a body that aiohttp cannot repeat either
        picker.all = (good.member(),)
        assert (await fetched(session)).status == 200

    with HttpMember(answer=hang_up) as bad:
        picker = InOrder(bad.member())
        run(picker, use)


def test_an_error_of_another_host_is_repeated_as_ever() -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(bad.member().base_url)
        assert len(bad.served) == 2

    with HttpMember(answer=hang_up) as bad:
        run(InOrder(), use)


def test_what_this_module_uses_of_aiohttp_is_there() -> None:
    assert aiohttp_internals.CALLS_ARE_KNOWN
    assert aiohttp_internals.CONNECTIONS_HAVE_KEYS
    assert aiohttp_internals.COOKIES_ARE_LINES


def setting_two_cookies(handler: Any) -> None:
    handler.send_response(200)
    for cookie in ("basket=7; Path=/api/cart", "theme=dark; Path=/api"):
        handler.send_header("Set-Cookie", cookie)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize("lines", [True, False], ids=["by its lines", "in public terms"])
def test_a_cookie_reaches_the_session_and_the_reader_in_the_callers_terms(
    lines: bool, monkeypatch: pytest.MonkeyPatch, good: HttpMember
) -> None:
    monkeypatch.setattr(aiohttp_internals, "COOKIES_ARE_LINES", lines)
    ways = {True: aiohttp_internals.cookie_lines, False: aiohttp_internals.cookie_headers}
    monkeypatch.setattr(aiohttp_responses, "has_cookies", ways[lines])
    plain, good.answer = good.answer, setting_two_cookies

    async def use(session: aiohttp.ClientSession) -> None:
        answer = await fetched(session, url="http://orders/login")
        assert [answer.cookies[name]["path"] for name in ("basket", "theme")] == ["/cart", "/"]
        good.answer = plain
        await fetched(session, url="http://orders/cart/7")
        await fetched(session, url="http://orders/me")

    run(InOrder(good.member(root_path="/api")), use)
    assert [one.headers.get("cookie") for one in good.served[1:]] == ["basket=7; theme=dark", "theme=dark"]


def test_a_redirect_is_followed_with_a_call_of_its_own(good: HttpMember) -> None:
    good.answer = redirect("/api/after", on="/api/items")

    async def use(session: aiohttp.ClientSession) -> None:
        async with session.get(URL) as response:
            assert str(response.url) == "http://orders/after"
            assert [str(one.url) for one in response.history] == [URL]

    remembering = Remembering(good.member(root_path="/api"))
    run(remembering.balancer(), use)
    assert remembering.seen(good)[1] == {Reached.ANSWERED: 2}


# -- the end of a call -------------------------------------------------------------------------------------------------


async def read(response: aiohttp.ClientResponse) -> None:
    assert await response.read() == b"0123456789abcdefghij"


async def stream(response: aiohttp.ClientResponse) -> None:
    assert b"".join([part async for part in response.content.iter_any()]) == b"0123456789abcdefghij"


async def close(response: aiohttp.ClientResponse) -> None:
    response.close()


async def release(response: aiohttp.ClientResponse) -> None:
    response.release()


@pytest.mark.parametrize(("ending", "incomplete"), [(read, 0), (stream, 0), (close, 1), (release, 1)])
def test_a_call_is_in_flight_until_its_response_ends(
    good: HttpMember, ending: Callable[[aiohttp.ClientResponse], Awaitable[None]], incomplete: int
) -> None:
    rest = threading.Event()
    good.answer = in_two_pieces(rest)
    remembering = Remembering(good.member())

    async def use(session: aiohttp.ClientSession) -> None:
        response = await session.get(URL)
        assert isinstance(response, DiscoveryResponse)
        assert remembering.seen(good)[0] == 1
        rest.set()
        await ending(response)
        assert remembering.seen(good) == (0, {Reached.ANSWERED: 1}, incomplete, 0)

    run(remembering.balancer(), use)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_call_without_a_body_has_ended_with_its_head(good: HttpMember, method: str) -> None:
    good.answer = lambda handler: handler.reply(204)
    remembering = Remembering(good.member())

    async def use(session: aiohttp.ClientSession) -> None:
        await fetched(session, method)
        assert remembering.seen(good) == ANSWERED

    run(remembering.balancer(), use)


def test_a_response_that_is_dropped_ends_with_what_arrives(good: HttpMember) -> None:
    # aiohttp keeps it alive until then.
    good.answer = in_two_pieces(rest := threading.Event())
    remembering = Remembering(good.member())

    async def use(session: aiohttp.ClientSession) -> None:
        await session.get(URL)
        rest.set()
        await eventually_async(lambda: remembering.seen(good) == ANSWERED)

    run(remembering.balancer(), use)


def test_a_response_that_is_dropped_and_breaks_off_is_not_in_flight_any_more(good: HttpMember) -> None:
    good.answer = half_an_answer
    remembering = Remembering(good.member())

    async def use(session: aiohttp.ClientSession) -> None:
        await session.get(URL)

        def collected() -> bool:
            gc.collect()
            return remembering.seen(good) == (0, {Reached.ANSWERED: 1}, 1, 0)

        await eventually_async(collected)

    run(remembering.balancer(), use)


def test_a_cancelled_call_says_nothing_about_the_member() -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.get(URL)
        assert remembering.seen(member) == (0, {}, 0, 1)

    with HttpMember(answer=silent) as member:
        remembering = Remembering(member.member())
        run(remembering.balancer(), use)


def test_the_callers_total_time_ends_the_call_where_it_is(good: HttpMember) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(TimeoutError):
            await session.get(URL, timeout=aiohttp.ClientTimeout(total=0.3))

    with HttpMember(answer=silent) as slow:
        run(InOrder(slow.member(), good.member()), use)
    assert good.served == []


def test_a_member_that_swallows_packets_leaves_time_for_another(good: HttpMember) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        assert member_of(await fetched(session, "POST", data=b"body")) == good.member()

    with black_hole() as hole:
        run(InOrder(hole, good.member()), use, policy=CallPolicy(2, 0.6))


# -- two attempts at once ----------------------------------------------------------------------------------------------


def late(handler: Any) -> None:
    """Answer much later than all the others."""
    time.sleep(1.5)
    handler.reply(body=b"late")


@contextlib.contextmanager
def hedged(first: Behaviour, second: Behaviour) -> Iterator[tuple[list[HttpMember], Remembering, RoundRobin]]:
    """Two members, of which the first one called behaves like this and the second one like that."""
    turns = itertools.chain([first], itertools.repeat(second))
    with HttpMember("a") as a, HttpMember("b") as b:
        a.answer = b.answer = lambda handler: next(turns)(handler)
        remembering = Remembering(a.member(), b.member())
        balancer = remembering.balancer()
        for _ in range(100):
            balancer.calls.head(0.05)
        yield [a, b], remembering, balancer


HEDGING = CallPolicy(deadline=10.0, hedge=Hedging(most_extra=1.0))


@pytest.mark.parametrize("body", [None, b"body"], ids=["without a body", "with a body"])
def test_a_second_attempt_beside_a_silent_one_is_the_answer(body: bytes | None) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        started = time.monotonic()
        async with session.put(URL, data=body) as response:
            assert await response.read() == b"in time"
        assert time.monotonic() - started < 1.2
        assert [bool(attempt.left) for attempt in attempts_of(response)] == [True, False]
        assert str(response.request_info.url) == URL
        await eventually_async(lambda: sum(remembering.seen(member)[0] for member in members) == 0)
        assert [request.body for member in members for request in member.served] == [body or b""] * 2

    with hedged(late, lambda handler: handler.reply(body=b"in time")) as (members, remembering, balancer):
        run(balancer, use, policy=HEDGING)


def test_the_first_attempt_may_be_the_answer_of_two() -> None:
    def soon(handler: Any) -> None:
        time.sleep(0.3)
        handler.reply(body=b"soon")

    async def use(session: aiohttp.ClientSession) -> None:
        async with session.get(URL) as response:
            assert await response.read() == b"soon"
        await eventually_async(lambda: sum(remembering.seen(member)[0] for member in members) == 0)

    with hedged(soon, late) as (members, remembering, balancer):
        run(balancer, use, policy=HEDGING)


def test_two_attempts_that_fail_are_a_failed_call_and_not_repeated() -> None:
    def breaks(handler: Any) -> None:
        time.sleep(0.3)
        reset(handler)

    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.ClientOSError):
            await fetched(session)
        assert sum(len(member.served) for member in members) == 2

    with hedged(breaks, breaks) as (members, _, balancer):
        run(balancer, use, policy=HEDGING.change(attempts=2))


def test_the_callers_total_time_ends_both_attempts() -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(TimeoutError):
            await fetched(session, timeout=aiohttp.ClientTimeout(total=0.4))
        await eventually_async(lambda: sum(remembering.seen(member)[0] for member in members) == 0)

    with hedged(late, late) as (members, remembering, balancer):
        run(balancer, use, policy=HEDGING)


# -- requests and responses --------------------------------------------------------------------------------------------


def form() -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("file", b"content", filename="a.txt")
    return form


async def parts() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"data": b"bytes"}, b"bytes"),
        ({"data": "text"}, b"text"),
        ({"json": {"a": 1}}, b'{"a": 1}'),
        ({"data": {"a": "1"}}, b"a=1"),
    ],
    ids=["bytes", "text", "json", "form"],
)
def test_a_body_in_memory_is_sent_again(good: HttpMember, body: dict[str, Any], sent: bytes) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        await fetched(session, "PUT", **body)

    with HttpMember(answer=hang_up) as bad:
        run(InOrder(bad.member(), good.member()), use)
    assert [request.body for request in good.served] == [sent]


def test_a_form_with_a_file_in_memory_is_sent_again(good: HttpMember) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        await fetched(session, "PUT", data=form())

    with HttpMember(answer=hang_up) as bad:
        run(InOrder(bad.member(), good.member()), use)
        assert [request.body for request in good.served] == [request.body for request in bad.served]


def test_a_body_that_is_made_on_the_way_is_sent_once(good: HttpMember) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.put(URL, data=parts())

    with HttpMember(answer=hang_up) as bad:
        run(InOrder(bad.member(), good.member()), use)
    assert good.served == []


def test_the_class_of_the_sessions_responses_is_kept(good: HttpMember) -> None:
    class Own(aiohttp.ClientResponse):
        def shout(self) -> str:
            return str(self.url).upper()

    async def main() -> None:
        middleware = discovery_middleware(balancer={"orders": InOrder(good.member())})
        async with aiohttp.ClientSession(middlewares=(middleware,), response_class=Own) as session:
            response = await fetched(session)
            assert isinstance(response, Own)
            assert response.shout() == "HTTP://ORDERS/ITEMS"
            assert member_of(response) == good.member()

    asyncio.run(main())


def test_what_the_sessions_responses_make_of_their_headers_is_translated(good: HttpMember) -> None:
    class Own(aiohttp.ClientResponse):
        @property
        def headers(self) -> CIMultiDictProxy[str]:  # type: ignore[override]
            return CIMultiDictProxy(CIMultiDict({**super().headers, "Location": "/api/other", "X-Own": "1"}))

    async def main() -> None:
        middleware = discovery_middleware(balancer={"orders": InOrder(good.member(root_path="/api"))})
        async with aiohttp.ClientSession(middlewares=(middleware,), response_class=Own) as session:
            headers = (await fetched(session)).headers
            assert (headers["Location"], headers["X-Own"]) == ("http://orders/other", "1")

    asyncio.run(main())


@pytest.mark.parametrize("comes", ["with its head", "later"])
def test_the_class_of_the_sessions_responses_is_kept_whenever_the_body_comes(good: HttpMember, comes: str) -> None:
    class Own(aiohttp.ClientResponse):
        __slots__ = ("note",)

        def release(self) -> Any:
            released.append(self)
            return super().release()

    released: list[aiohttp.ClientResponse] = []
    second = threading.Event()
    if comes == "later":
        good.answer = in_two_pieces(second)
    remembering = Remembering(good.member())

    async def main() -> None:
        middleware = discovery_middleware(balancer={"orders": remembering.balancer()})
        async with aiohttp.ClientSession(middlewares=(middleware,), response_class=Own) as session:
            async with session.get(URL) as response:
                assert isinstance(response, Own)
                assert isinstance(response, DiscoveryResponse)
                assert response.member == good.member()
                assert type(response).__name__ == "DiscoveryOwn"
                response.note = "a slot of its own"
                second.set()
                await response.read()
            assert released[-1] is response
            assert remembering.seen(good) == ANSWERED

    asyncio.run(main())


def test_what_has_ended_is_counted_while_the_next_answer_is_waited_for(good: HttpMember) -> None:
    class StandingStill(GivenMembers, Surroundings):
        """By its clock it is never time to count anything before a member is chosen, once that has been done."""

        clock = staticmethod(lambda: 100.0)

    registry = StandingStill(good.member())

    async def use(session: aiohttp.ClientSession) -> None:
        for calls in range(4):
            await fetched(session)
            record = state_of(registry, "orders").memory.record(good.member())
            assert record is not None
            assert record.answered == calls, "this one is counted when there is another one to wait for"

    run(RoundRobin("orders", registry), use)


def test_an_error_for_a_status_is_in_the_callers_terms(good: HttpMember) -> None:
    good.answer = lambda handler: handler.reply(404)

    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.ClientResponseError, match=URL) as caught:
            await session.get(URL, raise_for_status=True)
        assert str(caught.value.request_info.url) == URL

    run(InOrder(good.member(root_path="/api")), use)


def test_nobody_to_call_is_an_error_that_says_why() -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(NoMemberError, match=r"^service 'orders': nobody is left$") as caught:
            await session.get(URL)
        assert isinstance(caught.value.__cause__, NoMemberAvailable)

    run(InOrder(), use)


def test_other_hosts_are_left_alone(good: HttpMember) -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        response = await fetched(session, url=good.member().base_url)
        assert type(response) is aiohttp.ClientResponse
        with pytest.raises(LookupError):
            member_of(response)

    run(InOrder(), use)


def test_what_aiohttp_refuses_to_send_says_nothing_about_a_member(good: HttpMember) -> None:
    remembering = Remembering(good.member())

    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(ValueError, match=r"(?i)newline|control|character"):
            await session.get(URL, headers={"X-Bad": "a\r\nb"})
        assert remembering.seen(good) == (0, {}, 0, 1)

    run(remembering.balancer(), use)


def test_a_policy_can_be_changed_while_the_session_is_in_use(good: HttpMember) -> None:
    async def main() -> None:
        middleware = discovery_middleware(balancer={"orders": InOrder(gone, good.member())}, attempts=1)
        async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(URL)
            middleware.policy = CallPolicy(attempts=2)
            assert (await fetched(session)).status == 200
            assert middleware.policy.attempts == 2

    with refusing() as gone:
        asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"policy": CallPolicy(), "attempts": 1}, ValueError),
        ({"policy": CallPolicy(), "deadline": 1.0}, ValueError),
        ({"policy": 3}, TypeError),
        ({"attempts": 0}, ValueError),
        ({"balancer": 3}, TypeError),
        ({"services": {"orders": 3}}, TypeError),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="accepted"):
        discovery_middleware(**options)


def test_a_name_that_no_url_can_carry_is_mapped(good: HttpMember) -> None:
    asked: list[str] = []

    def make(name: str) -> Balancer:
        asked.append(name)
        return InOrder(good.member())

    async def main() -> None:
        middleware = discovery_middleware(services={"Orders": "DEFAULT_GROUP@@Orders"}, balancer=make)
        async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
            await fetched(session, url="http://orders/")
            await fetched(session, url="http://ORDERS/")

    asyncio.run(main())
    assert asked == ["DEFAULT_GROUP@@Orders"]


# -- connections -------------------------------------------------------------------------------------------------------


def test_a_websocket_is_opened_to_a_member() -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"{request.host}{request.path} {message.data}")
        return socket

    async def main() -> None:
        application = web.Application()
        application.router.add_get("/api/live", echo)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        remembering = Remembering(Member("orders", "127.0.0.1", runner.addresses[0][1], root_path="/api"))
        middleware = discovery_middleware(balancer={"orders": remembering.balancer()})
        async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
            async with session.ws_connect("ws://orders/live") as socket:
                await socket.send_str("hello")
                assert (await socket.receive()).data == "orders/api/live hello"
                member = remembering.registry.snapshot("orders").members[0]
                assert remembering.seen(member)[0] == 1
            assert remembering.seen(member)[0] == 0
        await runner.cleanup()

    asyncio.run(main())


def test_a_session_of_another_thread_has_its_connections_closed_there(good: HttpMember) -> None:
    with HttpMember("leaves") as leaves:
        registry = GivenMembers(leaves.member())
        middleware = discovery_middleware(balancer={"orders": RoundRobin("orders", registry)})
        called, changed = threading.Event(), threading.Event()

        async def first() -> None:
            async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
                await fetched(session)
                called.set()
                await asyncio.to_thread(changed.wait, 10)
                await eventually_async(lambda: not leaves.open_connections())

        async def second() -> None:
            async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
                await fetched(session)

        thread = threading.Thread(target=asyncio.run, args=(first(),))
        thread.start()
        called.wait(10)
        registry.change(good.member())
        asyncio.run(second())
        changed.set()
        thread.join(15)
        assert leaves.open_connections() == 0
