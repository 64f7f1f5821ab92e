"""The registry: what an application starts, asks and stops.

Reading is free of locks and of waiting (`snapshot`, `members`), so that a balancer may pick from any thread and within
any event loop. Starting, stopping and updating wait for the drivers; `async with` does so without blocking the caller's
event loop, be it asyncio or trio.

A registry that still runs when the interpreter exits leaves then. A process that was forked has none of its parent's
threads: its copy of the registry is dead, and every use of it says so.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from ..drivers.errors import RegistryStateError
from ..drivers.members import Member
from .merging.view import MergedView, Snapshot
from .settings import Settings
from .status import RegistryStatus, explanation

if TYPE_CHECKING:
    from .running import Run
    from .watch import Watch

__all__ = ["Registry"]


class Registry:
    """Registers this process, and knows the members of all services.

    ::

        with Registry(Settings.from_env()) as registry:
            for member in registry.members("orders"):
                print(member.base_url, member.sources)

    `with` and `async with` start it unless it runs already, and stop it at the end. A stopped registry can be started
    again.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Reentrant, because a signal handler that stops the registry may interrupt a call of the same thread.
        self._lock = threading.RLock()
        self._run: Run | None = None
        self._view = _NOBODY
        self._wanted: set[str | None] = set()
        self._inherited = False
        _registries.add(self)

    # -- life ----------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._run is not None

    @property
    def stopped(self) -> bool:
        """Whether it can be started. A copy that a fork left in the child neither runs nor can be started."""
        return self._run is None and not self._inherited

    def start(self, data: Mapping[str, Any] | None = None) -> None:
        """Start all drivers; returns when they have joined and registered, or keep trying to.

        Args:
            data: the metadata to register; flat, with text for keys.

        Raises:
            RegistryStateError: it runs already, or was inherited through a fork.
            MetadataTooLarge: the metadata does not fit.
            JoinError: no seed answered, and the settings demand one.
            RegistrationError: a backend refused.
            SettingsError: a port is taken.
            DiscoveryError: several backends could not start; the message names each.
        """
        from .running import Run

        with self._lock:
            self._refuse_inherited()
            if self._run is not None:
                raise RegistryStateError("the registry runs already: stop() it first, or make another one")
            run = Run(self.settings, self.settings.instance(_frozen(data), datetime.now(UTC)))
            self._wanted = set()
            self._run, self._view = run, run.view.merged
            _live.add(self)

    def stop(self) -> None:
        """Tell the others that this process goes, and end everything; does nothing when stopped already."""
        with self._lock:
            run, self._run = self._run, None
            if run is not None:
                _live.discard(self)
                self._view = _NOBODY
                run.stop()

    def __enter__(self) -> Registry:
        if not self.running:
            self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Registry:
        from anyio import to_thread

        if not self.running:
            try:
                await to_thread.run_sync(self.start)
            except BaseException:  # cancelled: asyncio does not wait for the thread, `stop` does
                await self._stop_in_thread()
                raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop_in_thread()

    async def _stop_in_thread(self) -> None:
        from anyio import CancelScope, to_thread

        with CancelScope(shield=True):
            await to_thread.run_sync(self.stop)

    # -- members -------------------------------------------------------------------------------------------------------

    def snapshot(self, service: str) -> Snapshot:
        """The members of `service` now: no lock, no waiting, and the same object until they change.

        Except for the first time that a service is asked for: some backends report only services that somebody wants,
        and they get half a second for their first answer if nobody else knows a member.

        ``orders_rest`` means ``orders`` if there is no such service. A stopped registry knows nobody.
        """
        found = self._view.snapshot(service)
        if service not in self._wanted and self._want(service, 0.0 if found.members else _FIRST_ANSWER_WITHIN):
            return self._view.snapshot(service)
        return found

    def members(self, service: str | None = None) -> tuple[Member, ...]:
        """The members of `service`, or of all services; suspects included, ordered by service, host and port.

        The first call waits for the backends like the first call of `snapshot`.
        """
        if service is not None:
            return self.snapshot(service).members
        if None not in self._wanted:
            self._want(None, _FIRST_ANSWER_WITHIN)
        return tuple(member for snapshot in self._view.snapshots() for member in snapshot.members)

    def watch(self, service: str | None = None) -> Watch:
        """The changes of `service`, or of all services, from now on; for `for` and `async for`.

        Open it before reading `members`, and nothing is missed.

        Raises:
            RegistryStateError: the registry does not run.
        """
        watch = self._required_run().view.watch(service)
        if service not in self._wanted:
            self._want(service, 0.0)
        return watch

    def _want(self, service: str | None, within: float) -> bool:
        """Tell the backends that somebody asks for this service, None for all; False if that is not possible."""
        run = self._run
        if run is None or len(self._wanted) >= _MAX_WANTED:
            return False
        self._wanted.add(service)
        try:
            run.want(service, within)
        except RuntimeError:  # it is being stopped
            return False
        return True

    def update(self, data: Mapping[str, Any]) -> None:
        """Register `data` in place of the old metadata, with every backend or, if one refuses, with none.

        Raises:
            RegistryStateError: the registry does not run, or registers nothing.
            MetadataTooLarge: it does not fit.
            RegistrationError: a backend refused.
            DiscoveryError: several backends refused; the message names each.
        """
        with self._lock:
            run = self._required_run()
            if not self.settings.register:
                raise RegistryStateError("register=False: nothing is registered whose metadata could be updated")
            run.update(_frozen(data))

    def reconfigure(self, changes: Mapping[str, str]) -> None:
        """Change dynamic variables of the drivers while they run: all of them, or none if one is bad.

        ::

            registry.reconfigure({"GDD_MEM_PROBE_INTERVAL": "2s", "GDD_MEM_GOSSIP_NODES": ""})  # "": the default

        Raises:
            RegistryStateError: the registry does not run.
            SettingsError: names every bad variable, and those that only count at the start.
        """
        with self._lock:
            run = self._required_run()
            settings = self.settings.changed(changes)
            different = {
                mode: settings.drivers[mode]
                for mode in settings.modes
                if settings.drivers[mode] is not self.settings.drivers[mode]
            }
            run.reconfigure(different)
            self.settings = settings

    # -- how it goes ---------------------------------------------------------------------------------------------------

    def status(self) -> RegistryStatus:
        """How the registry and its backends are doing."""
        self._refuse_inherited()
        run = self._run
        if run is None:
            return RegistryStatus(running=False)
        snapshots = self._view.snapshots()
        return RegistryStatus(
            running=True,
            services=len(snapshots),
            members=sum(len(snapshot.members) for snapshot in snapshots),
            stale=tuple(snapshot.service for snapshot in snapshots if snapshot.stale),
            backends=run.backends(),
        )

    def explain(self, service: str) -> str:
        """One line on why there may be nobody to pick: the service, the modes, and what each backend says."""
        self._refuse_inherited()
        run = self._run
        if run is None:
            return f"service {service!r}: the registry does not run"
        services = [snapshot.service for snapshot in self._view.snapshots()]
        return explanation(service, run.backends(), run.view.reported(service), services)

    def _required_run(self) -> Run:
        self._refuse_inherited()
        if self._run is None:
            raise RegistryStateError("the registry does not run: start() it first")
        return self._run

    def _refuse_inherited(self) -> None:
        if self._inherited:
            raise _inherited_error()

    def _inherit(self) -> None:
        """In a forked child: forget what runs in the parent."""
        self._lock = threading.RLock()
        if self._run is not None:
            # Kept, because finalising the parent's event loop here would take sockets out of the parent's selector.
            _parents_runs.append(self._run)
            self._run.view.abandon(_inherited_error())
            self._run, self._view, self._inherited = None, _InheritedView((), {}), True


class _InheritedView(MergedView):
    """What a forked child has of its parent's view."""

    def snapshot(self, service: str) -> Snapshot:
        raise _inherited_error()

    def snapshots(self) -> tuple[Snapshot, ...]:
        raise _inherited_error()


def _inherited_error() -> RegistryStateError:
    return RegistryStateError(
        "the registry was started before fork() and its threads stayed in the parent process: "
        "call pydoudou.new_node() in the worker itself (gunicorn: in the post_fork hook)"
    )


_FIRST_ANSWER_WITHIN = 0.5

_MAX_WANTED = 4096
"""What is asked for may come from a request; nobody has that many services."""


def _frozen(data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return MappingProxyType(dict(data or {}))


def _leave_at_exit() -> None:
    for registry in tuple(_live):
        registry.stop()


def _after_fork() -> None:
    _live.clear()
    for registry in tuple(_registries):
        registry._inherit()


_NOBODY = MergedView((), {})
_registries: weakref.WeakSet[Registry] = weakref.WeakSet()
_live: set[Registry] = set()
_parents_runs: list[Run] = []

atexit.register(_leave_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
