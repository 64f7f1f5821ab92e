"""What is used of other libraries and is not public is in the installed releases, and does what it is taken for."""

from __future__ import annotations

import gc
from typing import Any

import httpx
import httpx2
import pytest
import urllib3
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, StreamReset
from requests.structures import CaseInsensitiveDict
from support.http_members import HttpMember, half_an_answer
from urllib3.exceptions import ProtocolError

from pydoudou.contrib import prometheus_internals, requests_internals, urllib3_internals
from pydoudou.contrib.httpx_internals import Internals, is_idle, refused
from pydoudou.contrib.urllib3_internals import tell_end

either = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


def event(kind: type, **fields: Any) -> Any:
    """One of h2, whose constructors differ from release to release."""
    made = object.__new__(kind)
    for name, value in {"additional_data": None, "stream_id": 1, **fields}.items():
        setattr(made, name, value)
    return made


@either
def test_httpx_has_the_parts_of_a_url_and_tells_which_pools_are_idle(library: Any) -> None:
    internals = Internals(library)
    assert internals.urls_have_parts
    assert internals.requests_are_plain
    assert internals.headers_have_a_list
    assert internals.pools_tell
    assert is_idle(library.AsyncHTTPTransport())


def test_urllib3_has_keys_for_its_pools_and_tells_when_a_response_ends() -> None:
    assert urllib3_internals.POOLS_HAVE_KEYS
    assert urllib3_internals.RESPONSES_TELL


def test_prometheus_client_makes_numbers_that_are_added_up() -> None:
    assert prometheus_internals.NUMBERS_ARE_KNOWN


def test_requests_keeps_its_headers_in_a_store() -> None:
    assert requests_internals.HEADERS_HAVE_A_STORE


@pytest.mark.parametrize("by_store", [True, False])
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"Accept": "*/*"}, [("Host", "orders"), ("Accept", "*/*")]),
        ({"Accept": "*/*", "host": "mine"}, [("host", "mine"), ("Accept", "*/*")]),
        ({"Proxy-Authorization": "secret"}, [("Host", "orders")]),
    ],
)
def test_the_host_stands_first_and_the_callers_wins_and_nothing_is_for_a_proxy(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], sent: list[tuple[str, str]], by_store: bool
) -> None:
    monkeypatch.setattr(requests_internals, "HEADERS_HAVE_A_STORE", by_store)
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(given)
    made = requests_internals.outgoing_headers(headers, "orders")
    assert list(made.items()) == sent
    made["X"] = "y"
    assert "x" not in headers


@either
@pytest.mark.parametrize("way", ["has_any_by_list", "has_any_by_names"])
def test_headers_are_looked_through_by_their_lower_case_names(library: Any, way: str) -> None:
    has_any = getattr(Internals(library), way)
    headers = library.Headers([(b"Content-Type", b"a"), (b"LOCATION", b"b")])
    assert has_any(headers, {b"location"})
    assert not has_any(headers, {b"link", b"a"})


@either
@pytest.mark.parametrize("way", ["copied_by_attributes", "copied_by_making"])
def test_a_copied_request_shares_nothing_that_a_transport_may_change(library: Any, way: str) -> None:
    request = library.Request("POST", "http://orders/a", headers={"X": "y"}, content=b"body")
    made = getattr(Internals(library), way)(request, library.URL("http://10.0.0.7/a"), {"timeout": {}})
    made.headers["X"] = "z"
    assert request.headers["X"] == "y"
    assert (made.method, str(made.url), made.read()) == ("POST", "http://10.0.0.7/a", b"body")
    assert made.extensions == {"timeout": {}}


@pytest.mark.parametrize(
    "path", ["", "/", "/items", "/a%2Fb%20c;d", "/items?", "/items?q=a%26b&c=%C3%A9", "/items#top"]
)
@pytest.mark.parametrize("origin", ["http://10.0.0.7:8080", "http://10.0.0.7:8080/api", "https://[fd00::7]/a%20b"])
@pytest.mark.parametrize("way", ["moved_by_parts", "moved_by_parsing"])
@either
def test_a_moved_url_equals_one_that_httpx_parses(origin: str, path: str, way: str, library: Any) -> None:
    moved = getattr(Internals(library), way)(library.URL(f"http://orders{path}"), library.URL(origin))
    target = path.partition("#")[0]
    parsed = library.URL(origin + (target if target.startswith("/") else "/" + target))
    assert (moved, moved.raw_path, moved.netloc, moved.raw_host, moved.port) == (
        parsed,
        parsed.raw_path,
        parsed.netloc,
        parsed.raw_host,
        parsed.port,
    )


