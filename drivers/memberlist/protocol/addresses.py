"""Where a node is reached: a host - an IP address, or a DNS name in the dialect doudou - and a port."""

from __future__ import annotations

import functools
import ipaddress

__all__ = ["Address", "IPAddress", "ip_of", "shown"]

Address = tuple[str, int]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@functools.lru_cache(maxsize=4096)
def ip_of(host: str) -> IPAddress | None:
    """The IP address that `host` spells, None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def shown(address: Address | str) -> str:
    """An address for people, IPv6 hosts in brackets. What is text already stays as it is."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
