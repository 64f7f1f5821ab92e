"""The entry point of the mode ``nacos``: this module is a `FallbackPlugin`, a `ConfigurationPlugin` and a
`DescribingPlugin`.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from ..environment import Environment
from .configuration import NacosConfiguration
from .driver import NacosDriver
from .settings import NacosSettings, read_settings
from .variables import VARIABLES

__all__ = ["configuration", "create", "documented", "fallbacks", "read_settings"]

documented = VARIABLES

# A mode that cannot run shall fail when the settings are read, with the other bad settings, not when it is started.
# Asking for the release does not import the SDK; its package is called `v2`, as others may be.
if not version("nacos-sdk-python").startswith("3."):
    raise ImportError(f"nacos-sdk-python {version('nacos-sdk-python')} is installed, and 3.2 or later is needed")


def create(settings: NacosSettings) -> NacosDriver:
    """See `DriverPlugin.create`."""
    return NacosDriver(settings)


def configuration(settings: NacosSettings, names: Sequence[str], group: str) -> NacosConfiguration:
    """See `ConfigurationPlugin.configuration`."""
    return NacosConfiguration(settings, names, group)


def fallbacks(environment: Environment) -> Mapping[str, str]:
    """See `FallbackPlugin.fallbacks`."""
    return {"GDD_REGISTER_HOST": "GDD_NACOS_REGISTER_HOST"}
