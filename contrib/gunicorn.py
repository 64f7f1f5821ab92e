"""gunicorn's workers, which are one member together: in ``gunicorn.conf.py``

::

    from pydoudou.contrib.gunicorn import post_worker_init, worker_exit

Each worker has a registry of its own, its default one, so that it can call others; they share one node, a process that
the first of them starts (`servers.registrar`). The service is registered once it answers, and stays registered when a
worker is replaced. At SIGTERM all of them serve on until everybody has heard that the service goes; then gunicorn's own
handler is called.

What is registered, and with whom, are the variables GDD_*; GDD_PORT is the port that gunicorn binds. It answers
when ``/`` has a status below 500.
"""

from __future__ import annotations

import signal
from typing import Any

import attrs

from ..discovery import default_registry
from ..discovery.registry import Registry
from ..discovery.settings import Settings
from .servers.registrar import shared
from .servers.server import RegisteredServer
from .servers.signals import DrainFirst

__all__ = ["post_worker_init", "worker_exit"]


@attrs.frozen
class _Worker:
    registry: Registry
    server: RegisteredServer


_worker: _Worker | None = None
"""That of this process."""


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook: the worker has forked, patched what it patches, loaded the application and set its signals.

    Raises:
        SettingsError: names every variable that cannot be used.
        DiscoveryError: as `Registry.start`.
    """
    global _worker
    # SIGTERM is ours, and has to be answered by more than leaving.
    settings = shared(attrs.evolve(Settings.from_env(), leave_on_sigterm=False))
    registry = default_registry.new_node(settings=settings, announce=False)
    server = RegisteredServer(registry)
    _worker = _Worker(registry, server)
    loop = getattr(worker, "loop", None)
    if loop is not None and hasattr(worker, "handle_exit_signal"):  # the class asgi, whose handlers are asyncio's

        def drain_first() -> None:
            if not server.drain_soon(lambda: loop.call_soon_threadsafe(worker.handle_exit_signal)):
                worker.handle_exit_signal()

        loop.add_signal_handler(signal.SIGTERM, drain_first)
    else:
        DrainFirst(server).set()
    server.start()


def worker_exit(server: Any, worker: Any) -> None:
    """gunicorn's hook: the worker ends."""
    global _worker
    if _worker is not None:
        _worker.registry.stop()  # first: it ends a drain that still waits
        _worker.server.stop()
        _worker = None
