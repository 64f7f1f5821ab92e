"""The registrar's side: one registry, and the workers that it serves.

While nothing happens next to nothing is done: members come as they change, the kernel tells when a worker ends, and
numbers are told to those who ask for them. What no event tells of the registry is looked at every few seconds, and more
often while it is not yet, or no more, as it should be.

Everything here runs on one event loop; what may wait is asked for in threads.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import attrs
from anyio import to_thread
from anyio.abc import TaskGroup

from ....discovery.registry import Registry
from ....discovery.running_loop import from_any_thread
from ....discovery.timings import Timings
from ....drivers.errors import RegistrationError
from ....drivers.kit.log_fields import fields
from .asked import Asked
from .attendance import REPLACED_WITHIN, Attendance
from .counted import COUNTED_FOR, Counted
from .frames import VERSION, Message, frame
from .loads import WorkersLoad
from .messages import plain_error, registrar_hello
from .processes import Process, ended, younger_siblings
from .view import View
from .wire import BrokenWire, Wire

__all__ = ["AT_REST", "Hub", "refusal"]

logger = logging.getLogger(__name__)

_HELLO_WITHIN = 10.0
_LOOK_EVERY = 10.0
"""Seconds. What matters comes without a look."""
_LOOK_SOON = 1.0
"""The same while a backend is not ready, has no say, or doubts itself: workers judge nobody for so long."""
_COUNT_EVERY = 5.0
"""The same while a worker wants to know what is counted."""
AT_REST = Timings(observe_interval=3600.0)
"""For the registry of a hub, which looks by itself: nobody else has to ask the drivers whether they are ready."""


@attrs.define(eq=False)
class _Worker:
    number: int
    wire: Wire
    process: Process | None
    serves: bool
    leave_asked: int | None = None
    counts_until: float = 0.0


def refusal(hello: Message, fingerprint: str, holder: str) -> str:
    """Why a worker that says this cannot be served; "" if it can.

    Args:
        fingerprint: of the settings of the registrar.
        holder: who this registrar is, for a person.
    """
    if hello["kind"] != "hello" or hello.get("version") != VERSION:
        theirs = f"version {hello.get('version')}" if hello["kind"] == "hello" else f"{hello['kind']!r}"
        return f"{holder} speaks version {VERSION}, and this is {theirs}"
    if hello.get("fingerprint") != fingerprint:
        return f"{holder} holds that, with other settings"
    return ""


class Hub:
    """Serves workers out of one registry, from `run` until the last one is gone.

    Args:
        registry: one that is yet to be started, with ``announce=False`` as a rule.
        fingerprint: of its settings.
        holder: who this registrar is, for a person.
        left: is called when the service leaves: who comes from now on needs another registrar.
        shared: whether workers are told how to start one that takes the place of this one.
        load: is told how much more the workers can take.
    """

    def __init__(
        self,
        registry: Registry,
        fingerprint: str,
        holder: str,
        left: Callable[[], None],
        *,
        shared: bool,
        load: WorkersLoad | None = None,
    ) -> None:
        self._registry = registry
        self._fingerprint = fingerprint
        self._holder = holder
        self._on_left = left
        self._attendance = Attendance(time.monotonic())
        self._workers: dict[int, _Worker] = {}
        self._numbers = itertools.count(1)
        self._processes: dict[int, Process] = {}
        self._view = View(registry, fingerprint if shared else "", self._tell, self._told)
        registry.add_observer(self._view)
        self._asked = Asked(registry)
        self._counted = Counted(registry)
        self._shared = shared
        self._load = load
        self._guard: _Worker | None = None
        self._look_at = 0.0
        self._wake: Callable[[], None] = _nothing

    def _told(self, look: bool) -> None:
        """The registry has told something; from its thread."""
        if look:
            self._look_at = 0.0
        self._wake()

    # -- a life --------------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Look at the registry, so that there is something to tell; before anything else."""
        self._woken = anyio.Event()
        self._registering = anyio.Lock()
        self._wake = from_any_thread(lambda: self._woken.set())
        if self._load is not None:
            self._load.begin(from_any_thread(self._ask_for_load))
        await self._look()

    async def run(self) -> None:
        """Until the last worker is gone, and nobody is waited for."""
        async with anyio.create_task_group() as tasks:
            try:
                while True:
                    self._woken = anyio.Event()
                    self._view.tell_events()
                    if (now := time.monotonic()) >= self._look_at:
                        self._look_at = now + _LOOK_EVERY
                        again = now + await self._look()
                        self._look_at = min(self._look_at, again)  # which may have become sooner meanwhile
                    if (again_after := self._act(tasks)) is None:
                        break
                    with anyio.move_on_after(min(again_after, self._look_at - time.monotonic())):
                        await self._woken.wait()
            finally:
                self._wake = _nothing
                self._asked.close()
            tasks.cancel_scope.cancel()

    def _act(self, tasks: TaskGroup) -> float | None:
        """Do what follows from who is there; seconds until the next look, None at the end."""
        verdict = self._attendance.verdict(
            time.monotonic(), expected=self._expects_another(), replaceable=self._replaceable()
        )
        if verdict.leave:
            self._on_left()
            tasks.start_soon(self._leave)
        for number in verdict.release:
            self._let_go(self._workers[number])
        return None if verdict.end else verdict.again_after

    def _replaceable(self) -> bool:
        return not self._attendance and any(
            (parent := Process.of(process.parent)) is not None and parent.began <= process.began
            for process in self._processes.values()
        )

    def _expects_another(self) -> bool:
        """Whether a server has started a worker that has not come yet."""
        if self._attendance.staying:
            return False
        youngest: dict[int, Process] = {}
        for process in self._processes.values():
            if process.parent not in youngest or process.began > youngest[process.parent].began:
                youngest[process.parent] = process
        return any(younger_siblings(process, REPLACED_WITHIN) for process in youngest.values())

    async def _leave(self) -> None:
        await to_thread.run_sync(self._registry.drain, 0.0)
        for worker in tuple(self._workers.values()):
            self._let_go(worker)

    def _let_go(self, worker: _Worker) -> None:
        number, worker.leave_asked = worker.leave_asked, None
        if number is not None:
            worker.wire.send({"kind": "reply", "number": number, "error": None})

    # -- one worker ----------------------------------------------------------------------------------------------------

    async def serve(self, wire: Wire, pid: int) -> None:
        """Serve a worker until its socket ends."""
        try:
            with anyio.fail_after(_HELLO_WITHIN):
                hello = await wire.receive()
            refused = refusal(hello, self._fingerprint, self._holder)
            again = not refused and self._attendance.left
            await wire.send_now(
                frame(registrar_hello(f"{self._holder} takes its leave" if again else refused, again=again))
            )
            if not refused and not again:
                await self._serve(wire, pid, bool(hello["serves"]))
        except Exception as error:  # what one worker does wrong ends with it
            level = logging.DEBUG if isinstance(error, (BrokenWire, TimeoutError)) else logging.WARNING
            logger.log(level, "process %d is served no more: %r", pid, error, extra=fields(reason=error))
        finally:
            wire.close()

    async def _serve(self, wire: Wire, pid: int, serves: bool) -> None:
        worker = _Worker(next(self._numbers), wire, Process.of(pid), serves)
        self._workers[worker.number] = worker
        self._attendance.came(worker.number, serves)
        if worker.process is not None:
            self._processes = {
                number: process for number, process in self._processes.items() if number in self._workers
            } | {worker.number: worker.process}
        for message in self._view.everything():
            wire.send(message)
        self._choose_guard()
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(wire.send_forever)
                both.start_soon(_end_with, worker)
                while True:
                    self._take(worker, await wire.receive(), both)
        except* BrokenWire as ended:
            raise ended.exceptions[0] from None
        finally:
            del self._workers[worker.number]
            self._attendance.gone(worker.number, time.monotonic())
            self._asked.forget(worker.number)
            if self._load is not None:
                self._load.gone(worker.number)
            self._choose_guard()
            self._wake()

    def _choose_guard(self) -> None:
        """The worker that has been there for longest sees that we do our work."""
        first = next(iter(self._workers.values()), None)
        if self._shared and first is not None and first is not self._guard:
            self._guard = first
            first.wire.send({"kind": "guard"})

    def _take(self, worker: _Worker, message: Message, tasks: TaskGroup) -> None:
        match message["kind"]:
            case "ask":
                tasks.start_soon(self._ask, worker, message["service"], bool(message["wanted"]))
            case "probe":
                service, host, port = message["member"]
                if (member := self._view.member((service, host, port))) is not None:
                    self._registry.probe(member)
            case "register":
                tasks.start_soon(self._answer, worker, message, partial(self._register, message))
            case "reconfigure":
                tasks.start_soon(self._answer, worker, message, partial(self._reconfigure, message["changes"]))
            case "ping":
                worker.wire.send({"kind": "pong"})
            case "count":
                if worker.counts_until < (now := time.monotonic()):
                    self._told(True)
                worker.counts_until = now + COUNTED_FOR
            case "load":
                if self._load is not None:
                    self._load.told(worker.number, None if message["free"] is None else float(message["free"]))
            case "leave":
                worker.leave_asked = message["number"]
                self._attendance.leaves(worker.number, time.monotonic())
                self._wake()

    async def _ask(self, worker: _Worker, service: str | None, wanted: bool) -> None:
        if wanted:
            found = await self._asked.ask(service, worker.number)
            self._view.tell_events()
            self._view.tell_members(found)  # before the word that they are there; their events may be on the way yet
            worker.wire.send({"kind": "answered", "service": service})
        else:
            self._asked.ask_no_more(service, worker.number)

    async def _answer(self, worker: _Worker, message: Message, work: Callable[[], Any]) -> None:
        try:
            await work()
        except Exception as error:
            worker.wire.send({"kind": "reply", "number": message["number"], "error": plain_error(error)})
        else:
            worker.wire.send({"kind": "reply", "number": message["number"], "error": None})

    async def _register(self, message: Message) -> None:
        """The first worker that answers registers the service; others that say the same change nothing."""
        async with self._registering:
            if self._attendance.left:
                raise RegistrationError(f"{self._holder} takes its leave")
            if self._registry.registered is None:
                await to_thread.run_sync(self._registry.update, message["data"])
                await to_thread.run_sync(self._registry.announce)
            elif not message["first"]:
                await to_thread.run_sync(self._registry.update, message["data"])
            self._told(True)

    async def _reconfigure(self, changes: dict[str, str]) -> None:
        await to_thread.run_sync(self._registry.reconfigure, changes)
        self._told(True)

    # -- telling all workers -------------------------------------------------------------------------------------------

    def _tell(self, message: Message) -> None:
        if self._workers:
            framed = frame(message)
            for worker in self._workers.values():
                worker.wire.send_frame(framed)

    def _ask_for_load(self) -> None:
        for worker in self._workers.values():
            if worker.serves:
                worker.wire.send({"kind": "load"})

    async def _look(self) -> float:
        """See how the registry is doing; returns the seconds until the next look."""
        status = await self._view.look()
        now = time.monotonic()
        asking = [worker for worker in self._workers.values() if now < worker.counts_until]
        for worker, message in zip(asking, self._counted.messages(status, len(asking)), strict=True):
            worker.wire.send(message)
        if not self._view.settled:
            return _LOOK_SOON
        return _COUNT_EVERY if asking else _LOOK_EVERY


async def _end_with(worker: _Worker) -> None:
    """End the socket with the process of the worker: one that it has forked may have it still."""
    descriptor = None if worker.process is None else ended(worker.process.pid)
    if descriptor is None:
        return
    try:
        await anyio.wait_readable(descriptor)
    except NotImplementedError:
        return
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    worker.wire.end()


def _nothing() -> None:
    """There is no loop yet, or no more."""
