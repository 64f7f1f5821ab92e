"""Service registration and discovery: SWIM gossip, Nacos, or both at once, compatible with go-doudou.

::

    import pydoudou

    registry = pydoudou.new_node()  # settings from GDD_* variables
    orders = pydoudou.RoundRobin("orders")
    print(orders.pick().base_url)
    pydoudou.shutdown()
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .balancers import (
        Balancer,
        HealthPolicy,
        LeastLatency,
        LeastPending,
        RoundRobin,
        SmoothWeighted,
        WeightedRandom,
    )
    from .balancers.calls.breaker import CircuitBreaker
    from .balancers.calls.hedging import Hedging
    from .balancers.calls.override import call_policy
    from .balancers.calls.policy import CallPolicy
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
        new_node_async,
        node,
        shutdown,
    )
    from .drivers.errors import (
        CircuitOpen,
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
    "CallPolicy",
    "CircuitBreaker",
    "CircuitOpen",
    "Compat",
    "DiscoveryError",
    "DriverStatus",
    "EventKind",
    "HealthPolicy",
    "Hedging",
    "JoinError",
    "LeastLatency",
    "LeastPending",
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
    "call_policy",
    "new_node",
    "new_node_async",
    "node",
    "shutdown",
]

# Imported when it is first asked for: who uses a part of this package does not wait for the rest. A test holds this
# table to what stands above.
_PLACES = {
    ".balancers": (
        "Balancer",
        "HealthPolicy",
        "LeastLatency",
        "LeastPending",
        "RoundRobin",
        "SmoothWeighted",
        "WeightedRandom",
    ),
    ".balancers.calls.breaker": ("CircuitBreaker",),
    ".balancers.calls.hedging": ("Hedging",),
    ".balancers.calls.override": ("call_policy",),
    ".balancers.calls.policy": ("CallPolicy",),
    ".discovery": (
        "BackendStatus",
        "EventKind",
        "MemberEvent",
        "Observer",
        "Registry",
        "RegistryStatus",
        "Settings",
        "Snapshot",
        "Subscription",
        "Watch",
        "new_node",
        "new_node_async",
        "node",
        "shutdown",
    ),
    ".drivers.errors": (
        "CircuitOpen",
        "DiscoveryError",
        "JoinError",
        "MetadataTooLarge",
        "NoMemberAvailable",
        "ProtocolError",
        "RegistrationError",
        "RegistryStateError",
        "SettingsError",
    ),
    ".drivers.members": ("Compat", "DriverStatus", "Member", "MemberState"),
}
_ROOMS = ("balancers", "contrib", "discovery", "drivers")


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    for place, names in _PLACES.items():
        if name in names:
            found: object = getattr(import_module(place, __name__), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
