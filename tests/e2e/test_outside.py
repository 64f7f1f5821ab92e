"""Questions from outside of a cluster, to our nodes and to Go's, on real sockets."""

from __future__ import annotations

import base64
import contextlib
import socket
from collections.abc import Iterator

import pytest
from support.go_peer import GoPeer
from support.gossip import gossip_address, gossip_nodes, gossiping
from support.http_members import HttpMember

from pydoudou.drivers.memberlist.outside import Outside, Unanswered, Why
from pydoudou.drivers.memberlist.protocol import Config, Dialect
from pydoudou.drivers.memberlist.protocol.addresses import Address

KEY, OTHER = b"k" * 32, b"o" * 32


def outside(dialect: Dialect = Dialect.DOUDOU, *keys: bytes, within: float = 0.6) -> Outside:
    return Outside(Config("nobody", "127.0.0.1", 0, dialect), keys, within)


def parsed(address: str) -> Address:
    host, _, port = address.rpartition(":")
    return host, int(port)


@contextlib.contextmanager
def python_node(key: bytes = b"") -> Iterator[Address]:
    with gossiping("orders", GDD_MEM_SECRET_KEY=base64.b64encode(key).decode()) as registry:
        yield parsed(gossip_address(registry))
        assert gossip_nodes(registry) == 1, "whoever asks from outside is no member"


@contextlib.contextmanager
def go_node(key: bytes = b"") -> Iterator[Address]:
    with GoPeer("go", *(["-secret-key", f"hex:{key.hex()}"] if key else [])) as peer:
        yield parsed(peer.address)
        assert peer.members() == {"go"}, "whoever asks from outside is no member"


NODES = pytest.mark.parametrize(
    ("node", "dialect"),
    [pytest.param(python_node, Dialect.DOUDOU, id="python"), pytest.param(go_node, Dialect.HASHICORP, id="go")],
)


@NODES
@pytest.mark.parametrize("keys", [(), (KEY,)], ids=["plain", "encrypted"])
def test_a_node_answers_pings_of_any_size_and_pings_back(node, dialect: Dialect, keys: tuple[bytes, ...]) -> None:  # type: ignore[no-untyped-def]
    asking = outside(dialect, *keys, within=5.0)
    with node(*keys) as address:
        assert 0 < asking.ping(address) < 5
        assert 0 < asking.ping(address, size_bytes=1400) < 5
        assert 0 < asking.ping_over_stream(address) < 5
        assert asking.reached_by(address, "127.0.0.1")


@NODES
@pytest.mark.parametrize(
    ("theirs", "ours", "why"),
    [
        pytest.param(KEY, (), Why.SEALED, id="a key that we lack"),
        pytest.param(KEY, (OTHER,), Why.SEALED, id="another key"),
        pytest.param(b"", (KEY,), Why.PLAIN, id="no key"),
    ],
)
def test_a_stream_tells_what_is_wrong_with_the_key(  # type: ignore[no-untyped-def]
    node, dialect: Dialect, theirs: bytes, ours: tuple[bytes, ...], why: Why
) -> None:
    asking = outside(dialect, *ours)
    with node(theirs) as address:
        with pytest.raises(Unanswered) as over_stream:
            asking.ping_over_stream(address)
        with pytest.raises(Unanswered) as silent:
            asking.ping(address)
    assert over_stream.value.why is why
    assert silent.value.why is Why.SILENT


def test_a_node_of_the_other_dialect_answers_and_cannot_ping_back() -> None:
    with python_node() as address:
        assert outside(Dialect.HASHICORP).ping(address)
        assert not outside(Dialect.HASHICORP).reached_by(address, "127.0.0.1")


def test_a_web_server_is_told_from_a_gossip_node() -> None:
    with HttpMember() as server, python_node() as address:
        with pytest.raises(Unanswered):
            outside().ping_over_stream(("127.0.0.1", server.port))
        assert outside(within=5.0).speaks_http(("127.0.0.1", server.port))
        assert not outside().speaks_http(address)


def test_where_nobody_listens_nobody_can_be_reached() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        free = reserved.getsockname()
    for ask in (outside().ping, outside().ping_over_stream):
        with pytest.raises(Unanswered) as unreachable:
            ask(free)
        assert unreachable.value.why in (Why.UNREACHABLE, Why.SILENT)


def test_who_takes_a_connection_and_says_nothing_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(Unanswered) as silent:
        outside().ping_over_stream(listener.getsockname())
    assert silent.value.why is Why.SILENT
