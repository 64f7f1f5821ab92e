"""The driver of a process that shares a node with others of its host: what the registrar tells, it reports.

Merging, snapshots, subscriptions, balancers and events are those of every other driver. When the socket breaks, the
last view stays and is stale, until a registrar stands again; that one has `detection_bound` seconds to find everybody
whom the last one knew. Where none can be had, a registrar runs within this process, for this process: a node of its
own, until there is one to share. It ends once that one has registered the service.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import time

import anyio
import attrs
from anyio.abc import TaskGroup, TaskStatus

from ....discovery.settings import Settings
from ....drivers.contract import (
    AnnouncingDriver,
    CheckingDriver,
    ProbingDriver,
    ReconfigurableDriver,
    Sink,
    SubscribingDriver,
    TellingDriver,
)
from ....drivers.errors import RegistrationError
from ....drivers.kit import own_load
from ....drivers.kit.log_fields import fields
from ....drivers.members import DRAINING, DriverStatus, Instance, Member, MemberState, Metric
from .counted import COUNTED_FOR, Given
from .frames import BadFrame, Message
from .guard import Guard
from .handed_on import HandedOn
from .messages import RegistrarState, ToldConfiguration, member_of
from .own_node import OwnNode, one_to_share
from .requests import Requests
from .sharing import MODE, SharedSettings
from .starting import CannotShare, Found, find, place_of
from .wire import BrokenWire

__all__ = ["Relay"]

logger = logging.getLogger(__name__)

Key = tuple[str, str, int]

_PROBE_AGAIN_AFTER = 0.5
_MOST_PROBED = 1024
_MOST_BREAKS = 5
_BREAKS_WITHIN = 30.0
_TOLD_WITHIN = 10.0
_COUNTS_ASKED_EVERY = COUNTED_FOR / 3


class Relay(CheckingDriver, TellingDriver, SubscribingDriver, ProbingDriver, AnnouncingDriver, ReconfigurableDriver):
    """Reports what a registrar tells."""

    detection_bound = 30.0
    """Seconds that a new registrar has to find those whom the last one knew."""

    def __init__(self, settings: SharedSettings) -> None:
        self._settings = settings.node
        self._changes = settings.changes
        self._timings = settings.timings
        self._instance: Instance | None = None
        self._drains = False
        self._started = False
        self._found: Found | None = None
        self._successor = b""
        self._own_node: OwnNode | None = None
        self._own_nodes: list[OwnNode] = []
        self._looks = itertools.count(1)
        self._guard: Guard | None = None
        self._counts_asked_at = -math.inf
        self._state = RegistrarState(message="no registrar yet")
        self._members: dict[Key, Member] = {}
        self._round_trips: dict[Key, float] = {}
        self._given = Given()
        self._wanted: dict[str | None, anyio.Event] = {}
        self._requests = Requests()
        self._probed: dict[Key, float] = {}

    # -- a life --------------------------------------------------------------------------------------------------------

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """See `Driver.run`."""
        self._instance = instance
        serves = instance is not None or self.registers_later
        settings = self._settings if serves else attrs.evolve(self._settings, register=False)
        breaks: list[float] = []
        next_one: Found | None = None
        async with anyio.create_task_group() as own_nodes:
            while True:
                if next_one is None:
                    found = await self._find(own_nodes, settings, serves, breaks)
                else:
                    found, self._own_node = next_one, None
                began = time.monotonic()
                next_one, ended = await self._follow(found, settings, serves, sink, task_status)
                if next_one is None:
                    now = time.monotonic()
                    if now - began > _BREAKS_WITHIN:
                        self._looks = itertools.count(1)
                    breaks = [*(at for at in breaks if now - at < _BREAKS_WITHIN), now]
                    logger.info("the registrar, process %d, is gone: %s", found.pid, ended, extra=fields(reason=ended))
                sink.authoritative(False, f"the registrar, process {found.pid}, is gone: {ended}")
                sink.changed()
                sink.observe([attrs.evolve(member, state=MemberState.FAILED) for member in self._members.values()])
                if self._drains and next_one is None:  # whoever stays starts another one
                    await anyio.sleep_forever()

    async def _find(self, own_nodes: TaskGroup, settings: Settings, serves: bool, breaks: list[float]) -> Found:
        """One that is shared, or one of this process alone if there is a problem with that."""
        problem = ""
        if len(breaks) >= _MOST_BREAKS:
            problem = f"the registrar ended {len(breaks)} times within {_BREAKS_WITHIN:g} s"
        else:
            self._own_node = None
            try:
                return await find(settings, serves, self._timings, self._successor)
            except CannotShare as error:
                problem = str(error)
        logger.warning(
            "this process is a node of its own, and shares none with others of its host: %s",
            problem,
            extra=fields(service=settings.service_name if settings.register else "", reason=problem),
        )
        breaks.clear()
        self._own_node = OwnNode(problem)
        self._own_nodes.append(self._own_node)
        return await self._own_node.start(own_nodes, settings)

    async def _follow(
        self, found: Found, settings: Settings, serves: bool, sink: Sink, task_status: TaskStatus[None]
    ) -> tuple[Found | None, str]:
        """Take in what this registrar tells; returns one that takes its place, if one does, and why it ended."""
        self._found, ended = found, ""
        self._counts_asked_at = -math.inf
        next_one: Found | None = None
        own, guard = self._own_node, None
        if own is None:
            guard = self._guard = Guard(found.pid, place_of(settings), found.wire, self._timings)

        async def come_back() -> None:
            nonlocal next_one, ended
            other = await one_to_share(settings, serves, self._timings, self._looks, lambda: not self._drains)
            if self._drains:
                other.wire.close()
                return
            next_one, ended = other, f"process {other.pid} can be shared"
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(found.wire.send_forever)
                for service in self._wanted:
                    found.wire.send({"kind": "ask", "service": service, "wanted": True})
                begun = False
                while True:
                    message = await found.wire.receive()
                    self._take(message, sink)
                    if message["kind"] == "members" and not begun:  # the state came before them
                        begun = True
                        tasks.start_soon(self._begin, task_status)
                        if guard is not None:
                            tasks.start_soon(_watch, guard)
                        elif not self._drains:
                            tasks.start_soon(come_back)
        except* (BrokenWire, BadFrame, KeyError, TypeError, ValueError) as broken:
            ended = str(broken.exceptions[0])
        finally:
            self._found = None
            HandedOn.here().lose()
            if guard is not None:
                found.wire.close()
            self._requests.lose()
        return next_one, ended

    async def _begin(self, task_status: TaskStatus[None]) -> None:
        """Have this registrar know what the one before it did, and count as started."""
        await HandedOn.here().in_force()
        if self._changes:
            await self.reconfigure(SharedSettings(self._settings, self._changes))
        if self._instance is not None and not self._drains:
            try:
                await self._register(self._instance, first=True)
            except RegistrationError as error:
                if not self._started:
                    raise
                logger.warning(
                    "%s is not registered: %s",
                    self._instance.service,
                    error,
                    extra=fields(service=self._instance.service, reason=error),
                )
        for own in self._own_nodes:
            if own is not self._own_node:  # its place is taken
                own.end()
        self._own_nodes = [own for own in self._own_nodes if own is self._own_node]
        if not self._started:
            self._started = True
            task_status.started()

    # -- what the registrar tells --------------------------------------------------------------------------------------

    def _take(self, message: Message, sink: Sink) -> None:
        match message["kind"]:
            case "members":
                self._take_members([member_of(plain) for plain in message["members"]], bool(message["whole"]), sink)
            case "state":
                self._state = RegistrarState.of_message(message)
                sink.authoritative(self._state.authoritative, self._state.reason)
                sink.changed()
            case "successor":
                self._successor = message["packed"]
            case "configuration":
                HandedOn.here().hear(ToldConfiguration.of_message(message))
            case "round_trips":
                self._round_trips |= {(service, host, port): each for service, host, port, each in message["seconds"]}
            case "counted":
                self._given.take(message)
            case "load":
                self._tell_load()
            case "guard" | "pong" as kind if self._guard is not None:
                self._guard.choose() if kind == "guard" else self._guard.answered()
            case "answered":
                if (answered := self._wanted.get(message["service"])) is not None:
                    answered.set()
            case "reply":
                self._requests.answered(message)

    def _take_members(self, members: list[Member], whole: bool, sink: Sink) -> None:
        reported: list[Member] = []
        for member in members:
            before = self._members.get(member.key)
            if before is not None and before.node != member.node:
                reported.append(attrs.evolve(before, state=MemberState.LEFT))
            reported.append(member)
        if whole:
            self._members, self._round_trips = {}, {}
        for member in members:
            if member.state.present:
                self._members[member.key] = member
            else:
                self._members.pop(member.key, None)
                self._round_trips.pop(member.key, None)
        # Those that are there come first: a member whose node has another name is never gone.
        sink.observe(sorted(reported, key=lambda member: not member.state.present))

    # -- what a registry has it do -------------------------------------------------------------------------------------

    async def subscribe(self, service: str | None) -> None:
        """See `SubscribingDriver.subscribe`."""
        answered = self._wanted[service] = anyio.Event()
        if self._found is not None:
            self._found.wire.send({"kind": "ask", "service": service, "wanted": True})
            await answered.wait()

    async def unsubscribe(self, service: str | None) -> None:
        """See `SubscribingDriver.unsubscribe`: the registrar has its backends do it, unless others ask."""
        if (answered := self._wanted.pop(service, None)) is not None:
            answered.set()
        if self._found is not None:
            self._found.wire.send({"kind": "ask", "service": service, "wanted": False})

    async def update(self, instance: Instance) -> None:
        """See `Driver.update`. That this process drains is not told the others: it need not be so for the service. Nor
        is a weight: the registrar has heard of it, or does in a moment, as of a setting.
        """
        if instance.data.get("state") == DRAINING:
            self._drains = True
            return
        before, self._instance = self._instance, instance
        if before is not None and before.weight != instance.weight and before.data == instance.data:
            return
        try:
            await self._register(instance, first=before is None)
        except BaseException:
            self._instance = before
            raise

    async def _register(self, instance: Instance, *, first: bool) -> None:
        await self._request({"kind": "register", "data": dict(instance.data), "first": first})

    async def reconfigure(self, settings: SharedSettings) -> None:
        """See `ReconfigurableDriver.reconfigure`: for the node, and so for all that share it."""
        self._changes = settings.changes
        if self._found is not None:
            await self._request({"kind": "reconfigure", "changes": self._changes})

    async def leave(self) -> None:
        """See `Driver.leave`: one that drains waits until the service has left, or knows that it need not. One that
        just ends is missed, and replaced.
        """
        if self._drains and self._found is not None:
            with contextlib.suppress(RegistrationError):
                await self._request({"kind": "leave"})

    async def _request(self, message: Message) -> None:
        """Returns when it is done. Raises `DiscoveryError`: what it has come to."""
        await self._requests.ask(message, None if self._found is None else self._found.wire)

    def propagation_time(self) -> float:
        """See `AnnouncingDriver.propagation_time`: the registrar says when it is over, this is how long is waited."""
        return _TOLD_WITHIN

    def probe(self, member: Member) -> None:
        """See `ProbingDriver.probe`; the registrar is asked twice a second at most for each member."""
        now = time.monotonic()
        if self._found is None or now - self._probed.get(member.key, -_PROBE_AGAIN_AFTER) < _PROBE_AGAIN_AFTER:
            return
        if len(self._probed) >= _MOST_PROBED:
            self._probed.clear()
        self._probed[member.key] = now
        self._found.wire.send({"kind": "probe", "member": list(member.key)})

    def round_trip(self, member: Member) -> float | None:
        """See `ProbingDriver.round_trip`."""
        return self._round_trips.get(member.key)

    def doubt(self) -> str:
        """See `ProbingDriver.doubt`."""
        return self._state.doubt

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the numbers in `status` mean; the part before the dot is the mode of the registrar's driver."""
        return self._given.metrics

    def _tell_load(self) -> None:
        """How much more this process can take, for the weight of the service; nothing says so in most of them."""
        if self._found is not None:
            free = own_load.headroom() if own_load.is_told() else None
            self._found.wire.send({"kind": "load", "free": free})

    def status(self) -> DriverStatus:
        """See `Driver.status`: that of the registrar. What that counts is told for as long as somebody asks."""
        found, state = self._found, self._state
        own = self._own_node
        now = time.monotonic()
        if found is not None and now - self._counts_asked_at >= _COUNTS_ASKED_EVERY:
            self._counts_asked_at = now
            found.wire.send({"kind": "count"})
        if found is None:
            message = "no registrar at the moment"
        elif own is not None:
            message = f"a node of its own, because {own.reason}; {state.message}"
        else:
            message = f"process {found.pid}: {state.message}"
        return DriverStatus(
            MODE,
            found is not None and state.ready,
            message,
            state.nodes,
            state.address,
            self._given.counters,
            self._given.gauges,
            registrar=None if found is None or own is not None else found.pid,
            own_node="" if own is None else own.reason,
        )


async def _watch(guard: Guard) -> None:
    raise BrokenWire(await guard.watch())
