"""Healing: finding again whom we lost. Neither SWIM nor memberlist does it (hashicorp/memberlist issue 222).

When a network splits, each half declares the other dead, stops talking to it, and some time later forgets it;
nothing ever brings them together again. So a node remembers the addresses of members that *failed* (not of those
that left) and of its seeds, and tries a push/pull with one of each now and then while no live member has that
address. The next is who was tried longest ago, first of all who never was: left to chance, the one address behind which
somebody lives may not be drawn for minutes.

The waits grow and are jittered, up to the push/pull interval. In a large cluster with few failed members each node
tries only with a small probability, so that the dead are not called by everybody: all together make a few attempts per
wait for each of them, where Serf makes one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from .addresses import Address
from .context import Context
from .node_list import NodeRecord, Roster
from .push_pull import Synchronizer
from .stream_exchange import StreamExchange

__all__ = ["Healer"]

MAX_REMEMBERED = 1024
FORGET_AFTER = 24 * 3600.0
_FIRST_SHARE = 1 / 16
_GROWTH = 1.5
_ATTEMPTS = 4
"""Of all members together, per wait and address; one, left to chance, is none in a third of all waits."""


class Healer:
    """Re-joins seeds and failed members."""

    def __init__(self, context: Context, roster: Roster, synchronizer: Synchronizer) -> None:
        self._context = context
        self._roster = roster
        self._synchronizer = synchronizer
        self._seeds: tuple[Address, ...] = ()
        self._lost: dict[str, tuple[Address, float]] = {}
        self._tried: dict[Address, float] = {}
        self._wait = 0.0
        self._trying = 0

    def remember_seeds(self, seeds: Iterable[Address]) -> None:
        """The addresses by which the cluster is found."""
        self._seeds = tuple(dict.fromkeys(seeds))

    def tell_seeds(self, message: bytes) -> None:
        """Send a message to the seeds that are not in our list: they may have us in theirs."""
        for seed in self._seeds:
            if not self._roster.is_present_at(seed):
                self._context.send(seed, message)

    def lost(self, node: NodeRecord) -> None:
        """A member failed: start looking for it soon."""
        self._lost.pop(node.name, None)
        self._lost[node.name] = (node.address, self._context.now)
        while len(self._lost) > MAX_REMEMBERED:
            del self._lost[next(iter(self._lost))]
        self._wait = 0.0

    def found(self, name: str) -> None:
        """A member is back, or said that it left."""
        self._lost.pop(name, None)

    def next_wait(self) -> float:
        """Seconds until the next attempt: growing, jittered, at most one push/pull interval."""
        most = self._context.config.push_pull_interval or 60.0
        self._wait = min(most, max(self._wait * _GROWTH, most * _FIRST_SHARE))
        return self._wait * (0.5 + 0.5 * self._context.random.random())

    def tick(self) -> None:
        """Try one of those we lost and one seed, if there are any and it is our turn."""
        if self._trying:
            return
        context = self._context
        is_present_at = self._roster.is_present_at
        since = context.now - FORGET_AFTER
        self._lost = {name: lost for name, lost in self._lost.items() if lost[1] > since and not is_present_at(lost[0])}
        # A seed that nobody lists may be the door to another part of the cluster, or simply be switched off. It does
        # not wait behind the lost: members that crashed for good must not keep us from looking behind the door.
        seeds = [seed for seed in self._seeds if not is_present_at(seed)]
        lost = {address: None for address, _ in self._lost.values() if address not in seeds}
        candidates = dict.fromkeys(seeds) | lost
        self._tried = {address: at for address, at in self._tried.items() if address in candidates}
        if not candidates:
            self._wait = 0.0
        elif context.random.random() * self._roster.present < len(candidates) * _ATTEMPTS:
            self._try_next(seeds)
            self._try_next(lost)

    def _try_next(self, addresses: Collection[Address]) -> None:
        """Exchange states with whom we tried longest ago."""
        if not addresses:
            return
        context = self._context
        draw = context.random.random
        address = min(addresses, key=lambda address: (self._tried.get(address, -math.inf), draw()))
        self._tried[address] = context.now
        self._trying += 1
        context.counters["reconnects_tried"] += 1
        context.streams.append(self._synchronizer.with_peer(address, join=True, on_end=self._ended))

    def _ended(self, exchange: StreamExchange) -> None:
        self._trying -= 1
        if not exchange.failure:
            self._context.counters["reconnects"] += 1
