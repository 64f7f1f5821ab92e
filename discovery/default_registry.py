"""The process's default registry: what `new_node` starts and balancers use unless they are given another."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import attrs

from ..drivers.errors import RegistryStateError
from .configuration import changes
from .observer import Observer
from .registry import Registry
from .running_loop import in_event_loop
from .settings import Settings

__all__ = ["current", "new_node", "new_node_async", "node", "observe", "observe_no_more", "shutdown"]

logger = logging.getLogger(__name__)

_NOTICEABLE = 0.25
"""Seconds for which an event loop may stand still without a word."""

_lock = threading.RLock()
_current: Registry | None = None
_observers: tuple[Observer, ...] = ()
_starting = False


def new_node(
    data: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    register: bool = True,
    announce: bool = True,
) -> Registry:
    """Start the process's default registry.

    It waits for the backends, where an event loop runs too: there it is `new_node_async`, or `node`.

    Args:
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment.
        register: False joins to look only, and registers nothing; no service name is needed then.
        announce: False registers when `Registry.announce` is called.

    Raises:
        SettingsError: names every variable that cannot be used.
        RegistryStateError: one runs already.
        DiscoveryError: as `Registry.start`.
    """
    registry = _only_one(_settings(settings, register))
    began = time.monotonic()
    with _becoming_default(registry):
        registry.start(data, announce=announce)
    took = time.monotonic() - began
    if took > _NOTICEABLE and in_event_loop():
        logger.warning(
            "new_node() held up the event loop of its caller for %.1f s: await pydoudou.new_node_async() there", took
        )
    return registry


async def new_node_async(
    data: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    register: bool = True,
    announce: bool = True,
) -> Registry:
    """`new_node` for asynchronous programs, asyncio or trio: the event loop goes on meanwhile.

    A start that is cancelled is undone. `await registry.stop_async()` or `async with` ends what runs.
    """
    from anyio import to_thread

    registry = _only_one(await to_thread.run_sync(_settings, settings, register))
    with _becoming_default(registry):
        await registry.start_async(data, announce=announce)
    return registry


@contextlib.asynccontextmanager
async def node(
    data: Mapping[str, Any] | None = None, *, settings: Settings | None = None, register: bool = True
) -> AsyncIterator[Registry]:
    """The default registry for as long as the block runs; see `new_node_async`.

    ::

        async with pydoudou.node({"zone": "a"}) as registry:
            ...
    """
    registry = await new_node_async(data, settings=settings, register=register)
    try:
        yield registry
    finally:
        await registry.stop_async()
        _give_up(registry)


def _settings(settings: Settings | None, register: bool) -> Settings:
    if settings is None:
        return Settings.from_env(register=register)
    return settings if register else attrs.evolve(settings, register=False)


def _only_one(settings: Settings) -> Registry:
    """The registry that is the default one from now on; it does not run yet."""
    global _current, _starting
    with _lock:
        if _current is not None and (_starting or not (_current.stopped or _current.inherited)):
            raise RegistryStateError(
                "a node runs already in this process: shutdown() it first, or use Registry(settings) for a second one"
            )
        _current, _starting = Registry(settings), True
        changes.changed()
        for observer in _observers:
            _current.add_observer(observer)
        return _current


@contextlib.contextmanager
def _becoming_default(registry: Registry) -> Iterator[None]:
    """While it starts; if it does not, it is not the default one any more."""
    global _starting
    try:
        yield
    except BaseException:
        _give_up(registry)
        raise
    finally:
        _starting = False


def _give_up(registry: Registry) -> None:
    global _current
    with _lock:
        if _current is registry:
            _current = None
            changes.changed()


def shutdown() -> None:
    """Leave, and stop the default registry; does nothing if there is none."""
    registry = _current
    if registry is not None:
        registry.stop()
        _give_up(registry)


def current() -> Registry | None:
    """The default registry, None unless one runs. In a forked child this is the parent's, and using it raises
    `RegistryStateError` with advice.
    """
    registry = _current
    return registry if registry is not None and (registry.running or registry.inherited) else None


def observe(observer: Observer) -> None:
    """Tell `observer` what happens in the default registry: in the one that runs, and in all that come after it."""
    global _observers
    with _lock:
        if observer not in _observers:
            _observers = (*_observers, observer)
        if _current is not None and not _current.inherited:
            _current.add_observer(observer)


def observe_no_more(observer: Observer) -> None:
    """Tell it no more; does nothing if it was not told."""
    global _observers
    with _lock:
        _observers = tuple(each for each in _observers if each is not observer)
        if _current is not None and not _current.inherited:
            _current.remove_observer(observer)


def _after_fork() -> None:
    global _lock, _starting
    _starting = False
    _lock = threading.RLock()  # the thread that may have held the other one is not in this process


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
