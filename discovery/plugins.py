"""Drivers are found by entry point, and imported only when the mode names them.

Any installed package can add a mode: an entry point in the group ``pydoudou.drivers`` whose name is the mode, in lower
case, and whose value is a `DriverPlugin`. So a user of gossip never pays for the import of a Nacos client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from ..drivers.contract import DriverPlugin
from ..drivers.errors import SettingsError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "Plugin", "known_plugins"]

GROUP = "pydoudou.drivers"


@attrs.frozen
class Plugin:
    """A driver that could be used."""

    mode: str
    entry_point: EntryPoint = attrs.field(repr=False)

    def load(self) -> DriverPlugin:
        """Import it.

        Raises:
            SettingsError: something it imports is not installed; the message says what to install.
        """
        try:
            plugin: DriverPlugin = self.entry_point.load()
        except ImportError as error:
            raise SettingsError(
                f"{self.mode!r} after pip install '{self._requirement()}', for it cannot be imported now ({error})"
            ) from error
        return plugin

    def _requirement(self) -> str:
        """The distribution, with the extra that is named like the mode, if there is one."""
        distribution = self.entry_point.dist
        if distribution is None:
            return self.entry_point.module.partition(".")[0]
        extras = distribution.metadata.get_all("Provides-Extra") or []
        return f"{distribution.name}[{self.mode}]" if self.mode in extras else distribution.name


def known_plugins() -> Mapping[str, Plugin]:
    """Every mode that some installed package offers."""
    from importlib.metadata import entry_points  # a fifth of the time that `import pydoudou` would take

    found = entry_points(group=GROUP)
    return {entry_point.name.lower(): Plugin(entry_point.name.lower(), entry_point) for entry_point in found}
