"""The values that drivers, the registry, balancers and clients hand to each other."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import attrs

__all__ = [
    "DRAINING",
    "NO_DATA",
    "Compat",
    "DriverStatus",
    "Instance",
    "JoinPolicy",
    "Member",
    "MemberState",
    "Metric",
    "MetricKind",
    "Outcome",
    "Reached",
    "bracketed",
    "json_value",
]


class MemberState(enum.StrEnum):
    """What a driver knows of a member (SWIM's states; a registry without suspicion uses ALIVE, FAILED and LEFT)."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    FAILED = "failed"
    LEFT = "left"

    @property
    def present(self) -> bool:
        """Whether a member in this state still belongs to the view."""
        return self in (MemberState.ALIVE, MemberState.SUSPECT)


class Compat(enum.StrEnum):
    """Which generation of go-doudou finds the service: v1 (plain name), v2 (name with ``_rest``), or both at once."""

    BOTH = "both"
    V1 = "v1"
    V2 = "v2"

    @property
    def writes_v1(self) -> bool:
        return self is not Compat.V2

    @property
    def writes_v2(self) -> bool:
        return self is not Compat.V1


class JoinPolicy(enum.StrEnum):
    """What a driver does when nobody answers at the start: go on trying in the background, or fail."""

    RETRY = "retry"
    REQUIRED = "required"


def bracketed(host: str) -> str:
    """`host` as it stands in a URL: an IPv6 address in brackets, anything else unchanged."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


_MOST_NESTED = 32


def json_value(value: Any, *, _depth: int = 0) -> Any:
    """`value` as the `json` module takes it in strict mode: bytes as text, numbers that are none as None.

    Text that is not Unicode, and bytes that are not UTF-8, have their bad parts escaped. What JSON does not know is
    shown as `repr` shows it. What is nested more deeply than 32 levels is left out: a stranger may have sent it.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, datetime):
        return value.isoformat()
    if _depth < _MOST_NESTED:
        if isinstance(value, Mapping):
            return {
                str(json_value(key, _depth=_MOST_NESTED)): json_value(item, _depth=_depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple, set, frozenset)):
            return [json_value(item, _depth=_depth + 1) for item in value]
    return f"… ({type(value).__name__})" if _depth >= _MOST_NESTED else json_value(repr(value))


NO_DATA: Mapping[str, Any] = MappingProxyType({})
"""The metadata of whoever has none."""

DRAINING = "draining"
"""What the metadata have under ``state`` when a process takes its leave and serves on (`Registry.drain`)."""

# What may stand in a path besides letters and digits (RFC 3986 section 3.3); "%" because a root path may be encoded.
_PATH_SAFE = "/%-._~!$&'()*+,;=:@"
_NEEDS_NO_QUOTES = re.compile(rf"[A-Za-z0-9{re.escape(_PATH_SAFE)}]*")


@attrs.frozen
class Member:
    """One address that offers a service. Its identity is `(service, host, port)`.

    Attributes:
        service: the plain name (``orders``, never ``orders_rest``).
        host: an IP address or a DNS name, IPv6 without brackets.
        weight: the share of traffic relative to the other members, 0 or more; 0 takes none unless all are 0.
        state: ALIVE or SUSPECT in a view; FAILED or LEFT only in a driver's report and in events.
        data: the metadata the service registered.
        node: the backend's own name for the process (gossip node name, Nacos instance id).
        sources: the modes that report the member, in the order of the mode setting.
        dynamic_weight: whether `weight` is a load measurement of the gossip rather than a configured number.
        announced_weight: whether the process itself says its `weight`; else it is an entry in a registry, which
            somebody may have edited.
        process: what it says of the process, for people: ``goVer``, ``gddVer``, ``buildUser`` and ``buildTime`` as
            text, and ``memPort``, the port of its gossip. What it does not say is missing.
    """

    service: str
    host: str
    port: int
    scheme: str = "http"
    root_path: str = ""
    weight: float = 1.0
    state: MemberState = MemberState.ALIVE
    data: Mapping[str, Any] = attrs.field(default=NO_DATA, hash=False)
    node: str = ""
    sources: tuple[str, ...] = ()
    registered_at: datetime | None = None
    dynamic_weight: bool = False
    announced_weight: bool = False
    process: Mapping[str, str | int] = attrs.field(default=NO_DATA, hash=False)

    def __reduce__(self) -> tuple[type[Member], tuple[Any, ...]]:
        # A mapping proxy cannot be pickled; a plain dictionary compares equal to it.
        fields = attrs.astuple(self, recurse=False)
        return (Member, tuple(dict(field) if isinstance(field, MappingProxyType) else field for field in fields))

    @property
    def key(self) -> tuple[str, str, int]:
        """`(service, host, port)`, by which two backends agree that they mean the same member."""
        return (self.service, self.host, self.port)

    @property
    def address(self) -> str:
        """``host:port``, with IPv6 in brackets."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def draining(self) -> bool:
        """Whether it says of itself that it takes its leave: nothing new is to be started on it."""
        return bool(self.data) and self.data.get("state") == DRAINING

    @property
    def quoted_root_path(self) -> str:
        """The root path as it stands in a URL: "", or with a slash in front and none at the end."""
        root = self.root_path.strip("/")
        if not root:
            return ""
        if _NEEDS_NO_QUOTES.fullmatch(root):
            return f"/{root}"
        from urllib.parse import quote  # rarely needed, and `import pydoudou` can do without it

        return "/" + quote(root, safe=_PATH_SAFE)

    @property
    def base_url(self) -> str:
        """``scheme://host:port`` and the root path as they stand in a URL, without a slash at the end."""
        return f"{self.scheme}://{self.address}{self.quoted_root_path}"

    def to_dict(self) -> dict[str, Any]:
        """All fields and `base_url`, as JSON takes them: times in ISO 8601, bytes as text."""
        fields = {name: json_value(getattr(self, name)) for name in _MEMBER_FIELDS}
        return {**fields, "base_url": json_value(self.base_url)}


