"""The registrar's side: one registry, and the workers that it serves.

Everything here runs on one event loop. What the registry tells comes from its own thread, through a queue; what may
wait is asked for in threads.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import anyio
import attrs
from anyio import to_thread
from anyio.abc import TaskGroup

from ....discovery.merging.events import MemberEvent
from ....discovery.observer import Observer
from ....discovery.registry import Registry
from ....discovery.running_loop import from_any_thread
from ....discovery.status import BackendStatus, RegistryStatus
from ....drivers.errors import RegistrationError
from ....drivers.members import Member, MemberState
from .asked import Asked
from .attendance import Attendance
from .counted import Counted
from .frames import VERSION, Message, frame
from .messages import RegistrarState, members, plain_error, registrar_hello
from .processes import Process, younger_siblings
from .settings import Start, pack, resumed
from .wire import BrokenWire, Wire

__all__ = ["Hub", "refusal"]

logger = logging.getLogger(__name__)

Key = tuple[str, str, int]

_HELLO_WITHIN = 10.0
_LOOK_EVERY = 2.5
"""Seconds. What matters comes without a look."""
_ROUND_TRIPS_EVERY = 2
"""Looks. Each of them changes a little with every ping, and none of it matters much."""


@attrs.define(eq=False)
class _Worker:
    number: int
    wire: Wire
    process: Process | None
    leave_asked: int | None = None


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


class Hub(Observer):
    """Serves workers out of one registry, from `run` until the last one is gone.

    Args:
        registry: one that observes with this object, runs, and was started with ``announce=False``.
        fingerprint: of its settings.
        holder: who this registrar is, for a person.
        left: is called when the service leaves: who comes from now on needs another registrar.
        shared: whether workers are told how to start one that takes the place of this one.
    """

    def __init__(
        self, registry: Registry, fingerprint: str, holder: str, left: Callable[[], None], *, shared: bool
    ) -> None:
        self._registry = registry
        self._fingerprint = fingerprint
        self._holder = holder
        self._on_left = left
        self._shared = shared
        self._successor = b""
        self._successor_of: tuple[object, ...] = ()
        self._attendance = Attendance(time.monotonic())
        self._workers: dict[int, _Worker] = {}
        self._numbers = itertools.count(1)
        self._processes: dict[int, Process] = {}
        self._members: dict[Key, Member] = {}
        self._events: deque[MemberEvent] = deque()
        self._events_taken = 0
        self._state = RegistrarState()
        self._round_trips: dict[Key, float] = {}
        self._asked = Asked(registry)
        self._counted = Counted(registry)
        self._look_at = 0.0
        self._wake: Callable[[], None] = _nothing

    # -- what the registry tells, in its own thread --------------------------------------------------------------------

    def member_changed(self, event: MemberEvent) -> None:
        """See `Observer.member_changed`."""
        self._events.append(event)
        self._wake()

    def driver_changed(self, status: BackendStatus) -> None:
        """See `Observer.driver_changed`."""
        self._look_at = 0.0
        self._wake()

    # -- a life --------------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Look at the registry, so that there is something to tell; before anything else."""
        self._woken = anyio.Event()
        self._registering = anyio.Lock()
        self._wake = from_any_thread(lambda: self._woken.set())
        await self._look(with_round_trips=True)

    async def run(self) -> None:
        """Until the last worker is gone, and nobody is waited for."""
        looks = 0
        async with anyio.create_task_group() as tasks:
            try:
                while True:
                    self._woken = anyio.Event()
                    self._tell_events()
                    if (now := time.monotonic()) >= self._look_at:
                        self._look_at, looks = now + _LOOK_EVERY, looks + 1
                        await self._look(with_round_trips=looks % _ROUND_TRIPS_EVERY == 0)
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
        return any(map(younger_siblings, youngest.values()))

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
            logger.log(level, "process %d is served no more: %r", pid, error)
        finally:
            wire.close()

    async def _serve(self, wire: Wire, pid: int, serves: bool) -> None:
        worker = _Worker(next(self._numbers), wire, Process.of(pid))
        self._workers[worker.number] = worker
        self._attendance.came(worker.number, serves)
        if worker.process is not None:
            self._processes = {
                number: process for number, process in self._processes.items() if number in self._workers
            } | {worker.number: worker.process}
        wire.send(self._state.to_message())
        wire.send(self._successor_message())
        wire.send(members(self._members.values(), whole=True))
        wire.send(self._round_trips_message(self._round_trips))
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(wire.send_forever)
                while True:
                    self._take(worker, await wire.receive(), both)
        except* BrokenWire as ended:
            raise ended.exceptions[0] from None
        finally:
            del self._workers[worker.number]
            self._attendance.gone(worker.number, time.monotonic())
            self._asked.forget(worker.number)
            self._wake()

    def _take(self, worker: _Worker, message: Message, tasks: TaskGroup) -> None:
        match message["kind"]:
            case "ask":
                tasks.start_soon(self._ask, worker, message["service"], bool(message["wanted"]))
            case "probe":
                service, host, port = message["member"]
                if (member := self._members.get((service, host, port))) is not None:
                    self._registry.probe(member)
            case "register":
                tasks.start_soon(self._answer, worker, message, partial(self._register, message))
            case "reconfigure":
                reconfigure = partial(to_thread.run_sync, self._registry.reconfigure, message["changes"])
                tasks.start_soon(self._answer, worker, message, reconfigure)
            case "leave":
                worker.leave_asked = message["number"]
                self._attendance.leaves(worker.number, time.monotonic())
                self._wake()

    async def _ask(self, worker: _Worker, service: str | None, wanted: bool) -> None:
        if wanted:
            found = await self._asked.ask(service, worker.number)
            self._tell_events()
            self._tell_members(found)  # before the word that they are there; their events may be on the way yet
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
            self._look_at = 0.0
            self._wake()

    # -- telling all workers -------------------------------------------------------------------------------------------

    def _tell(self, message: Message) -> None:
        if self._workers:
            framed = frame(message)
            for worker in self._workers.values():
                worker.wire.send_frame(framed)

    def _tell_events(self) -> None:
        changed: dict[Key, Member] = {}
        while self._events:
            event = self._events.popleft()
            self._events_taken += 1
            changed[event.member.key] = event.member
        self._tell_members(changed.values())

    def _tell_members(self, changed: Iterable[Member]) -> None:
        different = [member for member in changed if self._members.get(member.key) != member]
        for member in different:
            if member.state.present:
                self._members[member.key] = member
            else:
                self._members.pop(member.key, None)
        if different:
            self._tell(members(different))

    async def _look(self, *, with_round_trips: bool) -> None:
        """See how the registry is doing; that nothing was missed of its view; who has ended; how far members are."""
        for worker in self._workers.values():
            if worker.process is not None and not worker.process.lives:
                worker.wire.end()  # a process that it has forked may have the socket still
        taken = self._events_taken
        status = await to_thread.run_sync(self._registry.status)
        if taken == self._events_taken and not self._events:
            now = {member.key: member for snapshot in status.snapshots for member in snapshot.members}
            gone = [
                attrs.evolve(member, state=MemberState.FAILED)
                for key, member in self._members.items()
                if key not in now
            ]
            self._tell_members([*now.values(), *gone])
        state = state_of(status)
        if state != self._state or with_round_trips:  # now and then unchanged, for who hears nothing thinks us frozen
            self._state = state
            self._tell(state.to_message())
        if self._shared:
            self._look_at_successor(status)
        if with_round_trips:
            self._look_at_round_trips()
            workers = tuple(self._workers.values())
            for worker, message in zip(workers, self._counted.messages(status, len(workers)), strict=True):
                worker.wire.send(message)

    def _look_at_successor(self, status: RegistryStatus) -> None:
        registered = self._registry.registered
        known = (registered, self._registry.settings, *(backend.driver.address for backend in status.backends))
        if known != self._successor_of:
            settings = resumed(self._registry.settings, status)
            self._successor = pack(Start(settings, self._fingerprint, None if registered is None else registered.data))
            self._successor_of = known
            self._tell(self._successor_message())

    def _successor_message(self) -> Message:
        return {"kind": "successor", "packed": self._successor}

    def _look_at_round_trips(self) -> None:
        seconds = {key: self._registry.round_trip(member) for key, member in self._members.items()}
        known = {key: each for key, each in seconds.items() if each is not None}
        changed = {key: each for key, each in known.items() if _differs(each, self._round_trips.get(key))}
        self._round_trips = {key: changed.get(key, self._round_trips.get(key, each)) for key, each in known.items()}
        if changed:
            self._tell(self._round_trips_message(changed))

    @staticmethod
    def _round_trips_message(seconds: dict[Key, float]) -> Message:
        return {"kind": "round_trips", "seconds": [[*key, each] for key, each in seconds.items()]}


def state_of(status: RegistryStatus) -> RegistrarState:
    """What workers are told of it."""
    backends = status.backends
    authoritative = any(backend.authoritative for backend in backends)
    return RegistrarState(
        ready=bool(backends) and all(backend.ready for backend in backends),
        authoritative=authoritative,
        reason="" if authoritative else "; ".join(f"{backend.mode}: {backend.reason}" for backend in backends),
        message="; ".join(map(str, backends)),
        nodes=max((backend.driver.nodes for backend in backends), default=0),
        address=next((backend.driver.address for backend in backends if backend.driver.address), ""),
        doubt=status.doubt,
    )


def _differs(seconds: float, told: float | None) -> bool:
    """Whether a round trip is worth telling again."""
    return told is None or not 0.8 * told <= seconds <= 1.25 * told


def _nothing() -> None:
    """There is no loop yet, or no more."""
