"""The registry: what an application starts, asks and stops.

Reading is free of locks and of waiting (`snapshot`), so that a balancer may pick from any thread and within any event
loop. Starting, stopping and updating wait for the drivers; `async with` does so without blocking the caller's event
loop, be it asyncio or trio. No lock is held while something waits: it guards the assignment of what runs, and no more.

A registry that still runs when the interpreter exits leaves then. A process that was forked has none of its parent's
threads: its copy of the registry is dead, and every use of it says so.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ..drivers.errors import RegistryStateError
from ..drivers.members import Instance, Member
from . import process, sigterm
from .arguments import checked_mapping, checked_service
from .call_findings import CallFindings
from .configuration import changes
from .draining import Draining
from .explanation import ServiceExplanation, explained
from .merging.snapshot import Snapshot
from .merging.view import MergedView
from .settings import Settings, frozen
from .status import RegistryStatus, explanation, running_status
from .subscription import Subscription, give_it_a_moment
from .subscriptions import Subscriptions
from .timings import Timings

if TYPE_CHECKING:
    from ..drivers.contract import Driver
    from .clock import Clock
    from .shared_view import SharedView
    from .supervisor import Supervisor
    from .watch import Watch

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(CallFindings, Draining):
    """Registers this process, and knows the members of all services.

    ::

        with Registry(Settings.from_env()) as registry:
            for member in registry.members("orders"):
                print(member.base_url, member.sources)

    `with` and `async with` start it unless it runs already, and stop it at the end. A stopped registry can be started
    again.

    Args:
        timings: how long to wait for what; None for what fits everybody.
        clock: what the drivers' event loop measures time by; None for real time.
    """

    def __init__(self, settings: Settings, *, timings: Timings | None = None, clock: Clock | None = None) -> None:
        super().__init__()
        self._settings = settings
        self._timings = timings or Timings()
        self._clock = clock
        self._subscriptions = Subscriptions()
        self._wanted = self._subscriptions.wanted
        # Reentrant, because a signal handler that stops the registry may interrupt a call of the same thread.
        self._lock = threading.RLock()
        self._last_run: Supervisor | None = None
        self._running = False
        self._view: MergedView | SharedView = _NOBODY
        self._inherited = False
        process.made(self)

    def __repr__(self) -> str:
        settings = self.settings
        what = f"of {settings.service_name!r}" if settings.register else "that only looks"
        state = "inherited through a fork" if self._inherited else "running" if self.running else "stopped"
        return f"<Registry {what}, modes {', '.join(settings.modes)}: {state}>"

    # -- life ----------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """Those in force: of the start, with what `reconfigure` has changed since."""
        return self._settings if (run := self._run) is None else run.settings

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._running

    @property
    def stopped(self) -> bool:
        """Whether it can be started. A copy that a fork left in the child neither runs nor can be started."""
        return self._run is None and not self._inherited

    @property
    def inherited(self) -> bool:
        """Whether it is a copy that a fork left in the child, every use of which is an error."""
        return self._inherited

    def start(self, data: Mapping[str, Any] | None = None, *, announce: bool = True) -> None:
        """Start all drivers; returns when they have joined and registered, or keep trying to.

        Args:
            data: the metadata to register; flat, with text for keys.
            announce: False joins to look, and registers when `announce` is called.

        Raises:
            RegistryStateError: it runs already, was stopped meanwhile, or was inherited through a fork.
            MetadataTooLarge: the metadata does not fit.
            JoinError: no seed answered, and the settings demand one.
            RegistrationError: a backend refused.
            SettingsError: a port is taken.
            DiscoveryError: several backends could not start; the message names each.
        """
        self._start(self._assign_run(data, announce))

    def _start(self, run: Supervisor) -> None:
        try:
            run.start()
            with self._lock:
                if run.ended:
                    raise RegistryStateError("the registry was stopped while it started")
                self._running, self._view = True, run.view
                changes.changed()
        except BaseException:
            self._stop(run)
            raise

    def _assign_run(self, data: Mapping[str, Any] | None, announce: bool) -> Supervisor:
        from .clock import SystemClock
        from .supervisor import Supervisor

        if data is not None:
            checked_mapping("data", data)
        with self._lock:
            self._refuse_inherited()
            if self._run is not None:
                raise RegistryStateError("the registry runs already: stop() it first, or make another one")
            run = Supervisor(
                self._settings,
                self._settings.instance(frozen(data), datetime.now(UTC)),
                self._subscriptions,
                self.observers,
                timings=self._timings,
                clock=self._clock or SystemClock(),
                announce=announce,
            )
            self._run = self._last_run = run
            changes.changed()
            self._subscriptions.begin(run.wanted_changed, lambda service: run.view.snapshot(service).members)
            process.started(self)
        if self._settings.register and self._settings.leave_on_sigterm:
            sigterm.watch(run)
        return run

    def stop(self) -> None:
        """Tell the others that this process goes, and end everything; does nothing when stopped already.

        Returns within a few seconds whatever the drivers do (`Timings.leave_timeout`, `end_timeout`). A call that still
        waits for the drivers ends with a `RegistryStateError`.
        """
        if (run := self._last_run) is not None:
            self._stop(run)

    def _stop(self, run: Supervisor) -> None:
        with self._lock:
            run.refuse_calls()
            if self._run is run:
                self._running, self._view, self._settings = False, _NOBODY, run.settings
                changes.changed()
                self._subscriptions.end()
        try:
            run.stop()
        finally:
            with self._lock:
                if self._run is run:
                    self._run = None
                    changes.changed()
                if self._last_run is run:
                    self._last_run = None
                    process.stopped(self)
            sigterm.forget(run)

    def __enter__(self) -> Registry:
        if not self.running:
            self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def start_async(self, data: Mapping[str, Any] | None = None, *, announce: bool = True) -> None:
        """`start` for asynchronous programs, asyncio or trio: the event loop goes on meanwhile. A start that is
        cancelled is undone.
        """
        from anyio import to_thread

        await to_thread.run_sync(import_module, f"{__package__}.supervisor")  # takes a while the first time
        run = self._assign_run(data, announce)  # here, because only the main thread may watch for signals
        try:
            await to_thread.run_sync(self._start, run, abandon_on_cancel=True)
        except BaseException:
            await self.stop_async()
            raise

    async def stop_async(self) -> None:
        """`stop` for asynchronous programs. It cannot be cancelled, and ends in time."""
        from anyio import CancelScope, to_thread

        with CancelScope(shield=True):
            await to_thread.run_sync(self.stop)

    async def __aenter__(self) -> Registry:
        if not self.running:
            await self.start_async()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop_async()

    @property
    def registered(self) -> Instance | None:
        """What this process registers at present; None if that is nothing."""
        return None if (run := self._run) is None else run.registration.instance

    # -- members -------------------------------------------------------------------------------------------------------

    def snapshot(self, service: str) -> Snapshot:
        """The members of `service` now: no lock, no waiting, and the same object until they change.

        ``orders_rest`` means ``orders`` if there is no such service. A stopped registry knows nobody.

        Some backends report only services that somebody asks for. Whoever asks here has them asked, and may find
        members a moment later; nobody has to end that, a service that was not asked for in an hour is forgotten.
        `subscribe` is for those who can say when they are done, or want to wait.
        """
        wanted = self._wanted.get(service)
        if wanted is None:
            self._subscriptions.ask(service)
        else:
            wanted.used = True
        return self._view.snapshot(service)

    def subscribe(self, service: str) -> Subscription:
        """Have the backends report `service` until the subscription is closed; it tells whether they have answered.

        It may be made before the registry starts, and holds through stops and starts.
        """
        self._refuse_inherited()
        return Subscription(
            checked_service(service), self._subscriptions, self.snapshot, self._timings.first_answer_timeout
        )

    def members(self, service: str | None = None) -> tuple[Member, ...]:
        """The members of `service`, or of all services; suspects included, ordered by service, host and port. Where no
        event loop runs, backends that report only what was asked for get half a second for their first answer.
        """
        if service is None:
            self._give_a_moment(None)
            return tuple(member for snapshot in self._view.snapshots() for member in snapshot.members)
        found = self.snapshot(checked_service(service)).members
        if not found:
            self._give_a_moment(service)
            found = self._view.snapshot(service).members
        return found

    def _give_a_moment(self, service: str | None) -> None:
        if (wanted := self._subscriptions.ask(service)) is not None:
            give_it_a_moment(self._subscriptions, wanted, self._timings.first_answer_timeout)

    def watch(self, service: str | None = None) -> Watch:
        """The changes of `service`, or of all services, from now on; for `for` and `async for`.

        Open it before reading `members`, and nothing is missed.

        Raises:
            RegistryStateError: the registry does not run.
        """
        if service is not None:
            checked_service(service)
        return self._required_run().view.watch(service, lambda: self._subscriptions.held(service))

    def update(self, data: Mapping[str, Any]) -> None:
        """Register `data` in place of the old metadata, with every backend or, if one refuses, with none.

        Raises:
            RegistryStateError: the registry does not run or is stopped meanwhile, or registers nothing.
            MetadataTooLarge: it does not fit.
            RegistrationError: a backend refused.
            DiscoveryError: a backend did not answer in time, or several refused; the message names each.
        """
        checked_mapping("data", data)
        run = self._required_run()
        if not run.settings.register:
            raise RegistryStateError("register=False: nothing is registered whose metadata could be updated")
        run.update(frozen(data))

    def reconfigure(self, changes: Mapping[str, str]) -> None:
        """Change dynamic variables of the drivers while they run: all of them, or none if one is bad.
        ``{"GDD_MEM_PROBE_INTERVAL": "2s", "GDD_MEM_GOSSIP_NODES": ""}`` for example; "" is the default.

        Raises:
            RegistryStateError: the registry does not run, or is stopped meanwhile.
            SettingsError: names every bad variable, and those that only count at the start.
            DiscoveryError: a backend did not answer in time, or several refused; the message names each.
        """
        self._required_run().reconfigure(changes)

    # -- how it goes ---------------------------------------------------------------------------------------------------

    def status(self) -> RegistryStatus:
        """How the registry and its backends are doing."""
        self._refuse_inherited()
        if (run := self._run) is None or not self._running:
            return RegistryStatus(running=False)
        presence, configuration, backends = run.registration.presence, run.configuration(), run.backends()
        snapshots, authority = run.view.at_one_moment(backend.mode for backend in backends)
        return running_status(snapshots, backends, authority, run.self_doubt.known, presence, configuration)

    def explain(self, service: str) -> str:
        """One line on why there may be nobody to pick (every `NoMemberAvailable` has it): the service, the modes, and
        what each backend says. Those that were asked a moment ago are not asked again, nor waited for in an event loop.
        """
        checked_service(service)
        self._refuse_inherited()
        if (run := self._run) is None or not self._running:
            return f"service {service!r}: the registry does not run"
        return explanation(service, run.backends(at_once=True), run.view.reported(service), run.view.services())

    def explain_members(self, service: str) -> ServiceExplanation:
        """Every member: in, suspect, ejected until when and why, at which share; and what a call would do now."""
        self._refuse_inherited()
        return explained(self, self.snapshot(checked_service(service)))

    # -- for tests, and for the methods above --------------------------------------------------------------------------

    def driver(self, mode: str) -> Driver:
        """The driver of this mode that runs, or ran last: for tests that have to look into a driver of their own.
        Raises `RegistryStateError` if the registry does not run, `KeyError` if it has no such mode.
        """
        return self._required_run().driver(mode)

    def on_loop(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """What `function` returns on the event loop of the drivers: for the same tests."""
        return self._required_run().on_loop(function, *arguments)

    def _required_run(self) -> Supervisor:
        self._refuse_inherited()
        if (run := self._run) is None or not self._running:
            raise RegistryStateError("the registry does not run: start() it first")
        return run

    def _refuse_inherited(self) -> None:
        if self._inherited:
            raise process.inherited_error()

    def inherit(self) -> None:
        """In a forked child: forget what runs in the parent."""
        self._lock = threading.RLock()
        self._subscriptions.forked()
        if (run := self._run or self._last_run) is not None:
            process.keep_parents_run(run)
            run.view.abandon(process.inherited_error())
            self._run = self._last_run = None
            self._running, self._view, self._inherited = False, process.InheritedView(()), True
            changes.changed()


_NOBODY = MergedView(())
