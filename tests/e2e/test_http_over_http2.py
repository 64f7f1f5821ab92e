"""HTTP/2 to the members, by the transport that the caller gives."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from support.http_members import InOrder

from pydoudou import Member
from pydoudou.contrib.httpx import DiscoveryTransport

h2_connection = pytest.importorskip("h2.connection", reason="needs h2: pip install h2")
h2_config = pytest.importorskip("h2.config")
h2_events = pytest.importorskip("h2.events")


def _serve(listener: socket.socket, answers: int, authorities: list[str]) -> None:
    """Answer so many requests with 204 over one connection; then drop it in the middle of the next."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(ConnectionError):
        server = h2_connection.H2Connection(h2_config.H2Configuration(client_side=False, header_encoding="utf-8"))
        server.initiate_connection()
        connection.sendall(server.data_to_send())
        while data := connection.recv(65536):
            for event in server.receive_data(data):
                if isinstance(event, h2_events.RequestReceived):
                    authorities.append(dict(event.headers)[":authority"])
                    if len(authorities) > answers:
                        return
                    server.send_headers(event.stream_id, [(":status", "204")], end_stream=True)
            connection.sendall(server.data_to_send())


@contextlib.contextmanager
def http2_member(answers: int) -> Iterator[tuple[Member, list[str]]]:
    """A member that drops its connection after so many answers, and the authorities it was asked for."""
    authorities: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, answers, authorities), daemon=True)
        thread.start()
        yield Member("orders", "127.0.0.1", listener.getsockname()[1]), authorities
        # A server that nobody called waits for somebody still.
        socket.create_connection(listener.getsockname()).close()
        thread.join(5)


def http2_only() -> httpx.HTTPTransport:
    return httpx.HTTPTransport(http1=False, http2=True)


def test_one_connection_carries_all_requests_for_a_member() -> None:
    with http2_member(answers=3) as (member, authorities):
        with httpx.Client(transport=DiscoveryTransport(http2_only, balancer={"orders": InOrder(member)})) as client:
            versions = [client.get("http://orders/items").http_version for _ in range(3)]
    assert versions == ["HTTP/2"] * 3
    assert authorities == ["orders"] * 3


def test_an_idempotent_request_moves_on_when_its_connection_is_dropped() -> None:
    with http2_member(answers=1) as (first, _), http2_member(answers=1) as (second, _):
        transport = DiscoveryTransport(http2_only, balancer={"orders": InOrder(first, second)})
        with httpx.Client(transport=transport) as client:
            answered = [client.get("http://orders/items").extensions["member"] for _ in range(2)]
    assert answered == [first, second]


def test_a_post_whose_connection_is_dropped_stays_where_it_was_sent() -> None:
    with http2_member(answers=0) as (first, _), http2_member(answers=1) as (second, authorities):
        transport = DiscoveryTransport(http2_only, balancer={"orders": InOrder(first, second)})
        with httpx.Client(transport=transport) as client:
            with pytest.raises((httpx.RemoteProtocolError, httpx.NetworkError)):
                client.post("http://orders/items")
    assert authorities == []
