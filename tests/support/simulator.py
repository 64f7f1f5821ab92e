"""A world for gossip nodes: one virtual clock, one network, any number of protocol cores, and one seed for it all.

Time jumps from event to event, so a minute in a small cluster takes milliseconds. Whatever is left to chance - what
the network does to a packet, whom a node probes - is drawn from generators that the seed determines: the same seed
and the same calls give the same run, event by event.

The network delays, loses, duplicates and reorders datagrams, and can be cut in one direction. Streams are as TCP: what
is lost arrives later, a connection to a crashed process is refused, one across a cut times out. A process can

- crash: it is gone, with all it knew; `restart` gives its address and name to a new one;
- be *suspended*: it stands still as under SIGSTOP, its timers and datagrams wait;
- be *muted*: its timers run, but what it sends and receives is held back. That is how the authors of Lifeguard made
  members slow.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

import attrs
from support.streams import drive

from pydoudou.drivers.memberlist.protocol import Config, Swim
from pydoudou.drivers.memberlist.protocol.addresses import Address
from pydoudou.drivers.memberlist.protocol.events import Event, Node
from pydoudou.drivers.memberlist.protocol.messages import State
from pydoudou.drivers.memberlist.protocol.stream_exchange import StreamExchange

__all__ = ["Network", "Outside", "Process", "Simulation"]

_RETRANSMISSION_TIMEOUT = 0.2
_HANDSHAKE = 3
"""One-way trips until the first bytes of a new connection arrive."""
_MESSAGE, _TIMER = 0, 1
"""At the same moment, what has arrived counts before a timer says that nothing did."""


@attrs.define
class Network:
    """What happens to packets. Latencies are seconds in one direction, the others are probabilities.

    Attributes:
        reordering: how often a datagram is held up, so that later ones overtake it.
        held_up: for how long at the most.
    """

    least_latency: float = 0.000_2
    most_latency: float = 0.002
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    held_up: float = 0.2

    @classmethod
    def instant(cls) -> Network:
        """One on which everything arrives at the moment in which it is sent."""
        return cls(least_latency=0.0, most_latency=0.0)


@attrs.define(eq=False)
class Process:
    """A place for a gossip node: an address and a name, and the node that runs there, if any.

    Attributes:
        seeds: whom a new process joins, and goes back to.
        options: what else a node is made with: its keyring, its hooks.
        life: counts the processes that ran here.
        muted_until: when its messages move again.
        suspended_until: when it runs again.
    """

    config: Config
    seeds: Sequence[Address] = ()
    options: Mapping[str, Any] = attrs.field(factory=dict)
    swim: Swim | None = None
    life: int = 0
    muted_until: float = -math.inf
    suspended_until: float = -math.inf
    wakes_at: float = math.inf
    address: Address = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.address = (self.config.advertise_host, self.config.advertise_port)

    @property
    def name(self) -> str:
        """The node's name."""
        return self.config.name

    @property
    def core(self) -> Swim:
        """The node that runs here; an error if none does."""
        assert self.swim is not None, f"{self.name} does not run"
        return self.swim

    def view(self) -> dict[str, tuple[int, State, bytes]]:
        """Who is a member, as this node sees it: incarnation, state and metadata by name."""
        return {node.name: (node.incarnation, node.state, node.meta) for node in self.core.members()}

    def opinion(self, name: str) -> Node | None:
        """What this node knows about `name`."""
        return next((node for node in self.core.nodes() if node.name == name), None)


@attrs.define(eq=False)
class _End:
    """One end of a connection, and the process that holds it."""

    process: Process
    life: int
    exchange: StreamExchange
    other: _End | None = None
    last_arrival: float = -math.inf

    @property
    def open(self) -> bool:
        return not self.exchange.done and self.process.life == self.life and self.process.swim is not None


@attrs.define
class Outside:
    """What was sent to addresses where no process is, for a test to look at and to answer."""

    packets: list[tuple[Address, bytes]] = attrs.field(factory=list)
    streams: list[StreamExchange] = attrs.field(factory=list)


