"""The process's default registry: what `new_node` starts and balancers use unless they are given another."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import attrs

from ..drivers.errors import RegistryStateError
from .registry import Registry
from .settings import Settings

__all__ = ["current", "new_node", "shutdown"]

_lock = threading.RLock()
_current: Registry | None = None


def new_node(
    data: Mapping[str, Any] | None = None, *, settings: Settings | None = None, register: bool = True
) -> Registry:
    """Start the process's default registry.

    Args:
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment.
        register: False joins to look only, and registers nothing; no service name is needed then.

    Raises:
        SettingsError: names every variable that cannot be used.
        RegistryStateError: one runs already.
        DiscoveryError: as `Registry.start`.
    """
    global _current
    with _lock:
        if _current is not None and _current.running:
            raise RegistryStateError(
                "a node runs already in this process: shutdown() it first, or use Registry(settings) for a second one"
            )
        if settings is None:
            settings = Settings.from_env(register=register)
        elif not register:
            settings = attrs.evolve(settings, register=False)
        registry = Registry(settings)
        registry.start(data)
        _current = registry
        return registry


def shutdown() -> None:
    """Leave, and stop the default registry; does nothing if there is none."""
    global _current
    with _lock:
        registry, _current = _current, None
        if registry is not None:
            registry.stop()


def current() -> Registry | None:
    """The default registry, None unless one runs.

    In a process that was forked from one where it runs it is that one's, whose use tells what to do.
    """
    registry = _current
    return None if registry is None or registry.stopped else registry


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the thread that may have held the other one is not in this process


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
