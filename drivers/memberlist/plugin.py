"""The entry point of the mode ``memberlist``: this module is a `ReconfigurablePlugin`, a `ResumablePlugin`, a
`RenamingPlugin`, a `FallbackPlugin` and a `DescribingPlugin`.
"""

import secrets
from collections.abc import Mapping

import attrs

from ..environment import Environment
from .driver import MemberlistDriver
from .protocol.config import NAME_MAX_BYTES
from .settings import DYNAMIC, SECRET_KEY, MemberlistSettings, changed_settings, read_settings
from .variables import DYNAMIC as DOCUMENTED_DYNAMIC
from .variables import VARIABLES

__all__ = ["changed", "create", "documented", "dynamic_variables", "fallbacks", "read_settings", "renamed", "resumed"]

documented = (*VARIABLES, *DOCUMENTED_DYNAMIC)

dynamic_variables = frozenset((*DYNAMIC, SECRET_KEY))
changed = changed_settings


def create(settings: MemberlistSettings) -> MemberlistDriver:
    """See `DriverPlugin.create`."""
    return MemberlistDriver(settings)


def resumed(settings: MemberlistSettings, address: str) -> MemberlistSettings:
    """See `ResumablePlugin.resumed`: the same name at the same port, or others would take it for somebody else who has
    that name.
    """
    port = address.rpartition(":")[2]
    if not port.isdecimal() or not (settings.any_port or settings.port == 0):
        return settings
    return attrs.evolve(settings, port=int(port), any_port=False)


def renamed(settings: MemberlistSettings) -> MemberlistSettings:
    """See `RenamingPlugin.renamed`. A port that was asked for stays: others may have been told to look for us there."""
    own = f"-{secrets.token_hex(2)}"
    name = settings.config.name.encode(errors="surrogateescape")[: NAME_MAX_BYTES - len(own)]
    return attrs.evolve(settings, config=attrs.evolve(settings.config, name=name.decode(errors="ignore") + own))


def fallbacks(environment: Environment) -> Mapping[str, str]:
    """See `FallbackPlugin.fallbacks`. An address that begins with a dot is completed to a name that only gossip
    resolves.
    """
    own = {"GDD_WEIGHT": "GDD_MEM_WEIGHT"}
    if not environment.text("GDD_MEM_HOST").startswith("."):
        own["GDD_REGISTER_HOST"] = "GDD_MEM_HOST"
    return own