_MEMBER_FIELDS = tuple(attrs.fields_dict(Member))


@attrs.frozen
class Instance:
    """What this process registers with every backend.

    Attributes:
        service: the plain service name.
        host: the address under which others reach the service.
        weight: go-doudou's static weight; 0 asks for a dynamic weight where the backend has one.
        registered_at: when the process registered, timezone-aware.
        compat: which generations of go-doudou are to find it.
    """

    service: str
    host: str
    port: int
    root_path: str = ""
    weight: int = 1
    data: Mapping[str, Any] = attrs.field(default=NO_DATA, hash=False)
    registered_at: datetime | None = None
    compat: Compat = Compat.BOTH


class MetricKind(enum.StrEnum):
    """How a number behaves: a counter only grows while its driver runs, a gauge goes up and down."""

    COUNTER = "counter"
    GAUGE = "gauge"


@attrs.frozen
class Metric:
    """What a number in a `DriverStatus` means. Names are stable: dashboards are built on them.

    Attributes:
        name: lower case with underscores, such as ``packets_received``; no unit and no kind in it.
        help: one line for a person.
        unit: ``seconds``, ``bytes`` or "" for a plain number.
    """

    name: str
    kind: MetricKind
    help: str
    unit: str = ""


@attrs.frozen
class DriverStatus:
    """How a driver is doing, for `Registry.status()`.

    Attributes:
        mode: the driver's mode.
        ready: joined or connected, and registered if there is something to register.
        message: one line for a person.
        nodes: how many processes (gossip) or instances (Nacos) the driver sees.
        address: ``host:port`` under which other drivers of this kind reach this one; "" if they do not.
        counters: what happened since the start, by the name of a `Metric`.
        gauges: what is so at present, by the name of a `Metric`.
        registrar: the process that is the node of this one and of others of its host; None if none is.
        own_node: why this process is a node of its own although it was to share one; "" if it shares one, or was not.
    """

    mode: str
    ready: bool
    message: str
    nodes: int = 0
    address: str = ""
    counters: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    gauges: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    registrar: int | None = None
    own_node: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        return {name: json_value(getattr(self, name)) for name in attrs.fields_dict(DriverStatus)}


class Reached(enum.StrEnum):
    """How far one attempt at a call got."""

    UNCONNECTED = "unconnected"
    """No connection was made, and no byte of the request left."""
    BROKEN = "broken"
    """The connection broke after the request began to leave and before the answer began."""
    TIMED_OUT = "timed out"
    """Sent, and no head of an answer within the time of the attempt."""
    REFUSED = "refused"
    """The member said that it did not act on the request (HTTP/2 REFUSED_STREAM, say)."""
    ANSWERED = "answered"
    """The head of an answer came, whatever its status."""


@attrs.frozen
class Outcome:
    """What became of one attempt at a member.

    Attributes:
        status: of the answer; None unless `reached` is ANSWERED.
        head_seconds: from the start of the attempt to the head of the answer; None without one.
        seconds: from the start of the attempt to its end, the end of the body if there is one.
        complete: whether the body was read to its end without an error; False without an answer.
        retry_after: seconds that the answer asks to wait (``Retry-After``); None if it does not say.
        callers_time: whether the attempt ended because one call gave it less time than the policy does, which says
            nothing about the member.
        before: seconds that the call had taken when this attempt began: the attempts before it, and waits between them.
            As observers of a call's end are told; 0 elsewhere.
    """

    member: Member
    reached: Reached
    status: int | None = None
    head_seconds: float | None = None
    seconds: float = 0.0
    complete: bool = False
    retry_after: float | None = None
    callers_time: bool = False
    before: float = 0.0

    @property
    def call_seconds(self) -> float:
        """What the whole call took, from the start of its first attempt to the end of this one."""
        return self.before + self.seconds
