"""One node for all processes of a host that serve the same port, or call others with the same settings."""

from __future__ import annotations

import logging
import multiprocessing
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from ....discovery.configuration.reading import OF_WEIGHT
from ....discovery.settings import Settings
from ....drivers.environment import Environment
from .timings import Timings

if TYPE_CHECKING:
    from .relay import Relay

__all__ = ["MODE", "SharedSettings", "among_workers", "is_worker", "shared"]

logger = logging.getLogger(__name__)

MODE = "registrar"


@attrs.frozen
class SharedSettings:
    """The settings of the driver of a process that shares a node.

    Attributes:
        node: the settings of the node that is shared.
        changes: what was changed since, by variable.
        timings: how long to wait for the registrar.
    """

    node: Settings
    changes: Mapping[str, str] = attrs.field(default=MappingProxyType({}), hash=False)
    timings: Timings = attrs.field(factory=Timings)


class _Plugin:
    """The `ReconfigurablePlugin` and `DescribingPlugin` of the node's drivers together."""

    def __init__(self, node: Settings) -> None:
        self._plugins: list[Any] = [node.plugins[mode] for mode in node.modes]
        self.documented = tuple(each for plugin in self._plugins for each in getattr(plugin, "documented", ()))
        self.dynamic_variables = frozenset[str]().union(
            *(getattr(plugin, "dynamic_variables", ()) for plugin in self._plugins)
        )

    def read_settings(self, environment: Environment) -> None:
        """See `DriverPlugin.read_settings`: there is no variable for it."""

    def changed(self, settings: SharedSettings, environment: Environment) -> SharedSettings:
        """See `ReconfigurablePlugin.changed`: each driver checks what is its own.

        The registrar is told what the program says in code, and nothing else: what a server says it hears itself, and
        would refuse later, as less than what was said in code.
        """
        for mode, plugin in zip(settings.node.modes, self._plugins, strict=True):
            if hasattr(plugin, "changed"):
                plugin.changed(settings.node.drivers[mode], environment)
        of_the_node = self.dynamic_variables | OF_WEIGHT
        said = (name for name in of_the_node if name in environment and environment.in_code(name))
        changes = {name: environment.text(name) for name in said}
        return attrs.evolve(settings, changes={**settings.changes, **changes}) if changes else settings

    def create(self, settings: SharedSettings) -> Relay:
        """See `DriverPlugin.create`."""
        from .relay import Relay  # as above

        return Relay(settings)


def shared(settings: Settings) -> Settings:
    """Settings of a registry that shares its node with others of this host: of those who serve the same port under the
    same name, or, with ``register=False``, of those who have the same settings.

    ::

        pydoudou.new_node(settings=shared(Settings.from_env()))

    The first one starts the node, a process of its own that ends with the last one. The service registers when one of
    them does, and leaves when all of them drain. Where a system does not tell who is at the other end of a socket
    (Linux does), each process is a node of its own.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        logger.warning(
            "this system does not tell who is at the other end of a socket: each process is a node of its own"
        )
        return settings
    from .handed_on import HandedOn  # only what shares a node needs it

    return attrs.evolve(
        settings,
        remote=None if settings.remote is None else attrs.evolve(settings.remote, follow=HandedOn),
        modes=(MODE,),
        plugins=MappingProxyType({MODE: _Plugin(settings)}),
        drivers=MappingProxyType({MODE: SharedSettings(settings)}),
    )


def is_worker() -> bool:
    """Whether multiprocessing has started this process, as uvicorn starts its workers."""
    return multiprocessing.parent_process() is not None


def among_workers(settings: Settings) -> Settings:
    """As `shared`, for a worker; any other process serves its port alone, and is a node itself."""
    return shared(settings) if is_worker() else settings
