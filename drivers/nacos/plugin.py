"""The entry point of the mode ``nacos``: this module is a `DriverPlugin`."""

import importlib.util

from .driver import NacosDriver
from .settings import NacosSettings, read_settings

__all__ = ["create", "read_settings"]

# A mode that cannot run shall fail when the settings are read, with the other bad settings, not when it is started.
# Looking for the SDK does not import it.
if importlib.util.find_spec("v2") is None:
    raise ImportError("No module named 'v2', which is nacos-sdk-python", name="v2")


def create(settings: NacosSettings) -> NacosDriver:
    """See `DriverPlugin.create`."""
    return NacosDriver(settings)
