"""The registries of this process, and what becomes of them when it ends or forks."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from ..drivers.errors import RegistryStateError
from . import sigterm
from .merging.snapshot import Snapshot
from .merging.view import MergedView

if TYPE_CHECKING:
    from .registry import Registry
    from .supervisor import Supervisor

__all__ = ["InheritedView", "inherited_error", "keep_parents_run", "made", "started", "stopped"]

_registries: weakref.WeakSet[Registry] = weakref.WeakSet()
_live: set[Registry] = set()
_parents_runs: list[Supervisor] = []
_worker: int | None = None
"""The process in which the finalizer was registered."""


def made(registry: Registry) -> None:
    """There is this registry, which a fork would copy."""
    _registries.add(registry)


def started(registry: Registry) -> None:
    """It has begun to start, and has to leave when the process ends."""
    _live.add(registry)
    _leave_at_the_end_of_a_worker()


def stopped(registry: Registry) -> None:
    """It has left."""
    _live.discard(registry)


def _leave_at_the_end_of_a_worker() -> None:
    """The processes that multiprocessing forks end without running exit handlers; they run its finalizers."""
    global _worker
    multiprocessing: Any = sys.modules.get("multiprocessing")
    if multiprocessing is None or multiprocessing.parent_process() is None or _worker == os.getpid():
        return
    from multiprocessing.util import Finalize

    _worker = os.getpid()
    Finalize(None, _leave_at_exit, exitpriority=0)


def _leave_at_exit() -> None:
    for registry in tuple(_live):
        registry.stop()


# -- fork --------------------------------------------------------------------------------------------------------------


class InheritedView(MergedView):
    """Raises on every read: stands for the view in a forked child."""

    def snapshot(self, service: str) -> Snapshot:
        raise inherited_error()

    def snapshots(self) -> tuple[Snapshot, ...]:
        raise inherited_error()


def inherited_error() -> RegistryStateError:
    """What every use of a registry in a forked child raises."""
    return RegistryStateError(
        "the registry was started before fork() and its threads stayed in the parent process: "
        "call pydoudou.new_node() in the worker itself, after the fork; for gunicorn add to gunicorn.conf.py, in place "
        "of that call: from pydoudou.contrib.gunicorn import post_worker_init, worker_exit"
    )


def keep_parents_run(run: Supervisor) -> None:
    """In a forked child: finalising the parent's event loop there would take sockets out of the parent's selector."""
    _parents_runs.append(run)


def _after_fork() -> None:
    _live.clear()
    sigterm.forked()
    for registry in tuple(_registries):
        registry.inherit()


atexit.register(_leave_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
