"""The address under which other machines reach this one, chosen as go-doudou chooses it.

Of the addresses of all interfaces that are up, but for loopback and link-local ones: those of the interface that
carries the default route first, IPv4 before IPv6, the smallest network first. Of these, the first in a private range
(RFC 6890). A machine need not have a default route; where one interface has a public and another a private address,
the private one is taken. A public or a loopback address is never taken without saying so.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import time
from collections.abc import Iterable

import attrs

from .log_limit import RateLimitedLog

__all__ = ["InterfaceAddress", "chosen_address", "interface_addresses", "private_address"]

logger = logging.getLogger(__name__)
limited = RateLimitedLog(logger, time.monotonic)  # the registry and the gossip ask one after the other

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Any address beyond the default route will do, nothing is sent to it: these are set aside for documentation.
_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_SHARED = ipaddress.ip_network("100.64.0.0/10")

_ADVICE = "set GDD_REGISTER_HOST and GDD_MEM_HOST to advertise something else"


@attrs.frozen
class InterfaceAddress:
    """One address of this machine.

    Attributes:
        prefix: how many bits of it name the network.
        default: whether its interface carries the default route.
    """

    address: _Address
    prefix: int
    default: bool = False


def private_address() -> str:
    """Our own address for others. A public one, or loopback where there is nothing else, is taken with a warning."""
    chosen = chosen_address(interface_addresses())
    if chosen is None:
        limited.warning(
            "loopback",
            "no interface of this machine has an address for others: advertising 127.0.0.1, which only local "
            "processes can reach; %s",
            _ADVICE,
        )
        return "127.0.0.1"
    if not _is_private(chosen):
        limited.warning(
            "public", "this machine has no private address: advertising the public address %s; %s", chosen, _ADVICE
        )
    return str(chosen)


def chosen_address(found: Iterable[InterfaceAddress]) -> _Address | None:
    """The one to advertise, a public one only if none is private; None if there is none for others."""
    ordered = sorted(
        (each for each in found if _is_for_others(each.address)),
        key=lambda each: (not _is_private(each.address), not each.default, each.address.version, -each.prefix),
    )
    return ordered[0].address if ordered else None


def interface_addresses() -> list[InterfaceAddress]:
    """The addresses of all interfaces that are up; if the system does not tell, only those that lead somewhere far."""
    from .interfaces import addresses  # only whoever does not say an address needs it

    sources = {address for family, far in _FAR_AWAY if (address := _source_address(family, far)) is not None}
    try:
        found = list(addresses())
    except OSError:
        return [InterfaceAddress(address, address.max_prefixlen, True) for address in sources]
    defaults = {name for name, address, _ in found if address in sources}
    return [InterfaceAddress(address, prefix, name in defaults) for name, address, prefix in found]


def _is_for_others(address: _Address) -> bool:
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def _is_private(address: _Address) -> bool:
    return address.is_private or (address.version == 4 and address in _SHARED)


def _source_address(family: socket.AddressFamily, far: str) -> _Address | None:
    """The address that a datagram to somewhere far would be sent from. The kernel routes it without sending it."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((far, 9))
        return ipaddress.ip_address(probe.getsockname()[0])
    return None
