"""The entry point of the mode ``static``: this module is a `DescribingPlugin`."""

from .driver import StaticDriver
from .settings import StaticSettings, read_settings
from .variables import VARIABLES

__all__ = ["create", "documented", "read_settings"]

documented = VARIABLES


def create(settings: StaticSettings) -> StaticDriver:
    """See `DriverPlugin.create`."""
    return StaticDriver(settings)
