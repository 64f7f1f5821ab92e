"""The gossip driver: a node of a cluster without a server, whose metadata says which service it offers."""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import time
from collections.abc import Sequence
from functools import partial
from typing import assert_never

import anyio
import attrs
from anyio.abc import TaskStatus

from ..contract import AnnouncingDriver, CheckingDriver, ProbingDriver, ReconfigurableDriver, Sink
from ..errors import JoinError, SettingsError
from ..kit import own_load
from ..kit.backoff import Backoff
from ..kit.first_attempt import first_attempt
from ..kit.log_fields import fields
from ..kit.log_limit import RateLimitedLog
from ..kit.refusals import Refusals
from ..kit.validation import Unusable, printable
from ..members import DriverStatus, Instance, JoinPolicy, Member, Metric, MetricKind, bracketed
from . import protocol
from .cpu_load import LoadMeter
from .metadata import encode_instance
from .node import GossipNode
from .offers import Offers
from .protocol import Hooks, Keyring
from .protocol.counters import COUNTERS, GAUGES
from .protocol.events import (
    Event,
    MergeEnded,
    NodeConflict,
    NodeJoined,
    NodeLeft,
    NodeRefuted,
    NodeSuspected,
    NodeUpdated,
    PingCompleted,
    Problem,
    RemoteState,
    UserMessage,
    WeightChanged,
)
from .protocol.scaling import retransmit_limit
from .quiet import SILENT
from .settings import MemberlistSettings
from .sockets import CannotListen

__all__ = ["METRICS", "MemberlistDriver"]

logger = logging.getLogger(__name__)

_LEAVE_WITHIN = 5.0
_TAKE_BACK_WITHIN = 1.0
"""Seconds that a failed or interrupted start takes to tell those who may know of us already."""
_LOOK_UP_INTERVAL = 60.0
_FIRST_RETRY = 0.5
_FIRST_ATTEMPT_TIMEOUT = 2.5
_FEW = 100
_REPORTS_OF_A_MERGE = 16
"""Changes that are reported at once while a peer's state is taken in: so many, or this share of all nodes."""

METRICS = (
    *(Metric(row.name, MetricKind(row.kind), row.help, row.unit) for row in (*COUNTERS, *GAUGES)),
    Metric("metadata_decoded", MetricKind.COUNTER, "blobs of nodes' metadata that were decoded"),
    Metric("metadata_unreadable", MetricKind.COUNTER, "such blobs that were neither empty nor understood"),
    Metric("values_dropped", MetricKind.COUNTER, "services and metadata of others that are unusable"),
)


