"""The registry facade: settings, the merged view, and the life of the drivers."""

from .default_registry import current, new_node, shutdown
from .merging.events import EventKind, MemberEvent
from .merging.view import Snapshot
from .registry import Registry
from .settings import Settings
from .status import BackendStatus, RegistryStatus
from .watch import Watch

__all__ = [
    "BackendStatus",
    "EventKind",
    "MemberEvent",
    "Registry",
    "RegistryStatus",
    "Settings",
    "Snapshot",
    "Watch",
    "current",
    "new_node",
    "shutdown",
]
