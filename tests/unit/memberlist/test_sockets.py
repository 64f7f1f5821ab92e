"""Sockets where the system does not give what is asked of it."""

from __future__ import annotations

import socket
from typing import Any, cast

import anyio
import pytest

from pydoudou.drivers.memberlist.sockets import CannotListen, enlarge_receive_buffer, open_sockets


class StingySocket:
    """As on systems that refuse a receive buffer beyond their limit; Linux cuts the wish down instead."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0

    def setsockopt(self, level: int, option: int, value: int) -> None:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_RCVBUF)
        if value > self.most:
            raise OSError("No buffer space available")
        self.size = value


@pytest.mark.parametrize(("most", "size"), [(8 << 20, 2 << 20), (2 << 20, 2 << 20), (300_000, 262_144), (1, 1), (0, 0)])
def test_the_receive_buffer_is_halved_until_the_system_gives_it(most: int, size: int) -> None:
    stingy = StingySocket(most)
    enlarge_receive_buffer(cast(Any, stingy))
    assert stingy.size == size


def test_a_real_socket_gets_a_larger_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        before = datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        enlarge_receive_buffer(datagrams)
        assert datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= before


@pytest.mark.parametrize(
    ("missing", "families"),
    [({"0.0.0.0"}, [socket.AF_INET6]), ({"::"}, [socket.AF_INET]), ({"0.0.0.0", "::"}, [])],
    ids=["IPv6 alone", "IPv4 alone", "neither"],
)
def test_one_family_of_addresses_is_enough(
    monkeypatch: pytest.MonkeyPatch, missing: set[str], families: list[int]
) -> None:
    """glibc says so of a family of which no interface but loopback has an address, as in a cluster with IPv6 alone."""
    listen = anyio.create_tcp_listener

    async def create_tcp_listener(*, local_host: str, **others: Any) -> Any:
        if local_host in missing:
            raise socket.gaierror(-9, "Address family for hostname not supported")
        return await listen(local_host=local_host, **others)

    async def main() -> list[int]:
        sockets = await open_sockets("", 0)
        await sockets.aclose()
        assert len(sockets.tcp) == len(sockets.udp)
        return list(sockets.udp)

    monkeypatch.setattr(anyio, "create_tcp_listener", create_tcp_listener)
    if families:
        assert anyio.run(main) == families
    else:
        with pytest.raises(CannotListen, match="Address family"):
            anyio.run(main)
