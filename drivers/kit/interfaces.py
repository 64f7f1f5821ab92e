"""The addresses of this machine's network interfaces, by the C library's `getifaddrs` (Linux, macOS and the BSDs).

By hand, because the packages that do it cost a node a tenth of a second to import: psutil by its size, ifaddr because
it starts a compiler to find the C library that is loaded already.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import sys
from collections.abc import Iterator

__all__ = ["addresses"]

_UP = 0x1
# Where the address stands in a `struct sockaddr`, and how long it is.
_PLACES = {int(socket.AF_INET): (4, 4), int(socket.AF_INET6): (8, 16)}
# BSD puts a length in front of the family, and makes both one byte.
_LENGTH_FIRST = sys.platform != "linux"


class _Entry(ctypes.Structure):
    """The beginning of `struct ifaddrs`."""


_Entry._fields_ = [
    ("next", ctypes.POINTER(_Entry)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
    ("netmask", ctypes.c_void_p),
]


def addresses() -> Iterator[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """The name of an interface that is up, one of its addresses, and how many bits of it name the network.

    Raises:
        OSError: this system has no such call, or it fails.
    """
    first = ctypes.POINTER(_Entry)()
    try:
        library = ctypes.CDLL(None, use_errno=True)
        get, free = library.getifaddrs, library.freeifaddrs
    except (AttributeError, TypeError) as error:
        raise OSError(f"no getifaddrs: {error}") from None
    if get(ctypes.byref(first)):
        raise OSError(ctypes.get_errno(), "getifaddrs")
    try:
        entry = first
        while entry:
            here = entry.contents
            address, netmask = _packed(here.address), _packed(here.netmask)
            if here.flags & _UP and address:
                bits = sum(byte.bit_count() for byte in netmask) or 8 * len(address)
                yield here.name.decode(errors="replace"), ipaddress.ip_address(address), bits
            entry = here.next
    finally:
        free(first)


def _packed(pointer: int | None) -> bytes:
    """The address in the `struct sockaddr` there, b"" for one of another family."""
    if not pointer:
        return b""
    head = ctypes.string_at(pointer, 2)
    family = head[1] if _LENGTH_FIRST else int.from_bytes(head, sys.byteorder)
    offset, size = _PLACES.get(family, (0, 0))
    return ctypes.string_at(pointer + offset, size) if size else b""
