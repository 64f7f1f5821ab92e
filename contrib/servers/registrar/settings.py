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

__all__ = ["fingerprint", "pack", "unpack"]

_OF_ONE_PROCESS = frozenset({"name", "plugins", "leave_on_sigterm"})
"""A gossip node's own name is drawn at random in every process. Members of a cluster may differ in these."""


def pack(settings: Settings) -> bytes:
    """The settings as bytes.

    Raises:
        ValueError: they cannot be taken to another process.
    """
    for mode in settings.modes:
        found = find_plugin(mode)
        if found is None or found.load() is not settings.plugins[mode]:
            raise ValueError(f"no installed package offers the mode {mode!r}, which was given in code")
    fields = {field.name: getattr(settings, field.name) for field in attrs.fields(Settings) if field.name != "plugins"}
    try:
        return pickle.dumps({**fields, "drivers": dict(settings.drivers)})
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(f"the settings cannot be taken to another process: {error}") from error


def unpack(packed: bytes) -> Settings:
    """The settings that `pack` has made these bytes of; from our own parent process, and from nobody else."""
    fields = pickle.loads(packed)
    plugins = {}
    for mode in fields["modes"]:
        found = find_plugin(mode)
        if found is None:
            raise ValueError(f"no installed package offers the mode {mode!r}")
        plugins[mode] = found.load()
    return Settings(plugins=plugins, **fields)


def fingerprint(settings: Settings) -> str:
    """The same for settings that mean the same cluster and the same registration. Nothing can be read out of it."""
    return hashlib.sha256(repr(_plain(settings)).encode(errors="backslashreplace")).hexdigest()


def _plain(value: Any) -> object:
    if attrs.has(type(value)):
        fields = attrs.fields_dict(type(value))
        return [(name, _plain(getattr(value, name))) for name in fields if name not in _OF_ONE_PROCESS]
    if isinstance(value, Mapping):
        return sorted((str(key), repr(_plain(item))) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return sorted(repr(_plain(item)) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
