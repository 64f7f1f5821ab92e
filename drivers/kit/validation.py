"""The one check of what comes from outside, made where members are made; behind it values are trusted.

A backend, a peer or a file says that somebody offers a service: a name, a host, a port, and more. Anybody may have
written that. `checked_member` makes a `Member` of it or raises `Unusable`, and every driver uses it:

- A *name* (of a service, of a node) is text that can be printed: no control characters, no line ends, nothing that is
  not Unicode. So no name forges a line of a log or writes to a terminal.
- A *host* is an IP address or a DNS name that one could connect to; a *port* is 1 to 65535.
- A *weight* is clamped, so that no arithmetic meets a number nobody expects: 0 to 10,000, a dynamic one 0 to 8.
- *Metadata* is kept item by item; what is unusable is left out, and the member stays.

Pure functions: no log, no clock. What was dropped is counted and said by `Refusals`.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs

from ..members import NO_DATA, Member, MemberState

__all__ = [
    "MAX_DYNAMIC_WEIGHT",
    "MAX_NAME_BYTES",
    "MAX_WEIGHT",
    "Unusable",
    "checked",
    "checked_data",
    "checked_host",
    "checked_member",
    "checked_name",
    "checked_port",
    "checked_process",
    "checked_root_path",
    "checked_scheme",
    "checked_weight",
    "escaped",
    "is_unicode",
    "printable",
]

MAX_NAME_BYTES = 512
"""Of a service's name, as in Nacos; gossip carries no longer ones."""

MAX_NODE_BYTES = 2048
"""Of a backend's own name for a process: Nacos makes it of the address, the cluster, the group and the service."""

MAX_WEIGHT = 10_000
"""The largest weight of a service, which is Nacos's largest."""

MAX_DYNAMIC_WEIGHT = 8
"""The largest weight that a node measures of itself; go-doudou's and ours are 0 to 8."""

_MAX_PATH_BYTES = 1024
_PROCESS = ("goVer", "gddVer", "buildUser", "buildTime")
_MAX_DEPTH = 4
_SHOWN = 80

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}")
_DNS_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
# Whatever ends like a number is an address to every resolver: "2130706433" and "0x7f.1" are 127.0.0.1.
_NUMBER = re.compile(r"(?:.*\.)?(?:0[xX][0-9A-Fa-f]*|[0-9]+)\.?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}")


