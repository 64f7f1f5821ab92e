"""The registry facade: settings, the merged view, and the life of the drivers."""

from .default_registry import current, new_node, new_node_async, node, shutdown
from .merging.events import EventKind, MemberEvent
from .merging.snapshot import Snapshot
from .observer import Observer
from .registry import Registry
from .settings import Settings
from .status import BackendStatus, RegistryStatus
from .subscription import Subscription
from .timings import Timings
from .watch import Watch

__all__ = [
    "BackendStatus",
    "EventKind",
    "MemberEvent",
    "Observer",
    "Registry",
    "RegistryStatus",
    "Settings",
    "Snapshot",
    "Subscription",
    "Timings",
    "Watch",
    "current",
    "new_node",
    "new_node_async",
    "node",
    "shutdown",
]
