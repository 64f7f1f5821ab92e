"""The connections of every HTTP client to the members: kept, closed, shared by threads, encrypted, never proxied."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
import requests
from support.certificates import self_signed
from support.http_callers import CALLERS, Caller, Httpx2Caller, HttpxCaller, RequestsCaller
from support.http_members import GivenMembers, HttpMember, InOrder, in_two_pieces, redirect
from support.waiting import eventually

from pydoudou import Member, RoundRobin

CallerClass = type[Caller]
every_client = pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)


@contextlib.contextmanager
def several(count: int) -> Iterator[list[HttpMember]]:
    """So many members."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(HttpMember(str(number))) for number in range(count)]


@every_client
def test_a_connection_to_each_of_many_members_is_kept(caller_class: CallerClass) -> None:
    with several(12) as members:
        registry = GivenMembers(*(member.member() for member in members))
        with caller_class(RoundRobin("orders", registry)) as caller:
            for _ in range(36):
                caller.call()
        assert [len(member.connections) for member in members] == [1] * 12


def test_a_session_of_requests_that_was_closed_connects_anew() -> None:
    with several(1) as members:
        registry = GivenMembers(members[0].member())
        with RequestsCaller(RoundRobin("orders", registry)) as caller:
            for _ in range(2):
                caller.call()
            caller.session.close()
            caller.call()
        assert len(members[0].connections) == 2


def test_a_member_that_left_and_came_back_is_connected_to_anew() -> None:
    with several(2) as members:
        registry = GivenMembers(*(member.member() for member in members))
        with RequestsCaller(RoundRobin("orders", registry)) as caller:
            for shown in ([0, 1], [0], [0, 1]):
                registry.change(*(members[place].member() for place in shown))
                for _ in range(4):
                    caller.call()
        assert [len(member.connections) for member in members] == [1, 2]


@every_client
@pytest.mark.parametrize("left", [1, 0])
def test_connections_to_members_that_left_are_closed_by_the_calls_that_follow(
    caller_class: CallerClass, left: int
) -> None:
    with several(4) as members:
        registry = GivenMembers(*(member.member() for member in members))
        with caller_class(RoundRobin("orders", registry)) as caller:
            for _ in range(8):
                caller.call()
            registry.change(*(member.member() for member in members[:left]))
            for _ in range(2):
                with contextlib.nullcontext() if left else pytest.raises(caller.connection_error):
                    caller.call()
            eventually(lambda: sum(member.open_connections() for member in members[left:]) == 0)
            assert sum(member.open_connections() for member in members[:left]) == left


@every_client
def test_idle_connections_to_a_member_that_drains_are_closed_and_nothing_new_is_started_on_it(
    caller_class: CallerClass,
) -> None:
    with several(3) as (drains, *stay):
        registry = GivenMembers(*(member.member() for member in (drains, *stay)))
        with caller_class(RoundRobin("orders", registry)) as caller:
            for _ in range(6):
                caller.call()
            before = len(drains.served)
            registry.change(attrs.evolve(drains.member(), data={"state": "draining"}), *(one.member() for one in stay))
            for _ in range(6):
                caller.call()
            eventually(lambda: drains.open_connections() == 0)
            assert len(drains.served) == before
            assert [one.open_connections() for one in stay] == [1, 1]
            registry.change(attrs.evolve(drains.member(), data={"state": "draining"}))
            caller.call()
            assert len(drains.served) == before + 1


@pytest.mark.parametrize("caller_class", [HttpxCaller, Httpx2Caller], ids=lambda one: one.__doc__)
def test_a_transport_that_all_members_share_stays_open_when_one_leaves(caller_class: Any) -> None:
    picker = InOrder()
    with (
        several(3) as (stays, leaves, comes),
        caller_class(picker, transport=caller_class.library.HTTPTransport()) as caller,
    ):
        for member in (leaves, stays, comes, stays):
            picker.all = (member.member(),)
            caller.call()
        assert len(stays.connections) == 1


@every_client
def test_an_answer_from_a_member_that_left_is_read_to_its_end(caller_class: CallerClass) -> None:
    rest = threading.Event()
    with several(2) as (leaves, comes), caller_class(picker := InOrder(leaves.member())) as caller:
        leaves.answer = in_two_pieces(rest)
        with caller.opened() as answer:
            picker.all = (comes.member(),)
            caller.call()
            caller.call()
            rest.set()
            assert answer.read() == b"0123456789abcdefghij"


@pytest.mark.parametrize("caller_class", [one for one in CALLERS if not one.cancels], ids=lambda one: one.__doc__)
def test_threads_together_give_every_member_its_exact_share(caller_class: CallerClass) -> None:
    with several(4) as members:
        registry = GivenMembers(*(member.member() for member in members))
        with caller_class(RoundRobin("orders", registry)) as caller, ThreadPoolExecutor(8) as threads:
            assert all(threads.map(lambda _: caller.call().status == 200, range(200)))
        assert [len(member.served) for member in members] == [50] * 4


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpMember]:
    """A proxy that the environment names for everything."""
    with HttpMember("proxy") as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://user:secret@127.0.0.1:{server.port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield server


