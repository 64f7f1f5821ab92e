"""A port on loopback that lets one kind of packet through to a gossip node, or only small ones, or only short answers:
a firewall's doing.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

from .tcp_proxy import TcpProxy

__all__ = ["free_for_both", "port_to"]


@contextlib.contextmanager
def port_to(
    address: str, *, tcp: bool = True, udp: bool = True, most_bytes: int = 65_536, most_answer_bytes: int = 0
) -> Iterator[str]:
    """``host:port`` that stands for the node at `address`, whose datagrams pass up to a size, and of whose connections
    those are cut that answer with more than `most_answer_bytes`, unless that is 0.
    """
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
        if tcp and most_answer_bytes:
            open_now.enter_context(_cutting((host, own), (host, int(port)), most_answer_bytes))
        elif tcp:
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


@contextlib.contextmanager
def _cutting(own: tuple[str, int], node: tuple[str, int], most_answer_bytes: int) -> Iterator[None]:
    """Connections to `own` go to `node`, and end where the answer is longer than that."""

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(node) as there, contextlib.suppress(OSError):
                there.settimeout(10)
                there.sendall(self.request.recv(65_536))
                answer = there.recv(65_536)
                if len(answer) <= most_answer_bytes:
                    self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(own, Relay) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield
        finally:
            server.shutdown()
            serving.join()


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
