"""Celery's workers as clients: tasks call other services, nobody calls a worker. Where the application is made:

::

    from pydoudou.contrib.celery import connect

    app = Celery("tasks", broker=…)
    connect()

Each process that runs tasks has the default registry from its start to its end, in every pool: the children that
prefork makes, which inherit nothing; the worker itself for threads, gevent and solo. It looks, and registers nothing,
and SIGTERM stays Celery's. The processes of a host share one node (`servers.registrar`). With whom it looks are the
variables GDD_*.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

try:
    from celery import signals
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.celery needs celery: pip install 'pydoudou[celery]'") from error

import attrs
from celery.concurrency.prefork import TaskPool as ForkingPool

from ..discovery import default_registry
from ..discovery.registry import Registry
from ..discovery.settings import Settings
from ..drivers.errors import DiscoveryError
from ..drivers.kit.log_fields import fields
from .servers.registrar import shared

__all__ = ["connect"]

logger = logging.getLogger(__name__)

_WAIT_FOR_START = 3.0
"""Seconds. Prefork ends a child that has not started its work within four."""

_settings: Settings | None = None
_registry: Registry | None = None
"""That of this process, once `_start` has made it."""


def connect(settings: Settings | None = None) -> None:
    """Have every process of a worker start and stop the default registry; called again, it only changes the settings.

    A registry that cannot be started is an error in the log: tasks that call nobody still run.

    Args:
        settings: instead of those of the environment; nothing of theirs is registered.
    """
    global _settings
    _settings = settings
    signals.worker_process_init.connect(_start, weak=False, dispatch_uid=__name__)
    signals.worker_process_shutdown.connect(_stop, weak=False, dispatch_uid=__name__)
    # Only forked processes and the pool "solo" tell that they begin, and only forked ones that they end.
    signals.worker_ready.connect(_start_unless_forking, weak=False, dispatch_uid=__name__)
    signals.worker_shutdown.connect(_stop, weak=False, dispatch_uid=__name__)


def _start_unless_forking(sender: Any, **_: Any) -> None:
    if not isinstance(sender.pool, ForkingPool):
        _start()


def _start(**_: Any) -> None:
    running = default_registry.current()
    if running is not None and not running.inherited:
        return
    starting = threading.Thread(target=_new_node, name="pydoudou celery", daemon=True)
    starting.start()
    starting.join(_WAIT_FOR_START)


def _new_node() -> None:
    global _registry
    try:
        settings = _settings or Settings.from_env(register=False)
        _registry = default_registry.new_node(settings=shared(attrs.evolve(settings, register=False)))
    except DiscoveryError as error:
        logger.error("tasks of this process find no services: %s", error, extra=fields(reason=error))


def _stop(**_: Any) -> None:
    global _registry
    if _registry is not None and not _registry.inherited:
        _registry.stop()
    _registry = None
