"""The sockets and timers of one gossip node: the only place here where anything is sent, received or waited for.

It knows nothing of the protocol. Datagrams are read by waiting until the socket is readable and draining it, which
costs a tenth of a datagram transport; what `Swim` wants done is done after every batch.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial

import anyio
import attrs
from anyio.abc import TaskGroup, TaskStatus

from ..kit.log_fields import fields
from ..kit.log_limit import RateLimitedLog
from ..kit.validation import escaped
from .connections import Connections
from .joining import JoinAttempt
from .lookups import resolve_all
from .protocol import Config, Effects, Hooks, Keyring, Swim
from .protocol.addresses import Address
from .protocol.events import Event, Problem
from .protocol.stream_exchange import StreamExchange
from .quiet import SILENT
from .resolver import Resolver
from .sockets import Sockets, open_sockets

__all__ = ["GossipNode"]

logger = logging.getLogger(__name__)

_DRAIN = 64
"""Datagrams read before the loop gets its turn."""
_READ_BYTES = 65_536
_OWN_NAME_WITHIN = 2.0
_REFRESH_WITHIN = 5.0
"""Seconds for the look-up of our own name and of the seeds' names: a name service may be silent about one of them."""


class GossipNode:
    """A gossip node on real sockets.

    ::

        node = GossipNode(config, on_events=print)
        async with anyio.create_task_group() as tasks:
            await tasks.start(node.run)
            await node.join([("10.0.0.1", 7946)])

    Args:
        config: with `advertise_port` 0, whatever free port is bound is advertised.
        bind: the address to listen on; "" is every interface.
        port: the port to listen on, for UDP and TCP; 0 is any free one.
        or_any: whether another one will do if it is taken.
        on_events: called with each batch of events, in order, on the event loop; it must not block.
        quiet: log nothing.
    """

    def __init__(
        self,
        config: Config,
        *,
        bind: str = "",
        port: int = 0,
        or_any: bool = False,
        keyring: Keyring | None = None,
        hooks: Hooks | None = None,
        on_events: Callable[[Sequence[Event]], None] = lambda events: None,
        quiet: bool = False,
    ) -> None:
        self._config = config
        self._bind = bind
        self._port, self._or_any = port, or_any
        self._keyring = keyring
        self._hooks = hooks
        self._on_events = on_events
        self._clock = time.monotonic
        self._swim: Swim | None = None
        self._udp: dict[int, socket.socket] = {}
        self._tasks: TaskGroup | None = None
        self._left = anyio.Event()
        self._seed_hosts: dict[str, list[str]] = {}
        self._wake = anyio.Event()
        self._sleeps_until = math.inf
        self._connections: Connections | None = None
        self._logger = SILENT if quiet else logger
        self._log = RateLimitedLog(self._logger, self._clock)
        self._resolver = Resolver(self._in_background, self._clock, log=self._logger)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled.

        Raises:
            CannotListen: the port is taken or the address is not ours.
        """
        sockets = await open_sockets(self._bind, self._port, or_any=self._or_any)
        try:
            await self._serve(sockets, task_status)
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                await sockets.aclose()

    async def _serve(self, sockets: Sockets, task_status: TaskStatus[None]) -> None:
        config = attrs.evolve(self._config, advertise_port=self._config.advertise_port or sockets.port)
        self._udp = sockets.udp
        self._swim = Swim(
            config,
            random=random.Random(os.urandom(16)),
            random_bytes=os.urandom,
            now=self._clock(),
            keyring=self._keyring,
            hooks=attrs.evolve(self._hooks or Hooks(), addresses=self._resolver.known),
        )
        self._connections = Connections(self._swim, self._flush, self._resolver.resolve)
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for datagrams in sockets.udp.values():
                tasks.start_soon(self._receive, datagrams)
            for listener in sockets.tcp:
                tasks.start_soon(self._connections.serve, listener)
            tasks.start_soon(self._keep_time)
            self._flush()
            self._logger.info(
                "gossip node %s listens on port %d (%s)",
                config.name,
                sockets.port,
                config.dialect.value,
                extra=fields(node=config.name, backend="memberlist"),
            )
            task_status.started()

    @property
    def started(self) -> bool:
        """Whether there is a protocol's side yet."""
        return self._swim is not None

    @property
    def swim(self) -> Swim:
        """The protocol's side of the node: settings, members, counters.

        Raises:
            RuntimeError: `run` has not started.
        """
        if self._swim is None:
            raise RuntimeError("the node is not running")
        return self._swim

    # -- what the owner wants ------------------------------------------------------------------------------------------

    async def join(self, seeds: Sequence[Address]) -> int:
        """Exchange states with all seeds at once, at every address that their names have, until one has brought us
        among others; returns how many have answered by then. What is still under way goes on.

        Our own address among them is skipped: all nodes may be given the same list.

        Raises:
            JoinError: there was somebody to ask and nobody answered, or nobody else came of it; names every reason.
        """
        own = await self._own_hosts()
        attempt = JoinAttempt(len(seeds), lambda: self.swim.cluster.among_others)
        for seed in seeds:
            self._in_background(self._look_up_and_dial, seed, seeds, own, attempt)
        await attempt.wait()
        return attempt.answered

    async def _look_up_and_dial(
        self, seed: Address, seeds: Sequence[Address], own: set[str], attempt: JoinAttempt
    ) -> None:
        failure = await self._look_up(seed[0])
        self.swim.remember_seeds(self._targets(seeds, own))
        for target in attempt.looked_up(self._targets([seed], own), failure):
            self.swim.join(target, self._clock(), attempt.ended)
        self._flush()

    async def refresh_seeds(self, seeds: Sequence[Address]) -> None:
        """Look up the names of the seeds again. Whoever is new there is tried like a member that was lost; a name that
        cannot be resolved stands for what it was before.
        """
        own = await self._own_hosts()

        async def refresh(host: str) -> None:
            await self._look_up(host)
            self.swim.remember_seeds(self._targets(seeds, own))

        with anyio.move_on_after(_REFRESH_WITHIN):
            async with anyio.create_task_group() as tasks:
                for host in dict.fromkeys(host for host, _ in seeds):
                    tasks.start_soon(refresh, host)

    async def _look_up(self, host: str) -> str:
        """Look up a seed; returns why that failed, "" if it did not. What was found before stays then."""
        try:
            self._seed_hosts[host] = await resolve_all(host)
        except (OSError, UnicodeError) as error:
            return f"{host}: {error}"
        return ""

    async def _own_hosts(self) -> set[str]:
        """What stands for ourselves among the seeds."""
        host = self.swim.config.advertise_host
        own = {host}
        with contextlib.suppress(OSError, UnicodeError), anyio.move_on_after(_OWN_NAME_WITHIN):
            own.update(await resolve_all(host))
        return own

    def _targets(self, seeds: Sequence[Address], own: set[str]) -> list[Address]:
        """Every address of the seeds that is known, but our own."""
        own_port = self.swim.config.advertise_port
        found = ((address, port) for host, port in seeds for address in self._seed_hosts.get(host, ()))
        return [target for target in dict.fromkeys(found) if target[0] not in own or target[1] != own_port]

    def reconfigure(self, config: Config) -> None:
        """Replace the settings of the running node; new metadata is announced at once."""
        self.swim.reconfigure(config, self._clock())
        self._flush()

    def hint(self, name: str) -> None:
        """Somebody's call to the node of that name has failed: see `Swim.hint`."""
        self.swim.hint(name, self._clock())
        self._flush()

    async def leave(self, within: float) -> bool:
        """Tell the others that we go, and wait until they know, at most `within` seconds; True if they do."""
        self.swim.leave(self._clock())
        self._flush()
        with anyio.move_on_after(within):
            await self._left.wait()
        return self.swim.left

    def report_left(self, name: str, incarnation: int) -> None:
        """Tell everybody that the node of that name has left: see `Swim.report_left`."""
        self.swim.report_left(name, incarnation, self._clock())
        self._flush()

    async def rejoin(self, seeds: Sequence[Address]) -> int:
        """Take part again after `leave`; see `join`."""
        self.swim.rejoin(self._clock())
        return await self.join(seeds)

    def broadcast(self, payload: bytes) -> None:
        """Spread an application's message by gossip.

        Raises:
            ValueError: it does not fit into a packet of gossip.
        """
        self.swim.application.broadcast(payload, self._clock())
        self._flush()

    async def send(self, to: str | Address, payload: bytes, *, reliable: bool) -> None:
        """Send an application's message to the node of that name or at that address: as a datagram, which may be lost,
        or over a stream, and then wait until it has been handed over.

        Raises:
            KeyError: no node of that name is known.
            ValueError: the message is too long.
            ConnectionError: it could not be handed over (never for a datagram).
        """
        ended = anyio.Event()
        failure = ""

        def end(exchange: StreamExchange) -> None:
            nonlocal failure
            failure = exchange.failure
            ended.set()

        self.swim.application.send(to, payload, self._clock(), reliable=reliable, on_end=end)
        self._flush()
        if reliable:
            await ended.wait()
            if failure:
                raise ConnectionError(failure)

    async def ping(self, name: str, address: Address | None = None) -> float:
        """The round-trip time in seconds of one ping to the node of that name, at its own or another address.

        Raises:
            KeyError: no node of that name is known, and no address was given.
            TimeoutError: no ack came within the probe timeout.
        """
        ended = anyio.Event()
        answer: float | None = None

        def end(round_trip: float | None) -> None:
            nonlocal answer
            answer = round_trip
            ended.set()

        self.swim.application.ping((name, address) if address else name, self._clock(), end)
        self._flush()
        await ended.wait()
        if answer is None:
            raise TimeoutError(f"{name} sent no ack within {self.swim.config.probe_timeout:g} s")
        return answer

    # -- time ----------------------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        while True:
            wake_at = self.swim.wake_at
            self._sleeps_until = math.inf if wake_at is None else wake_at
            self._wake = anyio.Event()
            with anyio.move_on_after(max(0.0, self._sleeps_until - self._clock())):
                await self._wake.wait()
            for datagrams in self._udp.values():
                # What already arrived must count before a timer says that nothing did.
                self._drain(datagrams)
            self.swim.advance(self._clock())
            self._flush()

    def _flush(self) -> None:
        """Do what the protocol wants done."""
        swim = self.swim
        effects = swim.take()
        for address, datagram in effects.packets:
            self._send(address, datagram)
        for exchange in effects.streams:
            self._in_background(self._dial, exchange)
        if effects.events:
            self._tell(effects)
        if swim.left:
            self._left.set()
        wake_at = swim.wake_at
        if wake_at is not None and wake_at < self._sleeps_until:
            self._sleeps_until = wake_at
            self._wake.set()

    def _tell(self, effects: Effects) -> None:
        for event in effects.events:
            if isinstance(event, Problem):
                self._log.warning(
                    event.kind,
                    "%s: %s (from %s)",
                    event.kind.replace("_", " "),
                    escaped(event.detail),
                    event.source or "<unknown address>",
                    extra=partial(fields, backend="memberlist", source=event.source, reason=event.detail),
                )
        self._on_events(effects.events)

    async def _dial(self, exchange: StreamExchange) -> None:
        if self._connections is not None:
            await self._connections.dial(exchange)

    def _in_background(self, function: Callable[..., object], *arguments: object) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(function, *arguments)  # type: ignore[arg-type]

    # -- datagrams -----------------------------------------------------------------------------------------------------

    async def _receive(self, datagrams: socket.socket) -> None:
        while True:
            await anyio.wait_readable(datagrams)
            self._drain(datagrams)
            self._flush()

    def _drain(self, datagrams: socket.socket) -> None:
        swim, now = self.swim, self._clock()
        for _ in range(_DRAIN):
            try:
                data, source = datagrams.recvfrom(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._logger.debug("receiving a datagram failed: %s", error)
                return
            swim.packet_received(data, (source[0], source[1]), now)

    def _send(self, address: Address, datagram: bytes) -> None:
        host, port = address
        addresses = self._resolver.addresses(host, lambda: self._send(address, datagram))
        for resolved in addresses:
            if resolved != host and not self.swim.config.allows(resolved):
                continue  # a name may resolve to anything
            datagrams = self._udp.get(socket.AF_INET6 if ":" in resolved else socket.AF_INET)
            if datagrams is None:
                continue
            try:
                datagrams.sendto(datagram, (resolved, port))
            except OSError as error:
                # Full buffers, no route, a refused broadcast: to the protocol a lost packet, which it is made for.
                self._logger.debug("sending %d bytes to %s failed: %s", len(datagram), address, error)
            return
