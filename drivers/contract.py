"""What a driver is given and what it promises.

A *driver* finds members: by gossip, from a Nacos server, from fixed addresses. The registry starts every driver
that the mode names, gives each one a `Sink`, and merges what they report into one view. Members travel upwards
only:

    driver --observe()--> Sink (the registry's view) --snapshot--> balancer --pick()--> client

A driver never imports the registry. A third party adds a mode by an entry point in the group ``pydoudou.drivers``
whose value is a `DriverPlugin`.

The errors of the project, all of them:

    DiscoveryError
    ├── SettingsError         bad variables, all of them in one message
    ├── NoMemberAvailable     a balancer found nobody to pick
    ├── JoinError             no seed answered and the settings demand one
    ├── RegistrationError     a backend refused the registration
    ├── MetadataTooLarge      the metadata does not fit into what the protocol carries
    ├── RegistryStateError    the registry is not in a state for this call (started twice, used after a fork, …)
    └── ProtocolError         malformed bytes from the network; never escapes a driver: counted and logged
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from .environment import Environment

__all__ = [
    "Compat",
    "DiscoveryError",
    "Driver",
    "DriverPlugin",
    "DriverStatus",
    "Instance",
    "JoinError",
    "JoinPolicy",
    "Member",
    "MemberState",
    "MetadataTooLarge",
    "NoMemberAvailable",
    "ProtocolError",
    "ReconfigurableDriver",
    "ReconfigurablePlugin",
    "RegistrationError",
    "RegistryStateError",
    "SettingsError",
    "Sink",
    "SubscribingDriver",
    "bracketed",
]


class DiscoveryError(Exception):
    """The root of every error this library raises."""


class SettingsError(DiscoveryError):
    """One or more settings are unusable; the message names each variable, its value and what is accepted."""


class NoMemberAvailable(DiscoveryError):
    """No member of the service can be picked; the message names the service, the modes and what the backends know."""


class JoinError(DiscoveryError):
    """No seed answered, and the settings make that an error."""


class RegistrationError(DiscoveryError):
    """A backend refused to register the service."""


class MetadataTooLarge(DiscoveryError):
    """The encoded metadata exceeds what the protocol carries.

    Attributes:
        size: the encoded size in bytes.
        limit: the largest size allowed, in bytes.
    """

    def __init__(self, message: str, *, size: int, limit: int) -> None:
        super().__init__(message)
        self.size = size
        self.limit = limit


class RegistryStateError(DiscoveryError):
    """The registry is not in a state for this call: started twice, stopped, or inherited through a fork."""


class ProtocolError(DiscoveryError):
    """Bytes from the network that are not what the protocol allows."""


class MemberState(str, enum.Enum):
    """What a driver knows of a member (SWIM's states; a registry without suspicion uses ALIVE, FAILED and LEFT)."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    FAILED = "failed"
    LEFT = "left"

    @property
    def present(self) -> bool:
        """Whether a member in this state still belongs to the view."""
        return self in (MemberState.ALIVE, MemberState.SUSPECT)


class Compat(str, enum.Enum):
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


class JoinPolicy(str, enum.Enum):
    """What a driver does when nobody answers at the start: go on trying in the background, or fail."""

    RETRY = "retry"
    REQUIRED = "required"


def bracketed(host: str) -> str:
    """`host` as it stands in a URL: an IPv6 address in brackets, anything else unchanged."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


_NO_DATA: Mapping[str, Any] = MappingProxyType({})


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
    """

    service: str
    host: str
    port: int
    scheme: str = "http"
    root_path: str = ""
    weight: float = 1.0
    state: MemberState = MemberState.ALIVE
    data: Mapping[str, Any] = attrs.field(default=_NO_DATA, hash=False)
    node: str = ""
    sources: tuple[str, ...] = ()
    registered_at: datetime | None = None
    dynamic_weight: bool = False

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
    def base_url(self) -> str:
        """``scheme://host:port`` and the root path, without a slash at the end."""
        root = self.root_path.strip("/")
        return f"{self.scheme}://{self.address}{'/' + root if root else ''}"


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
    data: Mapping[str, Any] = attrs.field(default=_NO_DATA, hash=False)
    registered_at: datetime | None = None
    compat: Compat = Compat.BOTH


@attrs.frozen
class DriverStatus:
    """How a driver is doing, for `Registry.status()`.

    Attributes:
        mode: the driver's mode.
        ready: joined or connected, and registered if there is something to register.
        message: one line for a person.
        nodes: how many processes (gossip) or instances (Nacos) the driver sees.
        address: ``host:port`` under which other drivers of this kind reach this one; "" if they do not.
        counters: what happened since the start, by name.
    """

    mode: str
    ready: bool
    message: str
    nodes: int = 0
    address: str = ""
    counters: Mapping[str, int] = attrs.field(factory=dict, hash=False)


class Sink(Protocol):
    """Where a driver reports. Both methods are thread-safe, never block and never call back into the driver."""

    def observe(self, members: Iterable[Member]) -> None:
        """Tell what the driver now knows of each of these members; those it does not name are unchanged.

        A member in state FAILED or LEFT is one the driver had and has lost. `sources` is filled in by the sink.
        """

    def judging(self, able: bool, reason: str = "") -> None:
        """Tell whether the driver can judge at present: connected to its server, or in touch with some other node.

        While it cannot, what it reported last is kept and marked stale, and it removes nobody.
        """


class Driver(Protocol):
    """One backend, running as one task on the registry's event loop (asyncio).

    The registry calls ``await task_group.start(driver.run, sink, instance)``. Errors from the network never end `run`.
    """

    mode: str
    detection_bound: float
    """Seconds this driver needs at most to notice by itself that a member is gone (section 5, rule 2 of the design)."""

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """Serve until cancelled. `task_status.started()` is called once the driver serves and has tried to join and to
        register; an exception before that is a failed start (JoinError, RegistrationError, OSError, …).

        `instance` is None for a process that only looks.
        """

    async def update(self, instance: Instance) -> None:
        """Register changed metadata in place of the old."""

    async def leave(self) -> None:
        """Tell the others that this process goes, within a deadline of the driver's own; then `run` is cancelled."""

    def status(self) -> DriverStatus:
        """How the driver is doing; callable from any thread."""


class SubscribingDriver(Driver, Protocol):
    """A driver that reports only the members of services that somebody asked for."""

    async def want(self, service: str | None) -> None:
        """Report the members of this service from now on, None for those of all services.

        Returns once they were reported, or at once if that has to wait until the backend can be reached. It may be
        called again for the same service, and before the backend was ever reached; it raises nothing.
        """


class DriverPlugin(Protocol):
    """What an entry point of the group ``pydoudou.drivers`` names."""

    def read_settings(self, environment: Environment) -> Any:
        """Read the driver's own variables. Bad values are recorded on `environment`, not raised."""

    def create(self, settings: Any) -> Driver:
        """Make a driver from what `read_settings` returned. No I/O yet."""


class ReconfigurablePlugin(DriverPlugin, Protocol):
    """A plugin some of whose variables may change while its driver runs."""

    dynamic_variables: frozenset[str]

    def changed(self, settings: Any, environment: Environment) -> Any:
        """`settings` with the dynamic variables that `environment` holds; an empty one returns to its default.

        Bad values are recorded on `environment`, not raised.
        """


class ReconfigurableDriver(Driver, Protocol):
    """The driver of such a plugin."""

    async def reconfigure(self, settings: Any) -> None:
        """Go on with what `changed` returned. It was checked, so this does not fail."""
