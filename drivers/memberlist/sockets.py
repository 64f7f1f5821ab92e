"""The sockets of a gossip node: UDP and TCP on one port, for IPv4 and IPv6."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterator
from typing import cast

import anyio
import attrs
from anyio.abc import SocketAttribute, SocketListener

from ..errors import SettingsError

__all__ = ["CannotListen", "Sockets", "enlarge_receive_buffer", "open_sockets"]

_RECEIVE_BUFFER_BYTES = 2 * 1024 * 1024
_FREE_PORT_TRIES = 10
_BACKLOG = 128


class CannotListen(SettingsError):
    """The address or the port that was asked for cannot be had; `port_taken` tells which."""

    def __init__(self, message: str, *, port_taken: bool = False) -> None:
        super().__init__(message)
        self.port_taken = port_taken


@attrs.frozen(repr=False)
class Sockets:
    """What a node listens on.

    Attributes:
        port: the port of all of them.
        udp: one datagram socket per address family.
        tcp: one listener per address family.
    """

    port: int
    udp: dict[int, socket.socket]
    tcp: list[SocketListener]

    async def aclose(self) -> None:
        """Close them all."""
        for datagrams in self.udp.values():
            datagrams.close()
        for listener in self.tcp:
            await listener.aclose()


async def open_sockets(host: str, port: int, *, or_any: bool = False) -> Sockets:
    """Listen on `host` ("" for every interface, IPv6 included where the machine has it). With port 0, UDP and TCP get
    the same free port, and so they do with `or_any` if `port` is taken.

    Raises:
        CannotListen: the port is taken, or the address is not this machine's; names the port and the protocol.
    """
    if port and or_any:
        try:
            return await _open(host, port)
        except CannotListen as failure:
            if not failure.port_taken:
                raise
        port = 0
    for attempts_left in reversed(range(_FREE_PORT_TRIES if port == 0 else 1)):
        try:
            return await _open(host, port)
        except CannotListen as failure:
            if not failure.port_taken or attempts_left == 0:
                raise
    raise AssertionError("unreachable")


async def _open(host: str, port: int) -> Sockets:
    sockets = Sockets(port, {}, [])
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(sockets.aclose)
        missing: OSError | None = None
        for family, address in _addresses(host):
            try:
                port = await _open_family(sockets, family, address, port)
            except OSError as error:
                if host or (family == socket.AF_INET and not _is_not_there(error)):
                    raise CannotListen(f"cannot listen at {host!r}: {error}") from error
                missing = missing or error
        if missing is not None and not sockets.tcp:
            raise CannotListen(f"cannot listen at {host!r}: {missing}") from missing
        stack.pop_all()
        return attrs.evolve(sockets, port=port)


def _is_not_there(error: OSError) -> bool:
    """Whether this machine does not speak the family at all, as a pod of a cluster with IPv6 alone has no IPv4."""
    return isinstance(error, socket.gaierror) or error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def _addresses(host: str) -> Iterator[tuple[int, str]]:
    if host:
        try:
            family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        except ValueError:
            try:
                found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
            except OSError as error:
                raise CannotListen(f"cannot listen at {host!r}: {error}", port_taken=False) from error
            for found_family, *_, sockaddr in found:
                yield found_family, str(sockaddr[0])
                return
        yield family, host
        return
    yield socket.AF_INET, "0.0.0.0"
    if socket.has_ipv6:
        yield socket.AF_INET6, "::"


async def _open_family(sockets: Sockets, family: int, address: str, port: int) -> int:
    """Bind both protocols of one family, TCP first, as the Go code does; returns the port."""
    with _naming(f"TCP port {port} of {address}"):
        listener = await anyio.create_tcp_listener(local_host=address, local_port=port, backlog=_BACKLOG)
    for each in listener.listeners:
        sockets.tcp.append(cast(SocketListener, each))
    port = int(sockets.tcp[-1].extra(SocketAttribute.local_port))
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    sockets.udp[family] = datagrams
    datagrams.setblocking(False)
    if family == socket.AF_INET6:
        datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    enlarge_receive_buffer(datagrams)
    with _naming(f"UDP port {port} of {address}"):
        datagrams.bind((address, port))
    return port


def enlarge_receive_buffer(datagrams: socket.socket) -> None:
    """As much as the system gives: Linux cuts a wish down silently, others refuse one that is too large."""
    size = _RECEIVE_BUFFER_BYTES
    while size:
        with contextlib.suppress(OSError):
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
            return
        size //= 2


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"{what} is already in use", port_taken=True) from error
        raise
