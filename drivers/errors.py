"""The errors of the library, all of them.

    DiscoveryError
    ├── SettingsError         bad variables, all of them in one message
    ├── NoMemberAvailable     a balancer found nobody to pick
    ├── CircuitOpen           most calls of the service failed lately, so none is made for a moment
    ├── JoinError             no seed answered and the settings demand one
    ├── RegistrationError     a backend refused the registration
    ├── MetadataTooLarge      the metadata does not fit into what the protocol carries
    ├── RegistryStateError    the registry is not in a state for this call (started twice, used after a fork, …)
    └── ProtocolError         malformed bytes from the network; never escapes a driver: counted and logged

The HTTP integrations raise `NoMemberError`, an error of their own library whose cause is the `NoMemberAvailable`, and
for an open breaker a connection error of their library whose cause is the `CircuitOpen`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .environment import Problem

__all__ = [
    "CircuitOpen",
    "DiscoveryError",
    "JoinError",
    "MetadataTooLarge",
    "NoMemberAvailable",
    "ProtocolError",
    "RegistrationError",
    "RegistryStateError",
    "SettingsError",
]


class DiscoveryError(Exception):
    """The root of every error this library raises."""


class SettingsError(DiscoveryError):
    """One or more settings are unusable; the message names each variable, its value and what is accepted.

    Attributes:
        problems: one for each variable; none where it is a file that cannot be read, or a port that is taken.
    """

    problems: Sequence[Problem] = ()


class NoMemberAvailable(DiscoveryError):
    """No member of the service can be picked; the message names the service, the modes and what the backends know."""


class CircuitOpen(DiscoveryError):
    """The circuit breaker of the service is open: most of the latest calls failed, so none is made for a moment."""


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

    def __reduce__(self) -> tuple[Callable[..., MetadataTooLarge], tuple[object, ...], dict[str, object]]:
        # By its text alone an error with keyword arguments cannot be made again.
        return partial(MetadataTooLarge, size=self.size, limit=self.limit), self.args, self.__dict__


class RegistryStateError(DiscoveryError):
    """The registry is not in a state for this call: started twice, stopped, or inherited through a fork."""


class ProtocolError(DiscoveryError):
    """Bytes from the network that are not what the protocol allows."""