@every_client
def test_a_proxy_of_the_environment_gets_no_balanced_call(caller_class: CallerClass, proxy: HttpMember) -> None:
    with HttpMember() as member, caller_class(InOrder(member.member())) as caller:
        for url in ("http://orders/items", "lb://orders/items")[: 2 if caller_class.knows_lb else 1]:
            assert caller.call(url=url).member == member.member()
    assert proxy.served == []


@every_client
def test_the_password_of_a_proxy_does_not_reach_a_member(caller_class: CallerClass, proxy: HttpMember) -> None:
    with (
        HttpMember(answer=redirect("/after", on="/before")) as member,
        caller_class(InOrder(member.member())) as caller,
    ):
        caller.call(url="http://orders/before", follow=True)
        assert [request.path for request in member.served] == ["/before", "/after"]
        assert all("proxy-authorization" not in request.headers for request in member.served)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the name of the service, and its key, in one file."""
    return self_signed("orders", tmp_path_factory.mktemp("tls") / "orders.pem")


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[HttpMember]:
    """A member that speaks TLS and has the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HttpMember(tls=context) as member:
        yield member


def trusting(caller_class: CallerClass, member: Member, certificate: Path, first: Member | None = None) -> Caller:
    """A client that trusts the certificate; it calls `first` before `member`, if there is one."""
    picker = InOrder(member) if first is None else InOrder(first, member)
    return caller_class.trusting(certificate, picker)


@pytest.mark.ability("tls")
@every_client
def test_a_member_is_known_by_the_name_of_the_service(
    caller_class: CallerClass, encrypted: HttpMember, certificate: Path
) -> None:
    with trusting(caller_class, encrypted.member(scheme="https"), certificate) as caller:
        assert caller.call().status == 200


@every_client
def test_https_is_never_sent_in_the_clear(caller_class: CallerClass, encrypted: HttpMember, certificate: Path) -> None:
    with trusting(caller_class, encrypted.member(scheme="http"), certificate) as caller:
        assert caller.call(url="https://orders/items").status == 200


@every_client
def test_a_certificate_for_another_name_is_refused(caller_class: CallerClass, tmp_path: Path) -> None:
    certificate = self_signed("users", tmp_path / "users.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with (
        HttpMember(tls=context) as member,
        trusting(caller_class, member.member(scheme="https"), certificate) as caller,
        pytest.raises(caller.connection_error, match=r"(?i)certificate|doesn't match"),
    ):
        caller.call("POST")
    assert member.served == []


def test_requests_moves_on_from_a_member_with_a_wrong_certificate(certificate: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed("users", tmp_path / "users.pem"))
    with HttpMember(tls=context) as wrong, HttpMember() as good:
        picker = InOrder(wrong.member(scheme="https"), good.member())
        with RequestsCaller(picker) as caller:
            assert caller.call("POST", verify=str(certificate)).member == good.member()


@contextlib.contextmanager
def silent_listener() -> Iterator[Member]:
    """A member that accepts connections and never says a word, not even in a TLS handshake."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield Member("orders", "127.0.0.1", listener.getsockname()[1], scheme="https")


@every_client
def test_nothing_was_sent_before_the_end_of_a_tls_handshake(
    caller_class: CallerClass, encrypted: HttpMember, certificate: Path
) -> None:
    good = encrypted.member(scheme="https")
    with silent_listener() as silent, HttpMember() as plain:
        for bad in (silent, plain.member(scheme="https")):
            with trusting(caller_class, good, certificate, first=bad) as caller:
                assert caller.call("POST", content=b"body", timeout=1.0).member == good
    assert [request.body for request in encrypted.served] == [b"body", b"body"]


def test_requests_reports_a_broken_tls_handshake_as_its_own_error(certificate: Path) -> None:
    with HttpMember() as plain, RequestsCaller(InOrder(plain.member(scheme="https"))) as caller:
        with pytest.raises(requests.exceptions.SSLError):
            caller.call("POST")


@contextlib.contextmanager
def slow_handshake(certificate: Path, seconds: float) -> Iterator[Member]:
    """A member that takes so long for a TLS handshake, and then never answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            time.sleep(seconds)
            with context.wrap_socket(connection, server_side=True) as encrypted:
                while encrypted.recv(4096):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield Member("orders", "127.0.0.1", listener.getsockname()[1], scheme="https")
        thread.join(5)


@every_client
def test_connecting_and_waiting_together_end_with_the_deadline(caller_class: CallerClass, certificate: Path) -> None:
    with slow_handshake(certificate, 1.3) as member:
        with caller_class.trusting(certificate, InOrder(member), deadline=1.5) as caller:
            begun = time.monotonic()
            with pytest.raises(caller.timed_out):
                caller.call(timeout=None)
            assert 1.4 < time.monotonic() - begun < 1.3 + 1.5 - 0.2  # one after the other they would take 2.8 s
