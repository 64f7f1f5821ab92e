"""The entry point of the mode ``memberlist``: this module is a `ReconfigurablePlugin`."""

from .driver import MemberlistDriver
from .settings import DYNAMIC, SECRET_KEY, MemberlistSettings, changed_settings, read_settings

__all__ = ["changed", "create", "dynamic_variables", "read_settings"]

dynamic_variables = frozenset((*DYNAMIC, SECRET_KEY))
changed = changed_settings


def create(settings: MemberlistSettings) -> MemberlistDriver:
    """See `DriverPlugin.create`."""
    return MemberlistDriver(settings)
