"""All drivers of a registry on the event loop: started together, watched one by one, left together."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ..drivers.errors import DiscoveryError
from ..drivers.members import Instance
from .shared_view import SharedView
from .supervised_driver import Backend

__all__ = ["LEAVE_WITHIN", "Supervisor"]

logger = logging.getLogger(__name__)

LEAVE_WITHIN = 10.0
"""Seconds that all drivers together have to leave."""


class Supervisor:
    """Runs the backends. All methods belong to the event loop.

    Args:
        instance: what is registered, None for nothing.
    """

    def __init__(self, backends: Sequence[Backend], view: SharedView, instance: Instance | None) -> None:
        self._backends = backends
        self._view = view
        self._instance = instance
        self._stopping = anyio.Event()

    async def serve(self, *, task_status: TaskStatus[None]) -> None:
        """Start every backend, serve until `stop`, then leave.

        Raises:
            Exception: what the one backend raised that could not start.
            DiscoveryError: several could not start; the message names each.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._view.keep_time)
            failures = await self._each(self._backends, partial(self._start, tasks))
            if not failures:
                task_status.started()
                await self._stopping.wait()
            await self._leave()
            tasks.cancel_scope.cancel()
        if failures:
            raise _one_error("could not start", failures)

    def stop(self) -> None:
        """Have `serve` leave and return."""
        self._stopping.set()

    async def update(self, instance: Instance) -> None:
        """Register changed metadata with every backend, or with none.

        Raises:
            Exception: as in `serve`.
        """
        before, self._instance = self._instance, instance
        failures = await self._each(self._backends, lambda backend: backend.update(instance))
        if not failures:
            return
        self._instance = before
        if before is not None:
            changed = [backend for backend in self._backends if backend.mode not in failures]
            for mode, error in (await self._each(changed, lambda backend: backend.update(before))).items():
                logger.error("%s keeps metadata that another backend refused: %s", mode, error)
        raise _one_error("refused the metadata", failures)

    async def want(self, service: str | None) -> None:
        """Have every backend report this service, None for all of them; returns when each one that can has done so."""
        await self._each(self._backends, lambda backend: backend.want(service))

    async def _start(self, tasks: TaskGroup, backend: Backend) -> None:
        await tasks.start(partial(backend.run, self._view, lambda: self._instance), name=backend.mode)

    async def _leave(self) -> None:
        serving = [backend for backend in self._backends if backend.serving]
        with anyio.move_on_after(LEAVE_WITHIN) as deadline:
            await self._each(serving, lambda backend: backend.leave())
        if deadline.cancelled_caught:
            logger.warning("not everybody could be told within %g s that this process leaves", LEAVE_WITHIN)

    async def _each(
        self, backends: Sequence[Backend], action: Callable[[Backend], Awaitable[None]]
    ) -> dict[str, Exception]:
        """Do `action` for all of them at once; the errors of those that failed, by mode."""
        errors: dict[str, Exception] = {}

        async def attempt(backend: Backend) -> None:
            try:
                await action(backend)
            except Exception as error:
                errors[backend.mode] = error

        async with anyio.create_task_group() as attempts:
            for backend in backends:
                attempts.start_soon(attempt, backend)
        return {backend.mode: errors[backend.mode] for backend in backends if backend.mode in errors}


def _one_error(what: str, failures: dict[str, Exception]) -> Exception:
    """The error itself if it is the only one, so that it can be caught by its type."""
    first = next(iter(failures.values()))
    if len(failures) == 1:
        return first
    listed = "\n".join(f"  - {mode}: {type(error).__name__}: {error}" for mode, error in failures.items())
    combined = DiscoveryError(f"{len(failures)} backends {what}:\n{listed}")
    combined.__cause__ = first
    return combined