class Simulation:
    """The clock, the network and the processes.

    Args:
        seed: determines everything that is left to chance.
        on_event: called with every event of every node.
        on_step: called with every process after it has done anything.
        on_packet: called with every datagram that a process sends, and where it goes.
        outside: takes what goes to addresses where no process is; without it that is lost, or refused.

    Attributes:
        packets: how many datagrams were sent so far.
        stream_bytes: how many bytes have come over streams so far.
        passes: whether something gets from one process to another, "udp" or "tcp", apart from the cuts.
    """

    def __init__(
        self,
        seed: int,
        network: Network | None = None,
        *,
        on_event: Callable[[Process, Event], None] | None = None,
        on_step: Callable[[Process], None] | None = None,
        on_packet: Callable[[Process, Address, bytes], None] | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.seed = seed
        self.network = network if network is not None else Network()
        self.now = 0.0
        self.processes: dict[Address, Process] = {}
        self.on_event = on_event
        self.on_step = on_step
        self.on_packet = on_packet
        self.outside = outside
        self.passes: Callable[[Process, Process, str], bool] = lambda source, target, transport: True
        self.packets = 0
        self.stream_bytes = 0
        self._chance = Random(seed)
        self._cuts: set[tuple[Address, Address]] = set()
        self._agenda: list[tuple[float, int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def __repr__(self) -> str:
        return (
            f"<simulation with seed {self.seed} at {self.now:.3f} s, {len(self.live)} of {len(self.processes)} alive>"
        )

    @property
    def live(self) -> list[Process]:
        """The processes that run, the suspended ones included."""
        return [process for process in self.processes.values() if process.swim is not None]

    # -- processes -----------------------------------------------------------------------------------------------------

    def add(self, config: Config, seeds: Iterable[Address] = (), **options: Any) -> Process:
        """A new process, which joins `seeds`."""
        own = (config.advertise_host, config.advertise_port)
        process = Process(config, [seed for seed in seeds if seed != own], options)
        self.processes[process.address] = process
        self.restart(process)
        return process

    def restart(self, process: Process, meta: bytes | None = None) -> None:
        """Start a process that does not run; it remembers nothing."""
        assert process.swim is None, f"{process.name} runs"
        if meta is not None:
            process.config = attrs.evolve(process.config, meta=meta)
        process.muted_until = process.suspended_until = -math.inf
        swim = self._start(process)
        for seed in process.seeds:
            swim.join(seed, self.now)
        self.flush(process)

    def _start(self, process: Process) -> Swim:
        process.life += 1
        process.wakes_at = math.inf
        chance = Random(f"{self.seed} {process.name} {process.life}")
        swim = Swim(process.config, random=chance, random_bytes=chance.randbytes, now=self.now, **process.options)
        swim.remember_seeds(process.seeds)
        process.swim = swim
        return swim

    def form(self, configs: Iterable[Config], seeds: Iterable[Address] = ()) -> list[Process]:
        """Processes that have known each other for long: for clusters whose forming is not what a test is about.

        Every node is told about all; what it would gossip about that is dropped, and so are the events.
        """
        processes = [Process(config, list(seeds)) for config in configs]
        everybody = [
            Node(
                config.name,
                config.advertise_host,
                config.advertise_port,
                config.meta,
                State.ALIVE,
                incarnation=1,
                vsn=config.vsn,
            )
            for config in (process.config for process in processes)
        ]
        for process in processes:
            self.processes[process.address] = process
            self._start(process).introduce(everybody, self.now)
            self.flush(process)
        return processes

    def crash(self, process: Process) -> None:
        """Stop a process without a word."""
        process.swim = None

    def leave(self, process: Process) -> None:
        """Let a node say good-bye; it goes on running."""
        process.core.leave(self.now)
        self.flush(process)

    def suspend(self, process: Process, seconds: float) -> None:
        """Stop a process as SIGSTOP does, and continue it after `seconds`."""
        process.suspended_until = max(process.suspended_until, self.now + seconds)
        process.muted_until = max(process.muted_until, process.suspended_until)

    def mute(self, process: Process, seconds: float) -> None:
        """Hold back what a process sends and receives for `seconds`; its timers run."""
        process.muted_until = max(process.muted_until, self.now + seconds)

    def stop_faults(self) -> None:
        """A sound network and running processes from here on; the crashed stay so."""
        self._cuts.clear()
        self.network = Network()
        for process in self.processes.values():
            for until in ("muted_until", "suspended_until"):
                setattr(process, until, min(self.now, getattr(process, until)))

    # -- the network ---------------------------------------------------------------------------------------------------

    def cut(self, sources: Iterable[Process], targets: Iterable[Process]) -> None:
        """Let nothing pass from `sources` to `targets`; the other direction is not touched."""
        receivers = [process.address for process in targets]
        self._cuts.update((process.address, receiver) for process in sources for receiver in receivers)

    def partition(self, some: Sequence[Process], others: Sequence[Process]) -> None:
        """Let nothing pass between the two sides."""
        self.cut(some, others)
        self.cut(others, some)

    def mend(self) -> None:
        """Undo all cuts."""
        self._cuts.clear()

    def inject(self, process: Process, datagram: bytes, source: Address = ("10.255.255.255", 7946)) -> None:
        """Let a datagram that nobody here sent arrive at once."""
        process.core.packet_received(datagram, source, self.now)
        self.flush(process)

    # -- time ----------------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        self.run_until(lambda: False, seconds, every=math.inf)

    def run_until(self, condition: Callable[[], object], within: float, every: float = 0.1) -> float | None:
        """Let time pass until `condition` holds, which is asked every `every` seconds, or with 0 after each moment in
        which anything happens.

        Returns:
            Seconds until then, or None if it did not hold `within` seconds.
        """
        started, end = self.now, self.now + within
        agenda = self._agenda
        while self.now < end:
            if condition():
                return self.now - started
            next_moment = max(self.now, agenda[0][0]) if agenda else end
            pause = min(end, self.now + every if every else next_moment)
            self._run_due(pause)
            self.now = pause
        return self.now - started if condition() else None

    def later(self, seconds: float, happens: Callable[..., None], *arguments: Any) -> None:
        """Have something happen after so much time."""
        self._at(self.now + seconds, _TIMER, happens, *arguments)

    def settle(self) -> None:
        """Deliver what was sent, and what was sent because of it, as far as that takes no time."""
        for process in self.live:
            self.flush(process)
        self._run_due(self.now)

    def _run_due(self, until: float) -> None:
        agenda = self._agenda
        while agenda and agenda[0][0] <= until:
            when, _, _, happens, arguments = heapq.heappop(agenda)
            self.now = max(self.now, when)
            happens(*arguments)

    def _at(self, when: float, rank: int, happens: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (when, rank, self._count, happens, arguments))

    def _wake(self, process: Process, life: int, due: float) -> None:
        if process.life != life or process.wakes_at != due or process.swim is None:
            return
        if process.suspended_until > self.now:
            process.wakes_at = process.suspended_until
            self._at(process.wakes_at, _TIMER, self._wake, process, life, process.wakes_at)
            return
        process.wakes_at = math.inf
        process.swim.advance(self.now)
        self.flush(process)

    def flush(self, process: Process) -> None:
        """Do what a node wants done."""
        swim = process.core
        effects = swim.take()
        for to, datagram in effects.packets:
            self._send(process, to, datagram)
        for exchange in effects.streams:
            self._dial(process, exchange)
        if self.on_event is not None:
            for event in effects.events:
                self.on_event(process, event)
        if self.on_step is not None:
            self.on_step(process)
        wake_at = swim.wake_at
        if wake_at is not None and wake_at < process.wakes_at:
            process.wakes_at = max(wake_at, self.now)
            self._at(process.wakes_at, _TIMER, self._wake, process, process.life, process.wakes_at)

    # -- datagrams -----------------------------------------------------------------------------------------------------

    def _send(self, sender: Process, to: Address, datagram: bytes) -> None:
        self.packets += 1
        if self.on_packet is not None:
            self.on_packet(sender, to, datagram)
        target = self.processes.get(to)
        if self.outside is not None and (target is None or target is sender):
            self.outside.packets.append((to, datagram))
            return
        if (sender.address, to) in self._cuts or (target is not None and not self.passes(sender, target, "udp")):
            return
        network, chance = self.network, self._chance.random
        copies = 2 if network.duplication and chance() < network.duplication else 1
        leaves_at = max(self.now, sender.muted_until)
        for _ in range(copies):
            if network.loss and chance() < network.loss:
                continue
            delay = network.least_latency + chance() * (network.most_latency - network.least_latency)
            if network.reordering and chance() < network.reordering:
                delay += chance() * network.held_up
            self._at(leaves_at + delay, _MESSAGE, self._deliver, to, datagram, sender.address)

    def _deliver(self, to: Address, datagram: bytes, source: Address) -> None:
        process = self.processes.get(to)
        if process is None or process.swim is None:
            return
        if process.muted_until > self.now:
            self._at(process.muted_until, _MESSAGE, self._deliver, to, datagram, source)
            return
        process.swim.packet_received(datagram, source, self.now)
        self.flush(process)

    # -- streams -------------------------------------------------------------------------------------------------------

    def _trip(self, trips: int = 1) -> float:
        """How long bytes on a stream take: what is lost is sent again."""
        network, chance = self.network, self._chance.random
        delay = 0.0
        for _ in range(trips):
            delay += network.least_latency + chance() * (network.most_latency - network.least_latency)
            while network.loss and chance() < network.loss:
                delay += _RETRANSMISSION_TIMEOUT
        return delay

    def _dial(self, process: Process, exchange: StreamExchange) -> None:
        target = self.processes.get(exchange.address or ("", 0))
        if self.outside is not None and (target is None or target is process):
            self.outside.streams.append(exchange)
            return
        dialler = _End(process, process.life, exchange)
        self._at(exchange.deadline, _TIMER, self._overdue, dialler)
        leaves_at = max(self.now, process.muted_until)
        self._at(leaves_at + self._trip(_HANDSHAKE), _MESSAGE, self._connected, dialler)

    def _connected(self, dialler: _End) -> None:
        """The dialler's first bytes are at the other side."""
        process, exchange = dialler.process, dialler.exchange
        target = self.processes.get(exchange.address or ("", 0))
        if not dialler.open or (target is not None and self._is_cut(process, target)):
            return
        if target is None or target.swim is None:
            self._at(self.now + self._trip(), _MESSAGE, self._refused, dialler)
            return
        if target.muted_until > self.now:
            self._at(target.muted_until, _MESSAGE, self._connected, dialler)
            return
        accepted = dialler.other = _End(target, target.life, target.swim.accept(process.address, self.now), dialler)
        self._at(accepted.exchange.deadline, _TIMER, self._overdue, accepted)
        data = drive(exchange, self.now)
        self.flush(process)
        self._arrived(accepted, data, exchange.done)

    def _arrived(self, end: _End, data: bytes, ended: bool) -> None:
        """Bytes, and perhaps the end, have come to one side; it goes on, and what it writes is sent."""
        process, exchange, other = end.process, end.exchange, end.other
        assert other is not None
        if not end.open or self._is_cut(process, other.process):
            return
        if process.muted_until > self.now:
            self._at(process.muted_until, _MESSAGE, self._arrived, end, data, ended)
            return
        self.stream_bytes += len(data)
        written = drive(exchange, self.now)
        if data:
            exchange.received(data, self.now)
            written += drive(exchange, self.now)
        if ended:
            exchange.received(b"", self.now)
            written += drive(exchange, self.now)
        self.flush(process)
        if other.open and (written or exchange.done):
            other.last_arrival = max(other.last_arrival, self.now + self._trip())
            self._at(other.last_arrival, _MESSAGE, self._arrived, other, written, exchange.done)

    def _refused(self, dialler: _End) -> None:
        self._abort(dialler, "connection refused")

    def _overdue(self, end: _End) -> None:
        """The deadline of a step is over, unless it was moved on."""
        if end.exchange.deadline > self.now:
            self._at(end.exchange.deadline, _TIMER, self._overdue, end)
        else:
            self._abort(end, "no answer in time")

    def _abort(self, end: _End, reason: str) -> None:
        if end.open:
            end.exchange.abort(reason, self.now)
            self.flush(end.process)

    def _is_cut(self, one: Process, other: Process) -> bool:
        """A connection needs both directions."""
        pairs = ((one, other), (other, one))
        return any(
            (source.address, target.address) in self._cuts or not self.passes(source, target, "tcp")
            for source, target in pairs
        )
