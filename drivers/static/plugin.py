"""The entry point of the mode ``static``: this module is a `DriverPlugin`."""

from .driver import StaticDriver
from .settings import StaticSettings, read_settings

__all__ = ["create", "read_settings"]


def create(settings: StaticSettings) -> StaticDriver:
    """See `DriverPlugin.create`."""
    return StaticDriver(settings)
