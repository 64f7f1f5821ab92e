"""Where a node is reached: a host - an IP address, or a DNS name in the dialect doudou - and a port."""

from __future__ import annotations

__all__ = ["Address", "shown"]

Address = tuple[str, int]


def shown(address: Address | str) -> str:
    """An address for people, IPv6 hosts in brackets. What is text already stays as it is."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
