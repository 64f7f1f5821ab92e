"""Sockets where the system does not give what is asked of it."""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest

from pydoudou.drivers.memberlist.sockets import enlarge_receive_buffer


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
