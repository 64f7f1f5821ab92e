"""What goes out to a member and what comes back, through every HTTP client: the caller sees the service throughout."""

from __future__ import annotations

import base64
import copy
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
import requests
from support.http_callers import CALLERS, KEEPING_COOKIES, Caller, Httpx2Caller, HttpxCaller, RequestsCaller
from support.http_members import Behaviour, GivenMembers, HttpMember, InOrder, in_two_pieces, redirect, refusing
from support.waiting import eventually

from pydoudou import RoundRobin
from pydoudou.contrib import httpx as of_httpx
from pydoudou.contrib import httpx2 as of_httpx2
from pydoudou.contrib import requests as of_requests

CallerClass = type[Caller]
with_cookies = pytest.mark.parametrize("caller_class", KEEPING_COOKIES, ids=lambda one: one.__doc__)
every_client = pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)


@pytest.fixture
def a() -> Iterator[HttpMember]:
    with HttpMember("a") as member:
        yield member


@pytest.fixture
def b() -> Iterator[HttpMember]:
    with HttpMember("b") as member:
        yield member


@every_client
def test_calls_take_turns_and_tell_who_answered(caller_class: CallerClass, a: HttpMember, b: HttpMember) -> None:
    members = {"a": a.member(), "b": b.member()}
    with caller_class(RoundRobin("orders", GivenMembers(*members.values()))) as caller:
        answers = [caller.call() for _ in range(4)]
    names = [answer.json()["member"] for answer in answers]
    assert names in (["a", "b", "a", "b"], ["b", "a", "b", "a"])
    assert [answer.member for answer in answers] == [members[name] for name in names]


@every_client
@pytest.mark.parametrize("root_path", ["api/v1", "/api/v1/"])
def test_the_root_path_of_the_member_is_put_in_front(caller_class: CallerClass, a: HttpMember, root_path: str) -> None:
    with caller_class(InOrder(a.member(root_path=root_path))) as caller:
        answer = caller.call(url="http://orders/items/a%2Fb%20c?q=1&q=%26")
    assert a.served[0].path == "/api/v1/items/a%2Fb%20c?q=1&q=%26"
    assert answer.url == "http://orders/items/a%2Fb%20c?q=1&q=%26"


@every_client
def test_a_root_path_cannot_smuggle_anything_into_the_request(caller_class: CallerClass, a: HttpMember) -> None:
    with caller_class(InOrder(a.member(root_path="a b\r\nX-Evil: 1?c#d"))) as caller:
        caller.call()
    assert a.served[0].path == "/a%20b%0D%0AX-Evil:%201%3Fc%23d/items"
    assert "x-evil" not in a.served[0].headers


@every_client
def test_params_are_part_of_the_query(caller_class: CallerClass, a: HttpMember) -> None:
    with caller_class(InOrder(a.member())) as caller:
        caller.call(url="http://orders", params={"page": 2})
    assert a.served[0].path == "/?page=2"


@every_client
def test_the_member_sees_the_service_as_its_host(caller_class: CallerClass, a: HttpMember) -> None:
    with caller_class(InOrder(a.member())) as caller:
        caller.call()
    assert a.served[0].headers["host"] == "orders"


@every_client
def test_a_host_header_of_the_caller_is_kept(caller_class: CallerClass, a: HttpMember) -> None:
    with caller_class(InOrder(a.member())) as caller:
        caller.call(headers={"host": "shop.example"})
    assert a.served[0].headers["host"] == "shop.example"


@pytest.mark.ability("cookies")
@with_cookies
def test_a_cookie_from_one_member_goes_to_all(caller_class: CallerClass, a: HttpMember, b: HttpMember) -> None:
    a.answer = lambda handler: handler.reply(headers={"Set-Cookie": "basket=7; Path=/"})
    picker = InOrder(a.member())
    with caller_class(picker) as caller:
        caller.call()
        picker.all = (b.member(),)
        caller.call()
    assert b.served[0].headers["cookie"] == "basket=7"


@every_client
def test_the_answer_is_one_to_the_url_that_was_asked_for(caller_class: CallerClass, a: HttpMember) -> None:
    with caller_class(InOrder(a.member(root_path="api"))) as caller:
        answer = caller.call()
    assert (answer.url, str(answer.response.request.url)) == ("http://orders/items", "http://orders/items")


