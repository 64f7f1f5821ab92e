"""The registry facade: settings, the merged view, and the life of the drivers."""

from .default import current, new_node, shutdown
from .events import EventKind, MemberEvent
from .registry import Registry
from .settings import Settings
from .status import BackendStatus, RegistryStatus
from .view import Snapshot
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
