"""Datagrams in: the layers come off, and each message goes to the part that it is for."""

from __future__ import annotations

from functools import partial

from .addresses import Address
from .context import Context
from .errors import ProtocolError
from .events import UserMessage
from .gomsgpack import struct_fields
from .membership import Membership
from .message_types import MessageType
from .messages import Ack, Alive, Dead, IndirectPing, Nack, Ping, Suspect, Weight
from .packet import messages
from .probe import Prober
from .weight import Weights
from .work_budget import WorkBudget

__all__ = ["PacketReceiver"]


class PacketReceiver:
    """Takes the datagrams of one node."""

    def __init__(
        self, context: Context, membership: Membership, prober: Prober, weights: Weights, budget: WorkBudget
    ) -> None:
        self._context = context
        self._membership = membership
        self._prober = prober
        self._weights = weights
        self._budget = budget

    def receive(self, data: bytes, source: Address) -> None:
        """Take a datagram; see `Swim.packet_received`."""
        context = self._context
        if context.config.cidrs_allowed is not None and not context.config.allows(source[0]):
            context.problem("address_not_allowed", "a packet")
            return
        try:
            may_work = partial(self._may_work, source[0])
            for kind, body in messages(context.codec.unwrap(data), may_work):
                try:
                    self._dispatch(kind, body, source)
                except ProtocolError as error:
                    context.problem("bad_message", f"type {kind}: {error}")
        except ProtocolError as error:
            context.problem("bad_packet", error)
        except MemoryError:
            context.problem("no_memory", "a packet was dropped")

    def _may_work(self, host: str, size: int) -> bool:
        context = self._context
        covered = self._budget.covers(host, size, context.now)
        if not covered:
            context.counters["work_refused"] += 1
        return covered

    def _dispatch(self, kind: int, body: bytes, source: Address) -> None:
        """The order follows the frequency."""
        if kind == MessageType.ALIVE:
            fields = struct_fields(body, Alive.declared)
            if not self._membership.is_stale(fields):
                self._membership.alive(Alive.from_fields(fields))
        elif kind == MessageType.PING:
            self._prober.pinged(Ping.decode(body), source)
        elif kind == MessageType.ACK:
            self._prober.ack(Ack.decode(body), source)
        elif kind == MessageType.SUSPECT:
            self._membership.suspect(Suspect.decode(body))
        elif kind == MessageType.DEAD:
            self._membership.dead(Dead.decode(body))
        elif kind == MessageType.INDIRECT_PING:
            self._prober.help(IndirectPing.decode(body), source)
        elif kind == MessageType.NACK:
            self._prober.nack(Nack.decode(body), source)
        elif kind == MessageType.USER:
            if self._context.hooks.user_data:
                self._context.events.append(UserMessage(body, reliable=False))
        elif kind == MessageType.WEIGHT and self._context.config.dialect.has_weight:
            self._weights.heard(Weight.decode(body))
        else:
            raise ProtocolError("not allowed in a packet")