@either
def test_a_transport_that_is_not_httpx_own_is_never_known_to_be_idle(library: Any) -> None:
    assert not is_idle(library.MockTransport(lambda request: library.Response(204)))


def error_of(what: object, cause: bool = True) -> Exception:
    """As httpx raises what httpcore makes of an h2 event."""
    error = httpx.RemoteProtocolError("")
    error.__cause__ = Exception(what) if cause else None
    return error


@pytest.mark.parametrize(
    ("what", "nothing_done"),
    [
        (event(StreamReset, error_code=ErrorCodes.REFUSED_STREAM, remote_reset=True), True),
        (event(StreamReset, error_code=ErrorCodes.REFUSED_STREAM, remote_reset=False), False),
        (event(StreamReset, error_code=ErrorCodes.INTERNAL_ERROR, remote_reset=True), False),
        (event(ConnectionTerminated, error_code=ErrorCodes.NO_ERROR, last_stream_id=0), True),
        (event(ConnectionTerminated, error_code=ErrorCodes.NO_ERROR, last_stream_id=1), False),
        (event(ConnectionTerminated, error_code=ErrorCodes.NO_ERROR, last_stream_id=None), False),
        ("Server disconnected", False),
        (None, False),
    ],
    ids=repr,
)
def test_what_http2_says_was_not_done_is_known(what: object, nothing_done: bool) -> None:
    assert refused(error_of(what)) is nothing_done


def test_an_error_without_a_cause_says_nothing_of_what_was_done() -> None:
    assert not refused(error_of(None, cause=False))
    assert not refused(httpx.ReadError(""))


class Ends(list[bool]):
    """How often a response was told to have ended, and whether it was read to its end each time."""

    def watch(self, member: HttpMember, method: str = "GET") -> Any:
        """A response of `member` whose end is told here, with its body still to be read."""
        manager = urllib3.PoolManager(retries=False)
        url = f"http://127.0.0.1:{member.port}/"
        response = manager.request(method, url, preload_content=False, body=b"x" * 1000)
        tell_end(response, self.append)
        return response


@pytest.fixture
def ends() -> Ends:
    return Ends()


def chunked(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")


def broken_off(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"3\r\nabc\r\n")
    handler.close_connection = True


def until_the_end(handler: Any) -> None:
    handler.protocol_version = "HTTP/1.0"
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"abcdef")
    handler.close_connection = True


@pytest.mark.parametrize("answer", [None, chunked, until_the_end])
@pytest.mark.parametrize("size", [None, 2])
def test_a_body_read_to_its_end_is_complete(ends: Ends, answer: Any, size: int | None) -> None:
    with HttpMember(**({"answer": answer} if answer else {})) as member:
        response = ends.watch(member)
        if size is None:
            response.read()
        else:
            for _ in response.stream(size):
                pass
        assert ends == [True]
        response.close()
    assert ends == [True]


def test_an_answer_without_a_body_is_complete_when_it_is_read(ends: Ends) -> None:
    with HttpMember() as member:
        list(ends.watch(member, "HEAD").stream())
    assert ends == [True]


def test_a_body_closed_early_is_not_complete(ends: Ends) -> None:
    with HttpMember(answer=chunked) as member:
        response = ends.watch(member)
        parts = response.stream(2)
        next(parts)
        assert ends == []
        response.close()
    assert ends == [False]


@pytest.mark.parametrize("answer", [half_an_answer, broken_off])
def test_a_body_that_breaks_off_is_not_complete(ends: Ends, answer: Any) -> None:
    with HttpMember(answer=answer) as member:
        response = ends.watch(member)
        with pytest.raises(ProtocolError):
            list(response.stream(5))
    assert ends == [False]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_response_that_is_dropped_is_not_told_of_by_its_finalizer(ends: Ends) -> None:
    with HttpMember() as member:
        ends.watch(member)
        gc.collect()
    assert ends == []


def test_a_response_of_another_class_counts_as_ended_at_once(ends: Ends) -> None:
    tell_end(object(), ends.append)
    assert ends == [True]
