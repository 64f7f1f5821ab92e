"""The entry point of the mode ``memberlist``: this module is a `DriverPlugin`."""

from .driver import MemberlistDriver
from .settings import MemberlistSettings, read_settings

__all__ = ["create", "read_settings"]


def create(settings: MemberlistSettings) -> MemberlistDriver:
    """See `DriverPlugin.create`."""
    return MemberlistDriver(settings)
