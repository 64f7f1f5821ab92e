"""A port on loopback that lets one kind of packet through to a gossip node, or only small ones: a firewall's doing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from .tcp_proxy import TcpProxy

__all__ = ["free_for_both", "port_to"]


@contextlib.contextmanager
def port_to(address: str, *, tcp: bool = True, udp: bool = True, most_bytes: int = 65_536) -> Iterator[str]:
    """``host:port`` that stands for the node at `address`, whose datagrams pass up to a size."""
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as open_now:
        datagrams = open_now.enter_context(free_for_both(host))
        own = datagrams.getsockname()[1]
        if udp:
            ended = threading.Event()
            relaying = threading.Thread(target=_relay, args=(datagrams, (host, int(port)), most_bytes, ended))
            relaying.start()
            open_now.callback(relaying.join)
            open_now.callback(ended.set)
        if tcp:
            open_now.enter_context(TcpProxy({own: int(port)}, host))
        yield f"{host}:{own}"


def free_for_both(host: str) -> socket.socket:
    """A datagram socket on a port that is free for TCP as well."""
    while True:
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind((host, 0))
        with contextlib.suppress(OSError), socket.create_server(datagrams.getsockname()):
            return datagrams
        datagrams.close()


def _relay(ours: socket.socket, node: tuple[str, int], most_bytes: int, ended: threading.Event) -> None:
    client = node
    ours.settimeout(0.05)
    while not ended.is_set():
        with contextlib.suppress(OSError):
            data, source = ours.recvfrom(65_536)
            if source != node:
                client = source
            if len(data) <= most_bytes:
                ours.sendto(data, client if source == node else node)
