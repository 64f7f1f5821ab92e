"""How the registry and its backends are doing, as plain data and as one line for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ..drivers.members import DriverStatus, json_value
from .merging.snapshot import Snapshot

if TYPE_CHECKING:
    from .configuration.followed import RemoteStatus

__all__ = ["BackendStatus", "RegistryStatus", "explanation", "running_status"]

_SHOWN_SERVICES = 5


@attrs.frozen
class BackendStatus:
    """One backend.

    Attributes:
        running: whether the driver serves at present, rather than waiting to be restarted.
        authoritative: whether its view counts at present; if not, what it reported last is kept and marked stale.
        reason: why it does not.
        error: what ended its last run; "" if nothing ever did.
        restarts: how often it was started again.
        driver: what the driver says of itself.
        subscriptions: how many services it was asked to report.
        subscription_errors: how often it failed to take up such a request.
    """

    mode: str
    running: bool
    authoritative: bool
    reason: str
    error: str
    restarts: int
    driver: DriverStatus
    subscriptions: int = 0
    subscription_errors: int = 0

    @property
    def judging(self) -> bool:
        """The name of `authoritative` in version 0.1; the same."""
        return self.authoritative

    @property
    def ready(self) -> bool:
        """Joined or connected, and registered if there is something to register."""
        return self.running and self.driver.ready

    def to_dict(self) -> dict[str, Any]:
        """All fields, `ready`, and the driver's own status, of the types that JSON takes as they are."""
        fields = {
            field: json_value(getattr(self, field)) for field in attrs.fields_dict(BackendStatus) if field != "driver"
        }
        return {**fields, "ready": self.ready, "driver": self.driver.to_dict()}

    def __str__(self) -> str:
        parts = [f"{self.mode}: {'ready' if self.ready else 'not ready'}"]
        if not self.running:
            parts.append(f"stopped by {self.error}" if self.error else "not started yet")
        elif self.driver.message:
            parts.append(self.driver.message)
        if self.running and not self.authoritative:
            parts.append(f"not authoritative at present ({self.reason or 'no reason given'})")
        return ", ".join(parts)


@attrs.frozen
class RegistryStatus:
    """The registry. A stopped one has no backends.

    Attributes:
        running: whether it was started and not stopped since.
        services: how many services have members.
        members: how many members they have.
        stale: the services some of whose members are known only from backends that are not authoritative at present.
        presence: ``running``; ``held back`` before `Registry.announce`, ``draining`` and ``left`` in and after
            `Registry.drain`; ``stopped``.
        doubt: why this process should not judge others at present, see `Registry.doubt`; "" if it may.
        configuration: how the configuration that a server keeps is doing; None if there is none.
        snapshots: what was counted: the members of all services that are known. Not part of the JSON.
    """

    running: bool
    services: int = 0
    members: int = 0
    stale: tuple[str, ...] = ()
    backends: tuple[BackendStatus, ...] = ()
    doubt: str = ""
    presence: str = "stopped"
    snapshots: tuple[Snapshot, ...] = attrs.field(default=(), repr=False)
    configuration: RemoteStatus | None = None

    @property
    def ready(self) -> bool:
        """Whether every backend is ready, and what is to be registered is."""
        return self.running and self.presence == "running" and all(backend.ready for backend in self.backends)

    @property
    def registrar(self) -> int | None:
        """The process that is the node of this one and of other workers of its host; None if this one is one itself."""
        return next((each.driver.registrar for each in self.backends if each.driver.registrar is not None), None)

    @property
    def own_node(self) -> str:
        """Why this process is a node of its own although it was to share one; "" if it shares one, or was not."""
        return next((each.driver.own_node for each in self.backends if each.driver.own_node), "")

    def to_dict(self) -> dict[str, Any]:
        """All fields and `ready`, of the types that JSON takes as they are."""
        return {
            "running": self.running,
            "ready": self.ready,
            "services": self.services,
            "members": self.members,
            "stale": json_value(self.stale),
            "backends": [backend.to_dict() for backend in self.backends],
            "doubt": self.doubt,
            "presence": self.presence,
            "configuration": None if self.configuration is None else self.configuration.to_dict(),
            "registrar": self.registrar,
            "own_node": json_value(self.own_node),
        }


def running_status(
    snapshots: Sequence[Snapshot],
    backends: Iterable[BackendStatus],
    authority: Mapping[str, tuple[bool, str]],
    doubt: str,
    presence: str,
    configuration: RemoteStatus | None,
) -> RegistryStatus:
    """The status of a registry that runs.

    Args:
        authority: whether each backend's view counts, and why not, when the snapshots were what they are; that of
            `backends` may be older.
    """
    backends = tuple(
        attrs.evolve(backend, authoritative=authority[backend.mode][0], reason=authority[backend.mode][1])
        for backend in backends
    )
    members = sum(len(snapshot.members) for snapshot in snapshots)
    stale = tuple(snapshot.service for snapshot in snapshots if snapshot.stale)
    return RegistryStatus(
        True, len(snapshots), members, stale, backends, doubt, presence, tuple(snapshots), configuration
    )


def explanation(
    service: str, backends: Sequence[BackendStatus], reported: Mapping[str, int], services: Sequence[str]
) -> str:
    """Why there may be nobody to pick: what each backend says about `service`, in one line.

    Args:
        reported: by mode, how many members of the service the backend has.
        services: the names of the services that have members.
    """
    said = (f"{backend}, has {_members(reported[backend.mode])} of it" for backend in backends)
    shown = ", ".join(services[:_SHOWN_SERVICES]) or "none"
    more = f" and {len(services) - _SHOWN_SERVICES} more" if len(services) > _SHOWN_SERVICES else ""
    modes = ", ".join(backend.mode for backend in backends)
    return f"service {service!r}, modes {modes}; {'; '.join(said)}; services with members: {shown}{more}"


def _members(count: int) -> str:
    return f"{count or 'no'} member{'' if count == 1 else 's'}"
