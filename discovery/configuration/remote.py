"""Configuration that a server keeps: where it is, as the variables say it. What becomes of it is in `followed`."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, cast

import attrs

from ...drivers.contract import ConfigurationPlugin, ConfigurationSource
from ...drivers.environment import Environment
from ...drivers.errors import SettingsError
from ..plugins import find_plugin
from .sources import Source

__all__ = ["Format", "Remote", "read_remote"]

_TYPE, _DATA_IDS = "GDD_CONFIG_REMOTE_TYPE", "GDD_NACOS_CONFIG_DATAID"
_NACOS, _APOLLO = "nacos", "apollo"


class Format(enum.StrEnum):
    """How the texts are written."""

    DOTENV = "dotenv"
    YAML = "yaml"


@attrs.frozen
class Remote:
    """Where configuration is kept.

    Attributes:
        kind: ``nacos``, the mode whose plugin follows it.
        settings: what the plugin has read.
        names: of the texts, the one that counts most first.
        follow: makes what follows it in place of the plugin, where another process asks the server.
    """

    kind: str
    settings: Any = attrs.field(repr=False)
    names: tuple[str, ...]
    group: str
    format: Format
    follow: Callable[[], ConfigurationSource] | None = attrs.field(default=None, eq=False, repr=False)

    def source(self) -> ConfigurationSource:
        """What follows it; not started."""
        if self.follow is not None:
            return self.follow()
        return _plugin(self.kind).configuration(self.settings, self.names, self.group)

    def is_source(self, source: Source) -> bool:
        """Whether this source is one of its texts."""
        return source.name in self.source_names()

    def source_names(self) -> tuple[str, ...]:
        """What the texts are called as sources."""
        return tuple(f"{self.kind} {name}" for name in self.names)


def read_remote(environment: Environment) -> Remote | None:
    """What the variables say; None if nothing is kept elsewhere. What is wrong is recorded on `environment`."""
    kind = environment.text(_TYPE).lower()
    names = environment.items(_DATA_IDS)
    group = environment.text("GDD_NACOS_CONFIG_GROUP", "DEFAULT_GROUP")
    form = environment.choice("GDD_NACOS_CONFIG_FORMAT", Format.DOTENV)
    if not kind:
        return None
    if kind != _NACOS:
        apollo = "; Apollo is not supported" if kind == _APOLLO else ""
        environment.problem(_TYPE, f"{_NACOS}, or nothing{apollo}")
        return None
    if not names:
        environment.problem(_DATA_IDS, f"the data ids of the configuration, because {_TYPE} is {_NACOS}")
    try:
        settings = _plugin(kind).read_settings(environment)
    except SettingsError as error:
        environment.problem(_TYPE, str(error))
        return None
    return Remote(kind, settings, names, group, form)


def _plugin(kind: str) -> ConfigurationPlugin:
    """What follows configuration of this kind. Raises `SettingsError` if it is not installed."""
    found = find_plugin(kind)
    if found is None:
        raise SettingsError(f"no installed package offers {kind!r}")
    return cast(ConfigurationPlugin, found.load())
