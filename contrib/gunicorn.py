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
from ..drivers.errors import RegistryStateError
from .asgi import closing_connections
from .servers.registered_above import registered_above
from .servers.registrar import shared
from .servers.server import RegisteredServer
from .servers.signals import DrainFirst, TwiceIsOnce

__all__ = ["post_worker_init", "worker_exit"]


@attrs.frozen
class _Worker:
    registry: Registry
    server: RegisteredServer | None


_worker: _Worker | None = None
"""That of this process."""


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook: the worker has forked, patched what it patches, loaded the application and set its signals.

    Raises:
        SettingsError: names every variable that cannot be used.
        RegistryStateError: the master runs a node that registers the service.
        DiscoveryError: as `Registry.start`.
    """
    global _worker
    _refuse_node_of_master()
    # SIGTERM is ours, and has to be answered by more than leaving.
    settings = attrs.evolve(Settings.from_env(), leave_on_sigterm=False)
    if registered_above(settings):
        settings = attrs.evolve(settings, register=False)
        _worker = _Worker(default_registry.new_node(settings=shared(settings)), None)
        return
    registry = default_registry.new_node(settings=shared(settings), announce=False)
    server = RegisteredServer(registry)
    _worker = _Worker(registry, server)
    _drain_first(worker, server)
    server.start()


def _refuse_node_of_master() -> None:
    """It would be registered before any worker answers, and still be while they end."""
    inherited = default_registry.current()
    if inherited is not None and inherited.inherited and inherited.settings.register:
        raise RegistryStateError(
            "pydoudou.new_node() was called in gunicorn's master, before it forked: take the call out of the module of "
            "the application, for the line in gunicorn.conf.py has every worker do what it is for"
        )


def _drain_first(worker: Any, server: RegisteredServer) -> None:
    drains, loop = TwiceIsOnce(server), getattr(worker, "loop", None)
    if loop is not None and hasattr(worker, "handle_exit_signal"):  # the class asgi, whose handlers are asyncio's
        worker.asgi = closing_connections(worker.asgi, server)

        def drain_first() -> None:
            if not drains.drain_soon(lambda: loop.call_soon_threadsafe(worker.handle_exit_signal)):
                worker.handle_exit_signal()

        loop.add_signal_handler(signal.SIGTERM, drain_first)
    else:
        worker.wsgi = _closing_connections(worker.wsgi, server)
        DrainFirst(drains).set()


def _closing_connections(app: Any, server: RegisteredServer) -> Any:
    """`app`, whose answers end their connection while `server` drains. That is for gunicorn to say, not for an
    application. Its setting ``keepalive`` would end those as well whose answer has just promised the contrary.
    """

    def answering(environ: dict[str, Any], start_response: Any) -> Any:
        if server.draining:
            force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
            if force_close is not None:  # not in every class of workers
                force_close()
        return app(environ, start_response)

    return answering


def worker_exit(server: Any, worker: Any) -> None:
    """gunicorn's hook: the worker ends."""
    global _worker
    if _worker is not None:
        _worker.registry.stop()  # first: it ends a drain that still waits
        if _worker.server is not None:
            _worker.server.stop()
        _worker = None
