"""The address under which other machines reach this one.

go-doudou advertises its private address: of the addresses of the interface that carries the default route, the
first in a private range. A kernel that routes tells it without sending anything: a datagram socket that is
"connected" to a far address has the address it would send from.
"""

from __future__ import annotations

import ipaddress
import logging
import socket

__all__ = ["private_address"]

logger = logging.getLogger(__name__)

# Any address beyond the default route will do, nothing is sent to it: these are set aside for documentation.
_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def private_address() -> str:
    """Our own address towards the default route, IPv4 preferred; loopback, with a warning, on a machine without one."""
    found = [address for family, far in _FAR_AWAY if (address := _source_address(family, far)) is not None]
    for address in found:
        if ipaddress.ip_address(address).is_private:
            return address
    if found:
        return found[0]
    logger.warning(
        "this machine has no route to other machines: advertising 127.0.0.1, which only local processes can reach; "
        "set GDD_REGISTER_HOST and GDD_MEM_HOST to advertise something else"
    )
    return "127.0.0.1"


def _source_address(family: socket.AddressFamily, far: str) -> str | None:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far, 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    parsed = ipaddress.ip_address(address)
    return None if parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified else address
