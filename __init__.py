"""Service registration and discovery: SWIM gossip, Nacos, or both at once, compatible with go-doudou.

::

    import pydoudou

    registry = pydoudou.new_node()  # settings from GDD_* variables
    orders = pydoudou.RoundRobin("orders")
    print(orders.pick().base_url)
    pydoudou.shutdown()
"""

from .balancers import Balancer, RoundRobin, SmoothWeighted, WeightedRandom
from .discovery import (
    BackendStatus,
    EventKind,
    MemberEvent,
    Observer,
    Registry,
    RegistryStatus,
    Settings,
    Snapshot,
    Subscription,
    Watch,
    new_node,
    shutdown,
)
from .drivers.errors import (
    DiscoveryError,
    JoinError,
    MetadataTooLarge,
    NoMemberAvailable,
    ProtocolError,
    RegistrationError,
    RegistryStateError,
    SettingsError,
)
from .drivers.members import Compat, DriverStatus, Member, MemberState

__version__ = "0.1.0"

__all__ = [
    "BackendStatus",
    "Balancer",
    "Compat",
    "DiscoveryError",
    "DriverStatus",
    "EventKind",
    "JoinError",
    "Member",
    "MemberEvent",
    "MemberState",
    "MetadataTooLarge",
    "NoMemberAvailable",
    "Observer",
    "ProtocolError",
    "RegistrationError",
    "Registry",
    "RegistryStateError",
    "RegistryStatus",
    "RoundRobin",
    "Settings",
    "SettingsError",
    "SmoothWeighted",
    "Snapshot",
    "Subscription",
    "Watch",
    "WeightedRandom",
    "__version__",
    "new_node",
    "shutdown",
]