def test_requests_leaves_the_prepared_request_as_it_was(a: HttpMember) -> None:
    with refusing() as gone, RequestsCaller(InOrder(gone, a.member(root_path="api"))) as caller:
        request = caller.session.prepare_request(requests.Request("PUT", "http://orders/items", data=b"body"))
        before = copy.deepcopy((request.method, request.url, dict(request.headers), request.body))
        response = caller.session.send(request)
    assert (request.method, request.url, dict(request.headers), request.body) == before
    assert response.request is request


@pytest.mark.parametrize("caller_class", [HttpxCaller, Httpx2Caller], ids=lambda one: one.__doc__)
def test_httpx_leaves_the_request_as_it_was(
    caller_class: type[HttpxCaller] | type[Httpx2Caller], a: HttpMember
) -> None:
    with refusing() as gone, caller_class(InOrder(gone, a.member(root_path="api")), deadline=5.0) as caller:
        request = caller.client.build_request("PUT", "http://orders/items", content=b"body")
        before = copy.deepcopy((request.method, str(request.url), request.headers.raw, request.extensions))
        response = caller.client.send(request)
    assert (request.method, str(request.url), request.headers.raw, request.extensions) == before
    assert response.request is request


@pytest.mark.ability("redirects")
@every_client
@pytest.mark.parametrize(
    ("root_path", "location"),
    [
        ("", "/after?x=1"),
        ("", "after?x=1"),
        ("", "http://{address}/after?x=1"),
        ("", "//{address}/after?x=1"),
        ("", "http://orders/after?x=1"),
        ("api", "/api/after?x=1"),
        ("api", "after?x=1"),
        ("api", "http://{address}/api/after?x=1"),
        ("api", "http://orders/api/after?x=1"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "lb"])
def test_a_redirect_is_balanced_again_and_keeps_its_credentials(
    caller_class: CallerClass, a: HttpMember, b: HttpMember, root_path: str, location: str, scheme: str
) -> None:
    if scheme == "lb" and not caller_class.knows_lb:
        pytest.skip("the library refuses schemes that it does not know")
    picker = InOrder(a.member(root_path=root_path), b.member())

    def redirect_and_step_back(handler: object) -> None:
        picker.all = picker.all[1:]
        redirect(location.format(address=a.member().address), on=a.served[0].path)(handler)  # type: ignore[arg-type]

    a.answer = redirect_and_step_back
    with caller_class(picker) as caller:
        answer = caller.call(url=f"{scheme}://orders/before", headers={"Authorization": "Bearer x"}, follow=True)
    assert answer.url == f"{scheme}://orders/after?x=1"
    assert answer.json()["member"] == "b"
    assert b.served[0].path == "/after?x=1"
    assert b.served[0].headers["authorization"] == "Bearer x"


@every_client
def test_a_redirect_to_another_member_is_balanced_too(caller_class: CallerClass, a: HttpMember, b: HttpMember) -> None:
    a.answer = redirect(f"http://{b.member().address}/after", on="/before")
    with caller_class(InOrder(a.member(), b.member())) as caller:
        answer = caller.call(url="http://orders/before", follow=True)
    assert (answer.url, answer.json()["member"]) == ("http://orders/after", "a")


@every_client
def test_a_redirect_to_elsewhere_leaves_the_service(caller_class: CallerClass, a: HttpMember, b: HttpMember) -> None:
    a.answer = redirect(f"http://{b.member().address}/after", on="/before")
    with caller_class(InOrder(a.member())) as caller:
        answer = caller.call(url="http://orders/before")
    assert answer.headers["location"] == f"http://{b.member().address}/after"


@every_client
def test_the_location_of_what_was_created_is_in_the_callers_terms(caller_class: CallerClass, a: HttpMember) -> None:
    a.answer = lambda handler: handler.reply(201, {"Location": "/api/items/7"})
    with caller_class(InOrder(a.member(root_path="api"))) as caller:
        answer = caller.call("POST")
    assert answer.headers["location"] == "http://orders/items/7"


@pytest.mark.ability("streaming down")
@every_client
def test_an_answer_is_streamed_as_it_arrives(caller_class: CallerClass, a: HttpMember) -> None:
    rest = threading.Event()
    a.answer = in_two_pieces(rest)
    with caller_class(InOrder(a.member())) as caller, caller.opened() as answer:
        pieces = answer.pieces(10)
        first = next(pieces)
        rest.set()
        assert [first, *pieces] == [b"0123456789", b"abcdefghij"]


@pytest.mark.ability("streaming up")
@every_client
def test_a_body_is_streamed_as_it_is_made(caller_class: CallerClass, a: HttpMember) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one "
        eventually(lambda: a.parts == [b"one "])
        yield b"two"

    with caller_class(InOrder(a.member())) as caller:
        caller.call("POST", content=parts())
    assert a.served[0].body == b"one two"


def saying(**headers: str) -> Behaviour:
    """Answer with these headers; "_" stands for "-"."""

    def answer(handler: Any) -> None:
        handler.reply(headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


@with_cookies
@pytest.mark.parametrize(
    ("cookie", "path", "sent"),
    [
        ("S=1; Path=/api; HttpOnly", "/me", "S=1"),
        ("S=1; Path=/api/cart", "/cart/7", "S=1"),
        ("S=1; Path=/api/cart", "/me", None),
        ("S=1; Path=/", "/me", "S=1"),
        ("S=1", "/me", "S=1"),
    ],
)
def test_a_cookie_returns_to_a_member_as_it_would_without_a_balancer(
    caller_class: CallerClass, a: HttpMember, cookie: str, path: str, sent: str | None
) -> None:
    with caller_class(InOrder(a.member(root_path="/api"))) as caller:
        a.answer = saying(Set_Cookie=cookie)
        caller.call(url="http://orders/login")
        caller.call(url=f"http://orders{path}")
    assert a.served[1].headers.get("cookie") == sent


@every_client
@pytest.mark.parametrize("name", ["Link", "Content-Location", "Location"])
def test_a_header_that_names_another_resource_can_be_followed(
    caller_class: CallerClass, a: HttpMember, name: str
) -> None:
    with caller_class(InOrder(a.member(root_path="/api"))) as caller:
        a.answer = saying(
            **{name: f"<http://127.0.0.1:{a.port}/api/items?page=2>" if name == "Link" else "/api/items/2"}
        )
        said = caller.call().headers[name]
        caller.call(url=said.strip("<>"))
    assert a.served[1].path == ("/api/items?page=2" if name == "Link" else "/api/items/2")


@with_cookies
def test_credentials_in_the_url_reach_the_member_as_basic_authentication(
    caller_class: CallerClass, a: HttpMember
) -> None:
    with caller_class(InOrder(a.member())) as caller:
        caller.call(url="http://user:pw@orders/items")
    assert a.served[0].headers["authorization"] == "Basic " + base64.b64encode(b"user:pw").decode()
    assert a.served[0].headers["host"] == "orders"
    assert a.served[0].path == "/items"


@pytest.mark.parametrize(
    "url",
    [
        "http://orders:pw@elsewhere.example/",
        "http://user@orders.example/",
        "http://user@orders:8080/",
        "ftp://u@orders/",
    ],
)
def test_credentials_make_requests_catch_no_other_host(url: str) -> None:
    with RequestsCaller(InOrder()) as caller:
        try:
            adapter = caller.session.get_adapter(url)
        except requests.exceptions.InvalidSchema:
            return
        assert adapter is not caller.adapter


def test_a_session_with_mounted_services_is_not_kept_alive_by_them() -> None:
    caller = RequestsCaller(InOrder())
    gone = weakref.ref(caller.session)
    del caller.session
    assert gone() is None


@every_client
def test_the_member_of_a_response_has_a_type(caller_class: CallerClass, a: HttpMember) -> None:
    with caller_class(InOrder(a.member())) as caller:
        assert caller.call().member == a.member()


@pytest.mark.parametrize(
    ("binding", "response"),
    [(of_requests, requests.Response()), (of_httpx, httpx.Response(200)), (of_httpx2, httpx2.Response(200))],
    ids=["requests", "httpx", "httpx2"],
)
def test_a_response_of_no_member_has_none(binding: Any, response: Any) -> None:
    with pytest.raises(LookupError, match="did not come from a member"):
        binding.member_of(response)
    assert binding.attempts_of(response) == ()
