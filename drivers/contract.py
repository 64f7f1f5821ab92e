"""What a driver is given and what it promises.

A *driver* finds members: by gossip, from a Nacos server, from fixed addresses. The registry starts every driver
that the mode names, gives each one a `Sink`, and merges what they report into one view. Members travel upwards
only:

    driver --observe()--> Sink (the registry's view) --snapshot--> balancer --pick()--> client

A driver never imports the registry. A third party adds a mode by an entry point in the group ``pydoudou.drivers``
whose value is a `DriverPlugin`.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .members import DriverStatus, Instance, Member, MemberState

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from .documented import Documented
    from .environment import Environment

__all__ = [
    "AnnouncingDriver",
    "CheckingDriver",
    "ConfigurationPlugin",
    "ConfigurationSource",
    "DescribingPlugin",
    "Driver",
    "DriverPlugin",
    "DriverStatus",
    "FallbackPlugin",
    "Instance",
    "Member",
    "MemberState",
    "ProbingDriver",
    "ReconfigurableDriver",
    "ReconfigurablePlugin",
    "RenamingPlugin",
    "ResumablePlugin",
    "Sink",
    "SubscribingDriver",
    "TellingDriver",
]


class Sink(Protocol):
    """Where a driver reports. All methods are thread-safe, never block and never call back into the driver."""

    def observe(self, members: Iterable[Member]) -> None:
        """Tell what the driver now knows of each of these members; those it does not name are unchanged.

        A member in state FAILED or LEFT is one the driver had and has lost. `sources` is filled in by the sink.
        """

    def authoritative(self, yes: bool, reason: str = "") -> None:
        """Tell whether the driver's view counts at present: connected to its server, or in touch with some other node.

        While it does not, what it reported last is kept and marked stale, and it removes nobody.
        """

    def changed(self) -> None:
        """Tell that `Driver.status` says something else now; see `TellingDriver`."""

    def judging(self, able: bool, reason: str = "") -> None:
        """The name of `authoritative` in version 0.1; the same."""


@runtime_checkable
class Driver(Protocol):
    """One backend, running as one task on the registry's event loop (asyncio).

    The registry calls ``await task_group.start(driver.run, sink, instance)``. Errors from the network never end `run`.
    All methods are called on that loop.
    """

    detection_bound: float
    """Seconds this driver needs at most to notice by itself that a member is gone. For so long another backend's bad
    news about a member counts more than this one's listing it. Read at the start of every run and after `reconfigure`;
    `math.inf` for a driver that never notices.
    """

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """Serve until cancelled. `task_status.started()` is called once the driver serves and has tried to join and to
        register; an exception before that is a failed start (JoinError, RegistrationError, OSError, …).

        `instance` is None for a process that only looks.
        """

    async def update(self, instance: Instance) -> None:
        """Register changed metadata in place of the old, or for the first time if `run` was given no instance."""

    async def leave(self) -> None:
        """Tell the others that this process goes, within a deadline of the driver's own; then `run` is cancelled."""

    def status(self) -> DriverStatus:
        """How the driver is doing; quick, without waiting, and without raising."""


class CheckingDriver:
    """The promise of a driver that every member it reports was made by `kit.validation.checked_member`, declared by
    inheriting from this class. What other drivers report is checked on the way into the registry's view.
    """


class TellingDriver:
    """The promise of a driver that it calls `Sink.changed` whenever its status becomes ready or ceases to be, declared
    by inheriting from this class. Others are asked every second for as long as somebody observes.
    """


class SubscribingDriver(abc.ABC):
    """The ability of a driver that reports only services somebody asked for. Declared by inheriting from this class, so
    that a method with a wrong name is an error when the driver is made.
    """

    @abc.abstractmethod
    async def subscribe(self, service: str | None) -> None:
        """Report the members of this service from now on, None for those of all services.

        Returns once they were reported, or at once if that has to wait until the backend can be reached. It may be
        called again for the same service, and before the backend was ever reached. What it raises is logged and
        counted; the driver goes on.
        """

    @abc.abstractmethod
    async def unsubscribe(self, service: str | None) -> None:
        """Nobody asks for this service any more: stop reporting it, and report its members as LEFT unless another
        subscription (None, all services) covers them.
        """


class ReconfigurableDriver(abc.ABC):
    """The ability of the driver of a `ReconfigurablePlugin`, declared by inheriting from this class."""

    @abc.abstractmethod
    async def reconfigure(self, settings: Any) -> None:
        """Go on with what the plugin's `changed` returned. It was checked, so this does not fail."""


