"""Settings, as they go from a worker to the registrar that it starts, and as they are told apart.

The driver's settings are pickled: what a third party's driver needs is its own matter. The plugins are not, but found
by their mode again.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from typing import Any

import attrs

from ....discovery.plugins import find_plugin
from ....discovery.settings import Settings
from ....discovery.status import RegistryStatus

__all__ = ["Start", "fingerprint", "pack", "renamed", "resumed", "unpack"]

_OF_ONE_PROCESS = frozenset({"name", "plugins", "leave_on_sigterm", "manage_user", "manage_pass"})
"""A gossip node's own name is drawn at random in every process. Those that share a node may differ in these."""


@attrs.frozen
class Start:
    """What a registrar begins with.

    Attributes:
        fingerprint: of the settings of its workers.
        registered: the metadata with which the service is registered, if it takes the place of one that was killed.
    """

    settings: Settings
    fingerprint: str
    registered: Mapping[str, Any] | None = None


def pack(start: Start) -> bytes:
    """It as bytes.

    Raises:
        ValueError: the settings cannot be taken to another process.
    """
    settings = start.settings
    for mode in settings.modes:
        found = find_plugin(mode)
        if found is None or found.load() is not settings.plugins[mode]:
            raise ValueError(f"no installed package offers the mode {mode!r}, which was given in code")
    fields = {field.name: getattr(settings, field.name) for field in attrs.fields(Settings) if field.name != "plugins"}
    registered = None if start.registered is None else dict(start.registered)
    try:
        return pickle.dumps(({**fields, "drivers": dict(settings.drivers)}, start.fingerprint, registered))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(f"the settings cannot be taken to another process: {error}") from error


def unpack(packed: bytes) -> Start:
    """What `pack` has made these bytes of; from our own parent process, and from nobody else."""
    fields, fingerprint, registered = pickle.loads(packed)
    plugins = {}
    for mode in fields["modes"]:
        found = find_plugin(mode)
        if found is None:
            raise ValueError(f"no installed package offers the mode {mode!r}")
        plugins[mode] = found.load()
    return Start(Settings(plugins=plugins, **fields), fingerprint, registered)


def resumed(settings: Settings, status: RegistryStatus) -> Settings:
    """The settings of a registrar that takes the place of this one, so that others take it for the same."""
    drivers = dict(settings.drivers)
    for backend in status.backends:
        plugin: Any = settings.plugins[backend.mode]
        if hasattr(plugin, "resumed"):
            drivers[backend.mode] = plugin.resumed(drivers[backend.mode], backend.driver.address)
    return attrs.evolve(settings, drivers=drivers)


def renamed(settings: Settings) -> Settings:
    """The settings of a node that runs beside others with the same settings, for others to tell it from them."""
    drivers = dict(settings.drivers)
    for mode in settings.modes:
        plugin: Any = settings.plugins[mode]
        if hasattr(plugin, "renamed"):
            drivers[mode] = plugin.renamed(drivers[mode])
    return attrs.evolve(settings, drivers=drivers)


def fingerprint(settings: Settings) -> str:
    """The same for settings that mean the same cluster and the same registration. Nothing can be read out of it."""
    return hashlib.sha256(repr(_plain(settings)).encode(errors="backslashreplace")).hexdigest()


def _plain(value: Any) -> object:
    if attrs.has(type(value)):
        fields = [field.name for field in attrs.fields(type(value)) if field.eq]
        return [(name, _plain(getattr(value, name))) for name in fields if name not in _OF_ONE_PROCESS]
    if isinstance(value, Mapping):
        return sorted((str(key), repr(_plain(item))) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return sorted(repr(_plain(item)) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
