"""From the address of a service to the address of a member, and back. Pure functions of URLs.

A caller writes ``http://orders/items``; the member is ``http://10.0.0.7:8080`` with the root path ``/api``. On the way
out the origin is replaced and the root path put in front of the path. On the way back everything that the caller reads
stays in the caller's terms: the URL, the cookies, the Host header that the member saw, and the `Location` of a
redirect, which is translated here so that the next request is balanced again and keeps its credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urljoin, urlsplit

from ...drivers.kit.validation import checked_host, checked_port
from ...drivers.members import Member

__all__ = [
    "LOGICAL_SCHEME",
    "UnusableAddress",
    "is_service_name",
    "logical_location",
    "member_base",
    "member_scheme",
    "without_secrets",
]

LOGICAL_SCHEME = "lb"
"""The scheme of ``lb://service/path``, which is never an address."""

_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_service_name(host: str) -> bool:
    """Whether a lower-case host is a service when nothing else says so: one label, not ``localhost``, not an address.

    A label that is a number is an IPv4 address to every resolver (``http://2130706433/`` is 127.0.0.1).
    """
    return "." not in host and ":" not in host and host not in ("", "localhost") and not _NUMBER.fullmatch(host)


def member_scheme(asked: str, member: Member) -> str:
    """The scheme to use for a URL whose scheme is `asked`: ``https`` is never taken back, else the member decides."""
    return "https" if asked == "https" else member.scheme


class UnusableAddress(ValueError):
    """No request can be sent to such a member: its host, port or root path cannot stand in a URL."""


def member_base(member: Member, scheme: str) -> str:
    """``scheme://host:port`` and the root path as they stand in a URL, without a slash at the end.

    Raises:
        UnusableAddress: the host is neither an IP address nor a name that can be looked up, the port is not from 1 to
            65535 (0 would become the scheme's own), or the root path is not text.
    """
    try:
        checked_host(member.host)
        checked_port(member.port)
        return f"{scheme}://{member.address}{member.quoted_root_path}"
    except ValueError as error:  # a member of a balancer of somebody else's has passed no other check
        raise UnusableAddress(str(error)) from error


def without_secrets(url: str) -> str:
    """`url` as it may stand in a log: without credentials, query and fragment."""
    scheme, colon, rest = url.partition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    return f"{scheme}{colon}{authority.rpartition('@')[2]}{slash}{path}"


def logical_location(
    location: str, *, asked: SplitResult, member: Member, scheme: str, members: Iterable[Member]
) -> str | None:
    """The `Location` that a member answered, in the caller's terms; None when it needs no change.

    Args:
        asked: the URL of the caller's request.
        member: who answered, reached by `scheme`.
        members: the other members of the service, whose addresses a redirect may name as well.
    """
    root = member.quoted_root_path
    authority = asked.netloc.rpartition("@")[2]
    try:
        relative = not urlsplit(location).netloc
        # What the member meant: a relative location is relative to the path that the member saw.
        meant = urlsplit(urljoin(f"{scheme}://{authority}{root}{asked.path or '/'}", location))
        address = (meant.hostname, meant.port or _DEFAULT_PORTS.get(meant.scheme))
    except ValueError:
        return None
    if relative and not root and asked.scheme != LOGICAL_SCHEME:
        return None
    if meant.hostname == asked.hostname:
        by_name = asked.scheme if relative or asked.scheme == LOGICAL_SCHEME else meant.scheme
        return _logical(meant, by_name, authority, root)
    for one in (member, *members):
        if (one.host.lower(), one.port) == address and meant.scheme == member_scheme(asked.scheme, one):
            return _logical(meant, asked.scheme, authority, one.quoted_root_path)
    return None


def _logical(meant: SplitResult, scheme: str, authority: str, root: str) -> str:
    path = meant.path
    # A path outside of the root path has no name on the caller's side: a server that does not know that it is mounted
    # below one answers like this, and means the path below it.
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    return SplitResult(scheme, authority, path or "/", meant.query, meant.fragment).geturl()