class AnnouncingDriver(abc.ABC):
    """The ability of a driver that knows how its news spread, declared by inheriting from this class."""

    registers_later = False
    """Set before `run`, which then gets no instance: an `update` will bring one."""

    @abc.abstractmethod
    def propagation_time(self) -> float:
        """Seconds after which everybody has heard that this process left, as it is in most cases. Called on the event
        loop, before `leave`.
        """


class ProbingDriver(abc.ABC):
    """The ability of a driver that looks by itself whether members are there, as gossip does. Declared by inheriting
    from this class.
    """

    @abc.abstractmethod
    def probe(self, member: Member) -> None:
        """Look now whether this member is there, because a call to it has failed; returns at once.

        No more than a question: what the driver reports changes only if its own look fails. It may be asked for the
        same member a thousand times a second, and does nothing if it has just looked, does not know the member, knows
        it to be in trouble already, or doubts itself. Called on the event loop.
        """

    @abc.abstractmethod
    def round_trip(self, member: Member) -> float | None:
        """Seconds that this member takes to answer the driver's own look, smoothed; None if that is not known. Called
        by any thread: no lock, no waiting.
        """

    @abc.abstractmethod
    def doubt(self) -> str:
        """Why what this process finds out about others may be its own fault, as a line of text; "" if nothing speaks
        for it. Called by any thread, and often: no lock, no waiting.
        """


class ConfigurationSource(abc.ABC):
    """Texts that a server keeps, followed for as long as the registry runs. Called on its event loop."""

    @abc.abstractmethod
    async def follow(
        self, told: Callable[[Mapping[str, str | None]], Awaitable[None]], *, task_status: TaskStatus[None]
    ) -> None:
        """Serve until cancelled: tell of all texts by their names, None for one that is not there, and again whenever
        one has changed. `task_status.started()` is called once that was told, or one attempt was made; errors from the
        network never end it later.

        Raises:
            DiscoveryError: before that, where the start is to fail without the server.
        """

    @abc.abstractmethod
    def status(self) -> DriverStatus:
        """How it is doing; quick, without waiting, and without raising."""


class DriverPlugin(Protocol):
    """What an entry point of the group ``pydoudou.drivers`` names."""

    def read_settings(self, environment: Environment) -> Any:
        """Read the driver's own variables. Bad values are recorded on `environment`, not raised."""

    def create(self, settings: Any) -> Driver:
        """Make a driver from what `read_settings` returned. No I/O yet."""


class ConfigurationPlugin(DriverPlugin, Protocol):
    """A plugin whose backend keeps configuration as well."""

    def configuration(self, settings: Any, names: Sequence[str], group: str) -> ConfigurationSource:
        """What follows these texts of a group; `settings` is what `read_settings` returned."""


class DescribingPlugin(DriverPlugin, Protocol):
    """A plugin that says what its variables mean. Without that they are listed by name alone, and their values are not
    shown: they may be secret.
    """

    documented: Sequence[Documented]


class FallbackPlugin(DriverPlugin, Protocol):
    """A plugin whose own variables stand in for some of the registry's when these are not set."""

    def fallbacks(self, environment: Environment) -> Mapping[str, str]:
        """The names of the driver's own variables, by the registry's that they stand in for: ``GDD_REGISTER_HOST`` and
        ``GDD_WEIGHT``. Of several modes the first one's counts, but for a variable that is called alike.
        """


class ResumablePlugin(DriverPlugin, Protocol):
    """A plugin whose driver can take the place of one whose process was killed."""

    def resumed(self, settings: Any, address: str) -> Any:
        """`settings` of a driver that is to others the same as the one that had them, and was reached at `address`
        (`DriverStatus.address`).
        """


class RenamingPlugin(DriverPlugin, Protocol):
    """A plugin whose driver has a name by which others know it, and so cannot run twice with the same settings."""

    def renamed(self, settings: Any) -> Any:
        """`settings` of a driver that can run beside the one that has them, on the same host and for the same service;
        others take it for somebody else.
        """


class ReconfigurablePlugin(DriverPlugin, Protocol):
    """A plugin some of whose variables may change while its driver runs. Its driver is a `ReconfigurableDriver`."""

    dynamic_variables: frozenset[str]

    def changed(self, settings: Any, environment: Environment) -> Any:
        """`settings` with the dynamic variables that `environment` holds; an empty one returns to its default.

        Bad values are recorded on `environment`, not raised.
        """
