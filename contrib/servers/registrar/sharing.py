"""One node for all processes of a host that serve the same port, or call others with the same settings."""

from __future__ import annotations

import logging
import multiprocessing
import socket
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from ....discovery.settings import Settings
from ....drivers.environment import Environment

if TYPE_CHECKING:
    from .relay import Relay

__all__ = ["MODE", "among_workers", "shared"]

logger = logging.getLogger(__name__)

MODE = "registrar"


class _Plugin:
    """The `DriverPlugin` of settings that are there already."""

    def read_settings(self, environment: Environment) -> None:
        """See `DriverPlugin.read_settings`: there is no variable for it."""

    def create(self, settings: Settings) -> Relay:
        """See `DriverPlugin.create`."""
        from .relay import Relay  # only what shares a node needs it

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
    return attrs.evolve(
        settings,
        modes=(MODE,),
        plugins=MappingProxyType({MODE: _Plugin()}),
        drivers=MappingProxyType({MODE: settings}),
    )


def among_workers(settings: Settings) -> Settings:
    """The same for a process that multiprocessing has started, as uvicorn starts its workers; any other one serves its
    port alone, and is a node itself.
    """
    return settings if multiprocessing.parent_process() is None else shared(settings)
