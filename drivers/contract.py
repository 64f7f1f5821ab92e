"""What a driver is given and what it promises.

A *driver* finds members: by gossip, from a Nacos server, from fixed addresses. The registry starts every driver
that the mode names, gives each one a `Sink`, and merges what they report into one view. Members travel upwards
only:

    driver --observe()--> Sink (the registry's view) --snapshot--> balancer --pick()--> client

A driver never imports the registry. A third party adds a mode by an entry point in the group ``pydoudou.drivers``
whose value is a `DriverPlugin`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from .members import DriverStatus, Instance, Member, MemberState

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from .environment import Environment

__all__ = [
    "Driver",
    "DriverPlugin",
    "DriverStatus",
    "Instance",
    "Member",
    "MemberState",
    "ReconfigurableDriver",
    "ReconfigurablePlugin",
    "Sink",
    "SubscribingDriver",
]


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