class Unusable(ValueError):
    """A value from outside that no member can have. The message can be logged as it is.

    Attributes:
        kind: which value: ``service``, ``node``, ``host``, ``port``, ``scheme``, ``root path``, ``weight`` or
            ``metadata``. There are no others.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def _ignored(unusable: Unusable) -> None:
    """What becomes of an item of metadata that was left out, unless the caller wants to know."""


def checked_member(
    service: Any,
    host: Any,
    port: Any,
    *,
    scheme: Any = "http",
    root_path: Any = "",
    weight: Any = 1.0,
    dynamic_weight: bool = False,
    announced_weight: bool = False,
    state: MemberState = MemberState.ALIVE,
    data: Any = NO_DATA,
    node: Any = "",
    registered_at: datetime | None = None,
    process: Mapping[str, str | int] = NO_DATA,
    left_out: Callable[[Unusable], None] = _ignored,
) -> Member:
    """A member made of values that anybody may have written.

    Args:
        weight: clamped, see `checked_weight`; None for one that nobody gave.
        data: unusable items are left out, and `left_out` is told of each.
        process: see `checked_process`.

    Raises:
        Unusable: nobody could call such a member, or its name must not be shown.
    """
    return Member(
        checked_name(service),
        checked_host(host),
        checked_port(port),
        checked_scheme(scheme),
        checked_root_path(root_path),
        checked_weight(weight, dynamic=dynamic_weight),
        state,
        checked_data(data, left_out),
        checked_name(node, kind="node", most=MAX_NODE_BYTES) if node else "",
        (),
        registered_at,
        dynamic_weight,
        announced_weight,
        process,
    )


def checked(member: Member) -> Member:
    """A member that somebody made without checking it; the same one, or with its weight clamped.

    Raises:
        Unusable: nobody could call it, or its name must not be shown.
    """
    checked_name(member.service)
    if member.node:
        checked_name(member.node, kind="node", most=MAX_NODE_BYTES)
    checked_host(member.host)
    checked_port(member.port)
    checked_scheme(member.scheme)
    checked_root_path(member.root_path)
    weight = checked_weight(member.weight, dynamic=member.dynamic_weight)
    return member if weight == member.weight else attrs.evolve(member, weight=weight)


def checked_name(raw: Any, *, kind: str = "service", most: int = MAX_NAME_BYTES) -> str:
    """The name of a service, or of a node with ``kind="node"``: printable text, not empty, no blanks around it.

    Raises:
        Unusable: it is none.
    """
    if not isinstance(raw, str):
        raise Unusable(kind, f"the {kind} name is {printable(raw)}, which is no text")
    if not raw.isprintable() or not raw or raw[0] == " " or raw[-1] == " ":
        raise Unusable(kind, f"the {kind} name {printable(raw)} is empty or has characters that cannot be printed")
    if len(raw) > most or (not raw.isascii() and len(raw.encode()) > most):
        raise Unusable(kind, f"the {kind} name {printable(raw)} is longer than {most} bytes")
    return raw


def checked_host(raw: Any) -> str:
    """An IP address in its usual spelling, IPv6 without brackets, or a DNS name; one that a client can connect to.

    Raises:
        Unusable: it is none.
    """
    if not isinstance(raw, str):
        raise Unusable("host", f"the host is {printable(raw)}, which is no text")
    if _IPV4.fullmatch(raw) and raw != "0.0.0.0" and int(raw.partition(".")[0]) < 224:
        return raw
    if ":" in raw:
        return _ipv6(raw)
    if len(raw) > 253 or not _DNS_NAME.fullmatch(raw) or _NUMBER.fullmatch(raw):
        raise Unusable("host", f"the host {printable(raw)} is no IP address and no DNS name to connect to")
    return raw


def _ipv6(raw: str) -> str:
    try:
        address = ipaddress.IPv6Address(raw[1:-1] if raw[0] == "[" and raw[-1] == "]" else raw)
    except ValueError:
        raise Unusable("host", f"the host {printable(raw)} is no IP address and no DNS name to connect to") from None
    if address.scope_id is not None:
        raise Unusable("host", f"the host {printable(raw)} names a network interface, which is another one elsewhere")
    if address.ipv4_mapped is not None:  # so that two backends mean the same member by the same address
        return checked_host(str(address.ipv4_mapped))
    if address.is_unspecified or address.is_multicast:
        raise Unusable("host", f"nobody can be reached at the host {printable(raw)}")
    return str(address)


def checked_port(raw: Any) -> int:
    """A port from 1 to 65535.

    Raises:
        Unusable: it is none.
    """
    port = int(raw) if isinstance(raw, str) and len(raw) <= 5 and raw.isascii() and raw.isdecimal() else raw
    if type(port) is not int or not 0 < port <= 0xFFFF:
        raise Unusable("port", f"the port is {printable(raw)}, and not a number from 1 to 65535")
    return port


def checked_scheme(raw: Any) -> str:
    """A URL's scheme in lower case, such as ``http``.

    Raises:
        Unusable: it is none.
    """
    if isinstance(raw, str) and _SCHEME.fullmatch(raw.lower()):
        return raw.lower()
    raise Unusable("scheme", f"the scheme {printable(raw)} is none of a URL")


def checked_root_path(raw: Any) -> str:
    """What comes before every path: "", or with one slash in front and none behind. It is quoted where it is used.

    Raises:
        Unusable: no text, or it has characters that cannot be printed.
    """
    if raw == "" or raw is None:
        return ""
    if not isinstance(raw, str) or not raw.isprintable() or len(raw) > _MAX_PATH_BYTES:
        raise Unusable("root path", f"the root path {printable(raw)} is no path of a URL")
    stripped = raw.strip("/ ")
    return f"/{stripped}" if stripped else ""


def checked_weight(raw: Any, *, dynamic: bool = False) -> float:
    """A weight of at least 0 and at most `MAX_WEIGHT`, or `MAX_DYNAMIC_WEIGHT` with `dynamic`; others are clamped.

    None, for one that nobody gave, is 1; what is called "not a number" is 0.

    Raises:
        Unusable: no number at all.
    """
    if raw is None:
        return 1.0
    if isinstance(raw, str):
        try:
            raw = float(raw)
        except ValueError:
            raise Unusable("weight", f"the weight {printable(raw)} is no number") from None
    if not isinstance(raw, (int, float)):
        raise Unusable("weight", f"the weight {printable(raw)} is no number")
    # A whole number may be too large for a float: compared first, converted then.
    return float(max(0, min(raw, MAX_DYNAMIC_WEIGHT if dynamic else MAX_WEIGHT))) if raw == raw else 0.0


def checked_data(raw: Any, left_out: Callable[[Unusable], None] = _ignored) -> Mapping[str, Any]:
    """Metadata as a mapping from text to values that JSON has, and bytes; unusable items are left out.

    Raises:
        Unusable: no mapping at all.
    """
    if not raw:
        return NO_DATA
    if not isinstance(raw, Mapping):
        raise Unusable("metadata", f"the metadata is {printable(raw)}, and not a mapping")
    kept: dict[str, Any] = {}
    for key, value in raw.items():
        if not isinstance(key, str) or not key.isprintable():
            left_out(Unusable("metadata", f"the metadata key {printable(key)} is no printable text"))
        elif not _is_usable(value):
            left_out(Unusable("metadata", f"the metadata value of {key!r} is {printable(value)}, which JSON has not"))
        else:
            kept[key] = value
    return kept


def checked_process(raw: Mapping[str, Any], gossip_port: int = 0) -> Mapping[str, str | int]:
    """What a process says of itself for people to read, under go-doudou's names: text that can be printed, and no more
    than a line of it. `gossip_port` is 0 for a process that does not gossip.
    """
    kept: dict[str, str | int] = {
        name: value
        for name in _PROCESS
        if isinstance(value := raw.get(name), str) and value and len(value) <= _SHOWN and value.isprintable()
    }
    if gossip_port:
        kept["memPort"] = gossip_port
    return kept or NO_DATA


def _is_usable(value: Any, depth: int = _MAX_DEPTH) -> bool:
    if isinstance(value, str):
        return value.isascii() or is_unicode(value)
    if value is None or isinstance(value, (bool, int, bytes)):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if depth == 0:
        return False
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_usable(item, depth - 1) for key, item in value.items())
    return isinstance(value, (list, tuple)) and all(_is_usable(item, depth - 1) for item in value)


def is_unicode(text: str) -> bool:
    """Whether it has a form in UTF-8, which lone surrogates have not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(raw: Any, most: int = _SHOWN) -> str:
    """Anything as a short piece of text in quotation marks that cannot harm a log or a terminal."""
    if isinstance(raw, (str, bytes)):
        shown = ascii(raw[:most]) if isinstance(raw, bytes) or not raw[:most].isprintable() else repr(raw[:most])
        return shown if len(raw) <= most else f"{shown}…"
    if isinstance(raw, (bool, float)) or raw is None:
        return repr(raw)
    if isinstance(raw, int):  # Python refuses to print a very long one
        return str(raw) if -(2**64) <= raw <= 2**64 else "a very large number"
    return f"of the type {type(raw).__name__}"


def escaped(text: str, most: int = 500) -> str:
    """Text of somebody else's, such as an error message, as one piece of a line: what cannot be printed is escaped."""
    short = text if len(text) <= most else f"{text[:most]}…"
    return short if short.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)
