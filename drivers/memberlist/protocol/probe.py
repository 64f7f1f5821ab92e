"""The failure detector (SWIM section 4.1; Lifeguard for the timing).

Once per interval one node is pinged, in the order of the shuffled list. If no ack comes within the timeout, some
others are asked to ping it for us, and we try a ping over TCP ourselves. If nothing came by the end of the
interval, the node is suspected. Beside that round robin a node may be probed out of turn (`hint`).

Lifeguard adds: the interval is stretched while our own health is bad; helpers that fail to reach the target say so
(nack), so that a missing nack tells us that *we* are cut off; a node that is already suspected is told so together
with the ping, so that it can refute at once (the "buddy system").

Helpers of the Go code send the nack when their own timeout is over, which is later than the end of the requester's
interval: in its default profiles no nack ever counts. The Lifeguard paper sends it at 80 % of the timeout, and so
do we, measured on the time that the requester has left. That repairs Go requesters too.

An answer counts only from an address that was asked: the target's, or that of a helper. Go takes it from anybody, so
that a third host which guesses the numbers, and they count from 1, keeps a dead node alive. A node that sends from
another address than it advertises still has its ping over TCP.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .addresses import Address, ip_of, shown
from .context import Context
from .errors import ProtocolError
from .events import PingCompleted
from .membership import Membership
from .messages import Ack, IndirectPing, Nack, Ping, State, Suspect
from .node_list import NodeRecord, Roster
from .packet import compound
from .stream_exchange import StreamExchange
from .stream_reader import Message
from .timers import Timer

__all__ = ["Prober"]

MAX_WAITING = 4096
"""Probes for others that are under way. An honest cluster asks for a few per second."""
_NACK_SHARE = 0.8


@attrs.define(eq=False, repr=False)
class _Probe:
    """One node under probe."""

    node: NodeRecord
    sequence: int
    sent: float
    deadline: float
    timers: list[Timer] = attrs.field(factory=list)
    indirect: bool = False
    helpers: list[Address] = attrs.field(factory=list)
    expected_nacks: int = 0
    owe_nacks: set[Address] = attrs.field(factory=set)

    @property
    def asked(self) -> list[Address]:
        """Who may answer."""
        return [self.node.address, *self.helpers]

    def end(self) -> None:
        for timer in self.timers:
            timer.cancel()


@attrs.define(eq=False, repr=False)
class _Relay:
    """A probe that we make for somebody else."""

    requester: Address
    sequence: int
    target: Address
    nack_timer: Timer | None = None

    @property
    def asked(self) -> list[Address]:
        """Who may answer."""
        return [self.target]


@attrs.define(eq=False, repr=False)
class _Ping:
    """A ping that the owner asked for."""

    sent: float
    target: Address
    on_end: Callable[[float | None], None]
    timer: Timer | None = None

    @property
    def asked(self) -> list[Address]:
        """Who may answer."""
        return [self.target]


_Waiting = _Probe | _Relay | _Ping


class Prober:
    """Probes others, answers their probes, and helps with probes of third nodes."""

    def __init__(self, context: Context, roster: Roster, membership: Membership) -> None:
        self._context = context
        self._roster = roster
        self._membership = membership
        self._next = 0
        self._current: _Probe | None = None
        self._out_of_turn: list[_Probe] = []
        self._tick_waits = False
        self._waiting: dict[int, _Waiting] = {}
        self.on_stranger: Callable[[Ping, Address], None] | None = None
        """Called with the ping of a node that is not in the list, and where it came from."""

    @property
    def awaited(self) -> frozenset[int]:
        """The sequence numbers of the pings to which an ack may still come."""
        return frozenset(self._waiting)

    # -- probing -------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Probe the next node. While one is still under probe, the tick waits; it is the only one that does."""
        if self._current is not None:
            self._tick_waits = True
            return
        node = self._next_node()
        if node is not None:
            self._current = self._probe(node)

    @property
    def out_of_turn(self) -> int:
        """How many probes are under way besides that of the round robin."""
        return len(self._out_of_turn)

    def probe_out_of_turn(self, node: NodeRecord) -> bool:
        """Probe this node now, besides the round robin; False if it is just being probed."""
        under_way = self._out_of_turn if self._current is None else [self._current, *self._out_of_turn]
        if any(probe.node is node for probe in under_way):
            return False
        self._out_of_turn.append(self._probe(node))
        return True

    def _next_node(self) -> NodeRecord | None:
        context, roster = self._context, self._roster
        for _ in range(len(roster) + 1):
            if self._next >= len(roster):
                self._next = 0
                self._membership.reap()
                continue
            node = roster[self._next]
            self._next += 1
            if not node.gone and node.name != context.config.name:
                return node
        return None

    def _probe(self, node: NodeRecord) -> _Probe:
        context, config = self._context, self._context.config
        if context.awareness.score:
            context.counters["probes_degraded"] += 1
        sequence = context.next_sequence()
        deadline = context.now + context.awareness.scale(config.probe_interval)
        probe = _Probe(node, sequence, context.now, deadline)
        self._waiting[sequence] = probe
        timers = context.timers
        probe.timers.append(timers.at(context.now + config.probe_timeout, self._no_direct_ack, probe))
        probe.timers.append(timers.at(deadline, self._probe_failed, probe))
        ping = self._ping(sequence, node.name).encode()
        if node.state is State.ALIVE:
            context.send_with_gossip(node.address, ping)
        else:
            suspect = Suspect(node.incarnation, node.name, config.name).encode()
            context.send(node.address, compound([ping, suspect])[0], crc=node.reads_crc)
        return probe

    def _ping(self, sequence: int, name: str) -> Ping:
        config = self._context.config
        return Ping(sequence, name, config.addr, config.advertise_port, config.name)

    def _no_direct_ack(self, probe: _Probe) -> None:
        """Ask others, and try TCP ourselves: a firewall may let only one of the two through."""
        context, config, target = self._context, self._context.config, probe.node
        probe.indirect = True
        if probe.deadline <= context.now:
            return
        helpers = self._roster.sample(
            config.indirect_checks,
            lambda node: node.state is State.ALIVE and node is not target and node.name != config.name,
        )
        for helper in helpers:
            nack = helper.sends_nacks
            if nack:
                probe.expected_nacks += 1
                probe.owe_nacks.add(helper.address)
            request = IndirectPing(
                probe.sequence,
                target.addr,
                target.port,
                target.name,
                nack,
                config.addr,
                config.advertise_port,
                config.name,
            )
            probe.helpers.append(helper.address)
            context.send_with_gossip(helper.address, request.encode())
        may = context.hooks.ping_over_tcp
        if config.tcp_pings and target.answers_tcp_pings and (may is None or may(target.name)):
            self._ping_over_tcp(probe)

    def _ping_over_tcp(self, probe: _Probe) -> None:
        context, sequence = self._context, probe.sequence

        def acked(exchange: StreamExchange, message: Message) -> None:
            if not isinstance(message, Ack) or message.seq_no != sequence:
                raise ProtocolError(f"expected the ack {sequence}, got {type(message).__name__}")
            if self._waiting.get(sequence) is probe:
                context.counters["probes_answered_over_tcp"] += 1
                self._end(probe, healthy=True)

        exchange = StreamExchange(context, probe.node.address, probe.node.name, probe.deadline, acked, renewable=False)
        exchange.write(self._ping(sequence, probe.node.name).encode())
        context.streams.append(exchange)

    def _probe_failed(self, probe: _Probe) -> None:
        """The end of the interval without an ack. The nacks tell whose fault it may be."""
        context = self._context
        missing = len(probe.owe_nacks) if probe.expected_nacks else 1
        context.awareness.apply(missing)
        context.counters["probes_failed"] += 1
        node = probe.node
        self._membership.suspect(Suspect(node.incarnation, node.name, context.config.name))
        self._end(probe, healthy=False)

    def _end(self, probe: _Probe, *, healthy: bool) -> None:
        probe.end()
        self._waiting.pop(probe.sequence, None)
        if healthy:
            self._context.awareness.apply(-1)
            self._membership.isolation.answered()
        if self._current is not probe:
            self._out_of_turn.remove(probe)
            return
        self._current = None
        if self._tick_waits:
            self._tick_waits = False
            self.tick()

    def abandon(self) -> None:
        """Drop the probes under way without drawing a conclusion: we stood still ourselves."""
        self._tick_waits = False
        for probe in (self._current, *self._out_of_turn):
            if probe is not None:
                self._end(probe, healthy=False)

    def ping(self, name: str, address: Address, on_end: Callable[[float | None], None]) -> None:
        """Ping once, for the owner: nothing follows from it but that `on_end` learns the round-trip time, or None."""
        context = self._context
        sequence = context.next_sequence()
        ping = self._waiting[sequence] = _Ping(context.now, address, on_end)
        ping.timer = context.timers.at(context.now + context.config.probe_timeout, self._no_ack, sequence)
        context.send_with_gossip(address, self._ping(sequence, name).encode())

    def _no_ack(self, sequence: int) -> None:
        ping = self._waiting.pop(sequence, None)
        if isinstance(ping, _Ping):
            ping.on_end(None)

    # -- answers -------------------------------------------------------------------------------------------------------

    def _answered(self, sequence: int, source: Address) -> _Waiting | None:
        """Whose answer this is: of a probe that waits for one, and that asked at `source`."""
        context, waiting = self._context, self._waiting.get(sequence)
        if waiting is None or any(context.is_from(source, asked) for asked in waiting.asked):
            return waiting
        context.problem("answer_from_elsewhere", f"expected from {' or '.join(map(shown, waiting.asked))}")
        return None

    def ack(self, message: Ack, source: Address) -> None:
        """An ack to a probe of ours, direct or relayed, or to one that we make for another."""
        waiting = self._answered(message.seq_no, source)
        if waiting is None:
            return
        del self._waiting[message.seq_no]
        if isinstance(waiting, _Relay):
            self._context.send_with_gossip(waiting.requester, Ack(waiting.sequence).encode())
            if waiting.nack_timer is not None:
                waiting.nack_timer.cancel()
        elif isinstance(waiting, _Ping):
            if waiting.timer is not None:
                waiting.timer.cancel()
            waiting.on_end(self._context.now - waiting.sent)
        else:
            if not waiting.indirect:
                round_trip = self._context.now - waiting.sent
                payload = message.payload or b""
                waiting.node.measured(round_trip)
                self._context.events.append(PingCompleted(waiting.node.name, round_trip, payload))
            self._end(waiting, healthy=True)

    def nack(self, message: Nack, source: Address) -> None:
        """A helper works, but did not reach the target; an ack may still come."""
        waiting = self._answered(message.seq_no, source)
        if isinstance(waiting, _Probe):
            answered = [helper for helper in waiting.owe_nacks if self._context.is_from(source, helper)]
            waiting.owe_nacks.difference_update(answered)

    # -- being probed, helping -----------------------------------------------------------------------------------------

    def pinged(self, ping: Ping, source: Address) -> None:
        """Answer a ping, unless it is meant for a node that was at our address before."""
        context, config = self._context, self._context.config
        if ping.node and ping.node != config.name:
            context.problem("ping_for_another_node", ping.node[:80])
            return
        payload = context.hooks.ack_payload() if context.hooks.ack_payload else None
        to = self._reply_address(ping.source_addr, ping.source_port, source)
        if to is None:
            return
        context.send_with_gossip(to, Ack(ping.seq_no, payload).encode())
        if self.on_stranger is not None and ping.source_node and self._roster.get(ping.source_node) is None:
            self.on_stranger(ping, source)

    def help(self, request: IndirectPing, source: Address) -> None:
        """Ping a node for somebody else."""
        context, config = self._context, self._context.config
        requester = self._reply_address(request.source_addr, request.source_port, source)
        target = self._reply_address(request.target, request.port, None)
        if requester is None or target is None:
            return
        if len(self._waiting) >= MAX_WAITING:
            context.problem("too_many_indirect_pings", f"{len(self._waiting)} are under way")
            return
        sequence = context.next_sequence()
        relay = _Relay(requester, request.seq_no, target)
        self._waiting[sequence] = relay
        context.timers.at(context.now + config.probe_timeout, self._give_up_relay, sequence)
        if request.nack:
            left = min(config.probe_timeout, max(0.0, config.probe_interval - config.probe_timeout))
            relay.nack_timer = context.timers.at(context.now + _NACK_SHARE * left, self._send_nack, relay)
        context.send_with_gossip(target, self._ping(sequence, request.node).encode())

    def _give_up_relay(self, sequence: int) -> None:
        self._waiting.pop(sequence, None)

    def _send_nack(self, relay: _Relay) -> None:
        self._context.send_with_gossip(relay.requester, Nack(relay.sequence).encode())

    def _reply_address(self, addr: bytes, port: int, source: Address | None) -> Address | None:
        """The address that a message names, else the packet's source; None if it cannot be reached or is not
        allowed.

        A host name counts only if a member has it: strangers may not have us look up names that they made up.
        """
        context = self._context
        if source is not None and not (addr and port):
            return source
        try:
            host = context.config.dialect.decode_host(addr)
            if not port:
                raise ProtocolError("port 0")
            if ip_of(host) is None and not self._roster.is_present_at((host, port)):
                if source is not None:
                    return source
                raise ProtocolError(f"nobody is known at {host}:{port}")
        except ProtocolError as error:
            context.problem("unusable_reply_address", error)
            return None
        if not context.config.allows(host):
            context.problem("address_not_allowed", f"a reply to {host}")
            return None
        return (host, port)
