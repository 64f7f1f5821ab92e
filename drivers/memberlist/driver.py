"""The gossip driver: a node of a cluster without a server, whose metadata says which service it offers."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import anyio
import attrs
import tenacity
from anyio.abc import TaskStatus

from ..contract import Sink
from ..errors import JoinError
from ..kit.log_limit import RateLimitedLog
from ..kit.refusals import Refusals
from ..kit.validation import checked_weight
from ..members import DriverStatus, Instance, JoinPolicy, Member, MemberState, bracketed
from . import protocol
from .cpu_load import LoadMeter
from .metadata import decode_metadata, encode_metadata
from .node import GossipNode
from .protocol import Hooks, Keyring, State
from .protocol.events import Event, NodeConflict
from .settings import MemberlistSettings

__all__ = ["MemberlistDriver"]

logger = logging.getLogger(__name__)

_LEAVE_WITHIN = 5.0
_FIRST_RETRY = 0.5
_DEAD_REMEMBERED = 1024
_SILENT = logging.CRITICAL + 1
_STATES = {
    State.ALIVE: MemberState.ALIVE,
    State.SUSPECT: MemberState.SUSPECT,
    State.DEAD: MemberState.FAILED,
    State.LEFT: MemberState.LEFT,
}


class MemberlistDriver:
    """Runs one gossip node and reports what the other nodes offer."""

    mode = "memberlist"

    def __init__(self, settings: MemberlistSettings) -> None:
        self._settings = settings
        self.detection_bound = 3 * settings.config.probe_interval
        self._keyring = Keyring(settings.keys)
        self._node: GossipNode | None = None
        self._sink: Sink | None = None
        self._offers: dict[str, tuple[Member, ...]] = {}
        self._states: dict[str, State] = {}
        self._judging = True
        self._join = "has not joined yet" if settings.seeds else "founded a cluster: GDD_MEM_SEED names no seed"
        self._joined = not settings.seeds
        self._unreadable = 0
        self._log = RateLimitedLog(logger, time.monotonic)
        self._refusals = Refusals(logger)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """See `Driver.run`.

        Raises:
            MetadataTooLarge: before anything is sent.
            SettingsError: the port is taken.
            JoinError: no seed answers, and ``GDD_MEM_JOIN=required``.
        """
        self._sink = sink
        settings = self._settings
        _log_or_not(settings.log)
        config = attrs.evolve(settings.config, meta=b"" if instance is None else encode_metadata(instance))
        hooks = Hooks(load=LoadMeter()) if config.weight_interval else Hooks()
        self._node = GossipNode(
            config,
            bind=settings.bind,
            port=settings.port,
            keyring=self._keyring,
            hooks=hooks,
            on_events=self._on_events,
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._node.run)
            if settings.seeds:
                await self._join_first(settings, tasks)
            task_status.started()

    async def _join_first(self, settings: MemberlistSettings, tasks: anyio.abc.TaskGroup) -> None:
        """One attempt before the driver counts as started, the others in the background."""
        try:
            await self._try_to_join()
        except JoinError as error:
            if settings.join is JoinPolicy.REQUIRED:
                raise JoinError(
                    f"{error} (GDD_MEM_JOIN=required makes that an error; without it the node starts and keeps trying)"
                ) from None
            logger.warning("%s; trying again in the background", error)
            tasks.start_soon(self._keep_trying_to_join)

    async def _try_to_join(self) -> None:
        node = self._running()
        try:
            contacted = await node.join(self._settings.seeds)
        except JoinError as error:
            self._join = str(error)
            raise
        self._joined = True
        self._join = f"joined through {contacted} seed{'' if contacted == 1 else 's'}"
        if not contacted:
            self._join = "founded a cluster: this node is the only seed"

    async def _keep_trying_to_join(self) -> None:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(JoinError),
            wait=tenacity.wait_random_exponential(
                multiplier=_FIRST_RETRY, max=self._settings.config.push_pull_interval or 60.0
            ),
            sleep=anyio.sleep,
            before_sleep=self._tell_next_try,
        )
        await anyio.sleep(_FIRST_RETRY)
        await retrying(self._try_to_join)
        logger.info("%s", self._join)

    def _tell_next_try(self, retry: tenacity.RetryCallState) -> None:
        wait = retry.next_action.sleep if retry.next_action is not None else 0.0
        self._join = f"{self._join.split('; attempt')[0]}; attempt {retry.attempt_number + 2} in {wait:.1f} s"

    def _running(self) -> GossipNode:
        if self._node is None:
            raise RuntimeError("the driver is not running")
        return self._node

    async def update(self, instance: Instance) -> None:
        """See `Driver.update`."""
        node = self._running()
        node.reconfigure(attrs.evolve(node.swim.config, meta=encode_metadata(instance)))

    async def reconfigure(self, settings: MemberlistSettings) -> None:
        """See `ReconfigurableDriver.reconfigure`."""
        node = self._running()
        self._settings = settings
        self.detection_bound = 3 * settings.config.probe_interval
        self._keyring.replace(settings.keys)
        now = node.swim.config
        node.reconfigure(attrs.evolve(settings.config, meta=now.meta, advertise_port=now.advertise_port))

    async def leave(self) -> None:
        """See `Driver.leave`."""
        if self._node is not None and not await self._node.leave(_LEAVE_WITHIN):
            logger.warning("left without knowing that the others heard it within %g s", _LEAVE_WITHIN)

    # -- what the cluster says -----------------------------------------------------------------------------------------

    def _on_events(self, events: Sequence[Event]) -> None:
        latest: dict[str, protocol.Node] = {}
        for event in events:
            if isinstance(event, NodeConflict):
                self._log.warning(
                    "conflict",
                    "the node name %s is claimed from %s:%d too; set GDD_MEM_NAME so that every node has its own",
                    event.node.name,
                    bracketed(event.other[0]),
                    event.other[1],
                )
            elif (node := getattr(event, "node", None)) is not None:
                latest[node.name] = node
        if not latest:
            return
        observed: list[Member] = []
        for node in latest.values():
            self._remember(node)
            observed += self._observed(node)
        self._report(observed)

    def _remember(self, node: protocol.Node) -> None:
        """Note the state of a node. Of the dead that gossip has forgotten only the latest are kept."""
        states = self._states
        states.pop(node.name, None)
        states[node.name] = node.state
        surplus = len(states) - self._running().swim.known - _DEAD_REMEMBERED
        if surplus > 0:
            dead = (name for name, state in states.items() if state is State.DEAD)
            for name in list(itertools.islice(dead, surplus)):
                del states[name]

    def _observed(self, node: protocol.Node) -> Iterable[Member]:
        """What changed about the services of one node."""
        before = self._offers.get(node.name, ())
        state = _STATES[node.state]
        if not state.present:
            self._offers.pop(node.name, None)
            if state is MemberState.LEFT:
                self._states.pop(node.name, None)
            return [attrs.evolve(member, state=state) for member in before]
        metadata = decode_metadata(node.meta, host=node.host, node=node.name)
        if not metadata.readable:
            self._unreadable += 1
            self._log.warning("metadata", "the metadata of %s cannot be read: %r", node.name, node.meta[:80])
        for unusable in metadata.unusable:
            self._refusals.note(node.name, unusable)
        dynamic = metadata.weight <= 0 and node.weight is not None
        now = tuple(
            attrs.evolve(
                member,
                state=state,
                weight=checked_weight(node.weight, dynamic=True) if dynamic else member.weight,
                dynamic_weight=dynamic,
            )
            for member in metadata.members
        )
        self._offers[node.name] = now
        kept = {member.key for member in now}
        return [*(attrs.evolve(m, state=MemberState.LEFT) for m in before if m.key not in kept), *now]

    def _report(self, observed: list[Member]) -> None:
        """Report, unless we are the ones who are cut off: then nobody else's disappearance means anything."""
        sink = self._sink
        if sink is None:
            return
        able = self._can_judge()
        if able and not self._judging:
            sink.authoritative(True)
            observed = [member for offer in self._offers.values() for member in offer] + observed
        elif not able and self._judging:
            sink.authoritative(False, "gossip has lost all other nodes at once")
        self._judging = able
        if observed:
            sink.observe(observed)

    def _can_judge(self) -> bool:
        """Losing two or more others, and thereby the last, says more about us than about them. One lost out of one may
        be either; it is taken for a failure, as in any other cluster.
        """
        own = self._running().swim.config.name
        others = [state for name, state in self._states.items() if name != own]
        return State.ALIVE in others or len(others) < 2

    def status(self) -> DriverStatus:
        """See `Driver.status`."""
        node = self._node
        if node is None:
            return DriverStatus(self.mode, False, "not started")
        swim = node.swim
        alive = sum(state is State.ALIVE for state in dict(self._states).values())
        counters: dict[str, Any] = swim.counters | {"health score": swim.health_score, "queued": swim.queued}
        if self._unreadable:
            counters["unreadable metadata"] = self._unreadable
        config = swim.config
        address = f"{bracketed(config.advertise_host)}:{config.advertise_port}"
        message = f"{config.name} at {address}, {self._join}"
        return DriverStatus(self.mode, self._joined, message, alive, address, counters)


def _log_or_not(wanted: bool) -> None:
    """Silence this package's loggers, or undo that. The level is what they inherit, which `Logger.disabled` is not."""
    package = logging.getLogger(__package__)
    if not wanted:
        package.setLevel(_SILENT)
    elif package.level == _SILENT:
        package.setLevel(logging.NOTSET)
