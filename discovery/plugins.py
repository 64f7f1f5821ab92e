"""Drivers are found by entry point, and imported only when the mode names them.

Any installed package can add a mode: an entry point in the group ``pydoudou.drivers`` whose name is the mode, in lower
case, and whose value is a `DriverPlugin`. So a user of gossip never pays for the import of a Nacos client. Nor for a
look through all installed packages, which takes as long as a third of the start of a node: the modes that come with
this package are known without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import attrs

from ..drivers.contract import DriverPlugin
from ..drivers.errors import SettingsError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BUILT_IN", "GROUP", "Plugin", "find_plugin", "known_plugins"]

GROUP = "pydoudou.drivers"

BUILT_IN = ("memberlist", "nacos", "static")
"""The modes of this package. Nobody else's entry point takes their names."""


@attrs.frozen
class Plugin:
    """A driver that could be used.

    Attributes:
        entry_point: None for one that comes with this package.
    """

    mode: str
    entry_point: EntryPoint | None = attrs.field(default=None, repr=False)

    def load(self) -> DriverPlugin:
        """Import it.

        Raises:
            SettingsError: something it imports is not installed; the message says what to install.
        """
        try:
            loaded = (
                import_module(f"..drivers.{self.mode}.plugin", __package__)
                if self.entry_point is None
                else (self.entry_point.load())
            )
        except ImportError as error:
            raise SettingsError(
                f"{self.mode!r} after pip install '{self._requirement()}', for it cannot be imported now ({error})"
            ) from error
        plugin: DriverPlugin = loaded
        return plugin

    def _requirement(self) -> str:
        """The distribution, with the extra that is named like the mode, if there is one."""
        entry_point = self.entry_point
        if entry_point is None:
            return f"pydoudou[{self.mode}]"
        distribution = entry_point.dist
        if distribution is None:
            return entry_point.module.partition(".")[0]
        extras = distribution.metadata.get_all("Provides-Extra") or []
        return f"{distribution.name}[{self.mode}]" if self.mode in extras else distribution.name


def find_plugin(mode: str) -> Plugin | None:
    """The plugin of a mode, None if no installed package offers it."""
    return Plugin(mode) if mode in BUILT_IN else known_plugins().get(mode)


def known_plugins() -> Mapping[str, Plugin]:
    """Every mode that some installed package offers."""
    from importlib.metadata import entry_points

    found = {entry_point.name.lower(): entry_point for entry_point in entry_points(group=GROUP)}
    theirs = {mode: Plugin(mode, entry_point) for mode, entry_point in found.items()}
    return theirs | {mode: Plugin(mode) for mode in BUILT_IN}
