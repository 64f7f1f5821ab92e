"""The two dialects of one protocol: how a node's address is written, and which extras exist.

`hashicorp` sends an IP as its 4 or 16 raw bytes. `doudou` (go-doudou's fork) sends text: an IP literal or a DNS
name; it adds the weight message and has no cluster label. The two cannot be told apart on the wire (a name of four
letters looks like an IPv4 address), so a cluster's dialect is a setting.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import ipaddress

from .addresses import IPAddress
from .errors import ProtocolError

__all__ = ["Dialect"]

_LONGEST_HOST = 255
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


class Dialect(enum.StrEnum):
    """Whose spelling of addresses a cluster speaks."""

    DOUDOU = "doudou"
    HASHICORP = "hashicorp"

    @property
    def has_weight(self) -> bool:
        """Whether the weight message (type 14) exists."""
        return self is Dialect.DOUDOU

    @property
    def has_label(self) -> bool:
        """Whether packets and streams may carry a cluster label."""
        return self is Dialect.HASHICORP

    def encode_host(self, host: str) -> bytes:
        """`host` as an address field.

        Raises:
            ValueError: the dialect writes IP addresses only, and `host` is none.
        """
        return host.encode() if self is Dialect.DOUDOU else _packed(host)

    def decode_host(self, addr: bytes) -> str:
        """The host that an address field names, fit for a socket or a resolver.

        An IPv4 address in its 16-byte spelling (a Go node bound to all interfaces sends that) is the same host.

        Raises:
            ProtocolError: this is no address of one node. Go keeps such a member for ever, because its probes fail
                before they are sent; we refuse it.
        """
        return _host_in_text(addr) if self is Dialect.DOUDOU else _host_in_bytes(addr)


@functools.lru_cache(maxsize=64)
def _packed(host: str) -> bytes:
    """Our own address is written into every ping."""
    return ipaddress.ip_address(host).packed


@functools.lru_cache(maxsize=4096)
def _host_in_text(addr: bytes) -> str:
    if not 0 < len(addr) <= _LONGEST_HOST:
        raise ProtocolError(f"address of {len(addr)} bytes")
    try:
        host = addr.decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolError(f"address is not text: {addr[:40]!r}") from None
    if not host.isprintable() or " " in host or "/" in host:
        raise ProtocolError(f"address is not a host name: {host[:40]!r}")
    # Most addresses are seen at a glance to be of one node; parsing them all would slow down large merges.
    if ":" in host or host[0] in "02":
        with contextlib.suppress(ValueError):
            _check_one_node(ipaddress.ip_address(host))
    return host


@functools.lru_cache(maxsize=4096)
def _host_in_bytes(addr: bytes) -> str:
    if len(addr) == 4 and 0 < addr[0] < 224:
        return "{}.{}.{}.{}".format(*addr)  # what `ipaddress` says of an ordinary address, in a tenth of the time
    if len(addr) not in (4, 16):
        raise ProtocolError(f"address of {len(addr)} bytes, expected 4 or 16")
    return str(_check_one_node(ipaddress.ip_address(addr)))


def _check_one_node(address: IPAddress) -> IPAddress:
    """`address`, an IPv4 one in its IPv6 spelling as the former.

    Raises:
        ProtocolError: nobody's, or a group's.
    """
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    plain = mapped or address
    if plain.is_unspecified or plain.is_multicast or plain == _BROADCAST:
        raise ProtocolError(f"{plain} is not the address of one node")
    return plain
