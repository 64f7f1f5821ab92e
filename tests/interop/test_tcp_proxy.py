"""The proxy itself: what each side of a connection notices of what is done to it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator

import pytest
from support.nacos_server import pick_ports
from support.tcp_proxy import Side, TcpProxy
from support.waiting import eventually

NOTHING_COMES = 0.2
"""Seconds without a byte that count as silence: on loopback a byte takes far less than a millisecond."""


class Ends:
    """A server's listening socket behind a proxy, and the connections that were opened through it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(5)
        self._opened = contextlib.ExitStack()
        self._opened.callback(self._listener.close)
        self._port = pick_ports(offsets=(0,))[0]
        self.proxy = self._opened.enter_context(TcpProxy({self._port: self._listener.getsockname()[1]}))

    def dial(self) -> socket.socket:
        """A client's end."""
        client = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        self._opened.callback(client.close)
        return client

    def accept(self) -> socket.socket:
        """The server's end of the connection that was dialled first."""
        server, _ = self._listener.accept()
        server.settimeout(5)
        self._opened.callback(server.close)
        return server

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection, which works."""
        client, server = self.dial(), self.accept()
        assert passes(client, server)
        assert passes(server, client)
        return client, server

    def close(self) -> None:
        self._opened.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with contextlib.closing(Ends()) as made:
        yield made


def passes(source: socket.socket, sink: socket.socket) -> bool:
    source.sendall(b"ping")
    return sink.recv(64) == b"ping"


def hears_nothing(end: socket.socket) -> bool:
    """Whether neither a byte nor an end of the connection arrives."""
    end.settimeout(NOTHING_COMES)
    try:
        end.recv(64)
    except TimeoutError:
        return True
    finally:
        end.settimeout(5)
    return False


def test_bytes_and_the_end_of_a_connection_pass(ends: Ends) -> None:
    client, server = ends.connect()
    client.shutdown(socket.SHUT_WR)
    assert server.recv(64) == b""
    assert passes(server, client)
    server.close()
    assert client.recv(64) == b""
    eventually(lambda: ends.proxy.connections == 0)


def test_more_than_its_buffers_hold_arrives_in_order_after_a_stall(ends: Ends) -> None:
    client, server = ends.connect()
    sent = random.Random(7).randbytes(8 << 20)
    ends.proxy.stall()
    sender = threading.Thread(target=client.sendall, args=(sent,))
    sender.start()
    assert hears_nothing(server)
    assert sender.is_alive()
    ends.proxy.heal()
    with server.makefile("rb") as received:
        assert received.read(len(sent)) == sent
    sender.join()


def test_a_reset_reaches_both_sides_and_new_connections_pass(ends: Ends) -> None:
    client, server = ends.connect()
    ends.proxy.reset()
    for end in (client, server):
        with pytest.raises(ConnectionResetError):
            end.recv(64)
    ends.connect()


def test_new_connections_are_refused_until_it_heals(ends: Ends) -> None:
    client, _ = ends.connect()
    ends.proxy.reset(refuse=True)
    with pytest.raises(ConnectionResetError):
        client.recv(64)
    with pytest.raises(ConnectionRefusedError):
        ends.dial()
    ends.proxy.heal()
    ends.connect()


def test_what_is_stalled_arrives_after_it_heals(ends: Ends) -> None:
    client, server = ends.connect()
    ends.proxy.stall()
    client.sendall(b"late")
    later = ends.dial()
    later.sendall(b"later")
    assert hears_nothing(server)
    ends.proxy.heal()
    assert server.recv(64) == b"late"
    assert ends.accept().recv(64) == b"later"


def test_a_black_hole_swallows_bytes_and_ends_and_leaves_old_connections_lost(ends: Ends) -> None:
    client, server = ends.connect()
    ends.proxy.black_hole()
    client.sendall(b"lost")
    new = ends.dial()
    new.sendall(b"lost")
    assert hears_nothing(server)
    ends.proxy.heal()
    server.sendall(b"lost")
    server.close()
    assert hears_nothing(client)
    assert hears_nothing(new)
    ends.connect()


@pytest.mark.parametrize("side", Side)
def test_one_side_learns_of_the_end_and_the_other_does_not(ends: Ends, side: Side) -> None:
    client, server = ends.connect()
    closed, open_ = (client, server) if side is Side.CLIENT else (server, client)
    ends.proxy.close_side(side)
    assert closed.recv(64) == b""
    open_.sendall(b"lost")
    assert hears_nothing(open_)
    ends.connect()
    open_.close()
    eventually(lambda: ends.proxy.connections == 1)


def test_a_server_that_does_not_listen_resets_the_client() -> None:
    port, target = pick_ports(2, offsets=(0,))
    with TcpProxy({port: target}), pytest.raises(ConnectionResetError):
        # The reset may arrive before `connect` has returned.
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.recv(64)


def test_several_ports_share_one_fate() -> None:
    targets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = pick_ports(2, offsets=(0,))
    with contextlib.ExitStack() as stack:
        for target in targets:
            stack.enter_context(target)
        proxy = TcpProxy({port: target.getsockname()[1] for port, target in zip(ports, targets, strict=True)})
        stack.enter_context(proxy)
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for port in ports]
        eventually(lambda: proxy.connections == 2)
        proxy.reset(refuse=True)
        for client, port in zip(clients, ports, strict=True):
            with pytest.raises(ConnectionResetError):
                client.recv(64)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
