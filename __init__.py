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
    Registry,
    RegistryStatus,
    Settings,
    Snapshot,
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
    "Watch",
    "WeightedRandom",
    "new_node",
    "shutdown",
]