class MemberlistDriver(ReconfigurableDriver, ProbingDriver, AnnouncingDriver, CheckingDriver):
    """Runs one gossip node and reports what the other nodes offer."""

    mode = "memberlist"
    metrics = METRICS

    def __init__(self, settings: MemberlistSettings) -> None:
        self._settings = settings
        self.detection_bound = 3 * settings.config.probe_interval
        self._keyring = Keyring(settings.keys)
        self._node: GossipNode | None = None
        self._node_scope = anyio.CancelScope()
        self._sink: Sink | None = None
        self._offers = Offers(self._unusable)
        self._changed: dict[str, protocol.Node] = {}
        self._cut_off = False
        self._join = "has not joined yet" if settings.seeds else "founded a cluster: GDD_MEM_SEED names no seed"
        self._joined = not settings.seeds
        self._logger = logger if settings.log else SILENT
        self._log = RateLimitedLog(self._logger, time.monotonic)
        self._refusals = Refusals(self._logger)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        """See `Driver.run`.

        Raises:
            MetadataTooLarge: before anything is sent.
            SettingsError: the port is taken.
            JoinError: no seed answers, and ``GDD_MEM_JOIN=required``.
        """
        self._sink = sink
        self._node_scope = anyio.CancelScope(shield=True)
        settings, started = self._settings, False
        config = attrs.evolve(settings.config, meta=b"" if instance is None else encode_instance(instance))
        load = LoadMeter() if config.weight_interval else None
        hooks = Hooks(load=load, headroom=own_load.headroom, user_data=False)
        self._node = GossipNode(
            config,
            bind=settings.bind,
            # A process that only looks needs no port that others know; a service that can have it is a seed by default.
            port=0 if settings.any_port and instance is None and not self.registers_later else settings.port,
            or_any=settings.any_port,
            keyring=self._keyring,
            hooks=hooks,
            on_events=self._on_events,
            quiet=not settings.log,
        )
        async with anyio.create_task_group() as tasks:
            try:
                await tasks.start(self._run_node)
            except CannotListen as error:
                raise SettingsError(_what_to_set(error)) from error
            try:
                if settings.seeds:
                    await self._join_first(tasks)
                    tasks.start_soon(self._keep_looking_up_seeds)
                started = True
                task_status.started()
                await anyio.sleep_forever()
            finally:
                if not started:
                    with anyio.CancelScope(shield=True):
                        await self._node.leave(_TAKE_BACK_WITHIN)
                self._node_scope.cancel()

    async def _run_node(self, *, task_status: TaskStatus[None]) -> None:
        """Run the node until its scope is cancelled: whoever ends the driver, it lives until it has said good-bye."""
        with self._node_scope:
            await self.node.run(task_status=task_status)

    async def _keep_looking_up_seeds(self) -> None:
        """Names move, and name more nodes later on: a cluster may have to be found again, or to be found at all."""
        while True:
            interval = self._settings.config.push_pull_interval or _LOOK_UP_INTERVAL
            await anyio.sleep(interval * random.uniform(0.5, 1.0))
            await self.node.refresh_seeds(self._settings.seeds)

    async def _join_first(self, tasks: anyio.abc.TaskGroup) -> None:
        """One attempt before the driver counts as started. If nobody has to answer, it waits for a moment only: a seed
        that takes the connection and says nothing is no reason to keep everybody waiting.
        """
        if self._settings.join is JoinPolicy.REQUIRED:
            await first_attempt(
                self._try_to_join, policy=self._settings.join, variable="GDD_MEM_JOIN", passing=JoinError
            )
            return
        attempted = anyio.Event()
        tasks.start_soon(self._join_and_keep_trying, attempted)
        with anyio.move_on_after(_FIRST_ATTEMPT_TIMEOUT):
            await attempted.wait()
            return
        self._join = f"no answer of all seeds within {_FIRST_ATTEMPT_TIMEOUT:g} s; still trying"
        self._logger.warning("%s in the background", self._join, extra=_fields(self._join))

    async def _join_and_keep_trying(self, attempted: anyio.Event) -> None:
        try:
            await self._try_to_join()
        except JoinError as error:
            self._logger.warning("%s; trying again in the background", error, extra=_fields(error))
            attempted.set()
            await self._keep_trying_to_join()
        else:
            attempted.set()

    async def _try_to_join(self) -> None:
        node = self.node
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
        backoff = Backoff(_FIRST_RETRY, self._settings.config.push_pull_interval or 60.0)
        for failures in itertools.count(1):
            delay = backoff.delay(failures)
            self._join = f"{self._join}; attempt {failures + 1} in {delay:.1f} s"
            await anyio.sleep(delay)
            with contextlib.suppress(JoinError):
                await self._try_to_join()
                self._logger.info("%s", self._join, extra=_fields())
                return

    @property
    def node(self) -> GossipNode:
        """The node that runs, or ran last.

        Raises:
            RuntimeError: none was started yet.
        """
        if self._node is None:
            raise RuntimeError("the driver is not running")
        return self._node

    async def update(self, instance: Instance) -> None:
        """See `Driver.update`."""
        node = self.node
        node.reconfigure(attrs.evolve(node.swim.config, meta=encode_instance(instance)))

    async def reconfigure(self, settings: MemberlistSettings) -> None:
        """See `ReconfigurableDriver.reconfigure`."""
        node = self.node
        self._settings = settings
        self.detection_bound = 3 * settings.config.probe_interval
        self._keyring.replace(settings.keys)
        now = node.swim.config
        node.reconfigure(attrs.evolve(settings.config, meta=now.meta, advertise_port=now.advertise_port))

    async def leave(self) -> None:
        """See `Driver.leave`."""
        if self._node is not None and not await self._node.leave(_LEAVE_WITHIN):
            self._logger.warning(
                "left without knowing that the others heard it within %g s", _LEAVE_WITHIN, extra=_fields()
            )

    def propagation_time(self) -> float:
        """See `AnnouncingDriver.propagation_time`: as many rounds of gossip as one message is sent in."""
        swim = self.node.swim
        return swim.config.gossip_interval * retransmit_limit(swim.config.retransmit_mult, swim.known)

    def probe(self, member: Member) -> None:
        """See `ProbingDriver.probe`, and `protocol.hint`."""
        self.node.hint(self._node_of(member))

    def round_trip(self, member: Member) -> float | None:
        """See `ProbingDriver.round_trip`; of the gossip's direct pings."""
        node = self._started_node
        record = None if node is None else node.swim.record(self._node_of(member))
        return None if record is None else record.round_trip

    def doubt(self) -> str:
        """See `ProbingDriver.doubt`; Lifeguard's score says so."""
        node = self._started_node
        score = 0 if node is None else node.swim.health_score
        return f"the health score of the gossip is {score}: this node may be the one in trouble" if score else ""

    @property
    def _started_node(self) -> GossipNode | None:
        """For who may ask at any time: while the sockets are opened there is a node that has nothing to tell."""
        node = self._node
        return node if node is not None and node.started else None

    def _node_of(self, member: Member) -> str:
        """The name of the node that offers it. Another backend may have another name for the process."""
        return self._offers.node_at(member.host, member.port) or member.node

    # -- what the cluster says -----------------------------------------------------------------------------------------

    def _on_events(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case (
                    NodeJoined(node)
                    | NodeLeft(node)
                    | NodeUpdated(node)
                    | NodeSuspected(node)
                    | NodeRefuted(node)
                    | WeightChanged(node)
                ):
                    self._changed[node.name] = node
                case NodeConflict(node, other):
                    self._log.warning(
                        "conflict",
                        "the node name %s is claimed from %s:%d too; set GDD_MEM_NAME so that every node has its own",
                        printable(node.name),
                        bracketed(other[0]),
                        other[1],
                        extra=partial(
                            fields, node=node.name, backend=self.mode, source=f"{bracketed(other[0])}:{other[1]}"
                        ),
                    )
                case MergeEnded() | RemoteState() | UserMessage() | PingCompleted() | Problem():
                    pass
                case _:
                    assert_never(event)
        if not self._more_to_come():
            self._report()

    def _more_to_come(self) -> bool:
        """Whether to wait for more changes before reporting them: a state of thousands of nodes comes in small steps,
        and every report publishes the whole service anew. So few large reports are made of it, in proportion to what
        there is already.
        """
        return self.node.swim.cluster.merging and len(self._changed) < max(
            _FEW, len(self._offers) // _REPORTS_OF_A_MERGE
        )

    def _report(self) -> None:
        """Report what has changed; and if it is us who are cut off, that nobody's disappearance means anything."""
        sink = self._sink
        if sink is None:
            return
        observed: list[Member] = []
        changed, self._changed = self._changed, {}
        for node in changed.values():
            observed += self._offers.observe(node)
        cut_off = self.node.swim.cluster.cut_off
        if cut_off and not self._cut_off:
            sink.authoritative(False, "gossip has lost all other nodes at once")
        elif not cut_off and self._cut_off:
            sink.authoritative(True)
            observed = [*self._offers, *observed]
        self._cut_off = cut_off
        if observed:
            sink.observe(observed)

    def _unusable(self, node: protocol.Node, unusable: Unusable | None) -> None:
        if unusable is not None:
            self._refusals.note(node.name, unusable)
            return
        extra = partial(fields, node=node.name, backend=self.mode)
        text = printable(node.name)
        self._log.warning("metadata", "the metadata of %s cannot be read: %r", text, node.meta[:80], extra=extra)

    def status(self) -> DriverStatus:
        """See `Driver.status`."""
        node = self._started_node
        if node is None:
            return DriverStatus(self.mode, False, "not started")
        swim = node.swim
        counters = swim.counters | {
            "metadata_decoded": self._offers.decoded,
            "metadata_unreadable": self._offers.unreadable,
            "values_dropped": self._refusals.count,
        }
        config = swim.config
        address = f"{bracketed(config.advertise_host)}:{config.advertise_port}"
        message = f"{config.name} at {address}, {self._join}"
        if taken := swim.cluster.name_taken_by:
            message = (
                f"the node name {config.name} is taken by {bracketed(taken[0])}:{taken[1]}, so that nobody lists this "
                "node: set GDD_MEM_NAME"
            )
        return DriverStatus(
            self.mode, self._joined and not taken, message, swim.cluster.alive, address, counters, swim.gauges
        )


def _what_to_set(error: CannotListen) -> str:
    if error.port_taken:
        return f"{error}; set GDD_MEM_PORT to another port, or to 0 for any free one"
    return f"GDD_MEM_BIND: {error}"


def _fields(reason: object = "") -> dict[str, str]:
    return fields(backend="memberlist", reason=reason)
