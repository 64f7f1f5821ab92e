"""What the gossip driver does about seeds, on the clock of a simulation: names that an operator moves, resolved anew.

The rules are those of `MemberlistDriver` and `GossipNode`, without sockets and tasks: all addresses of all names are
dialled at once; whoever was answered and is among others has joined; who has not, tries again after a wait that grows;
and all names are looked up again for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import attrs
from support.simulator import Process, Simulation

from pydoudou.drivers.kit.backoff import Backoff
from pydoudou.drivers.memberlist.protocol.addresses import Address
from pydoudou.drivers.memberlist.protocol.cluster_view import ClusterView
from pydoudou.drivers.memberlist.protocol.stream_exchange import StreamExchange

__all__ = ["SeedNames", "Seeded"]

_FIRST_RETRY = 0.5


@attrs.define
class SeedNames:
    """A name service. What is not in it cannot be resolved."""

    addresses: dict[str, Sequence[Address]] = attrs.field(factory=dict)


class Seeded:
    """One life of a process that finds its cluster by names. Made when the process has started."""

    def __init__(self, simulation: Simulation, process: Process, service: SeedNames, names: Sequence[str]) -> None:
        self._simulation = simulation
        self._process = process
        self._life = process.life
        self._service = service
        self._names = names
        self._chance = Random(f"{simulation.seed} seeds of {process.name} {process.life}")
        self._interval = process.config.push_pull_interval
        self._backoff = Backoff(_FIRST_RETRY, self._interval, draw=self._chance.random)
        self._failures = 0
        self._known: dict[str, Sequence[Address]] = {}
        self._try_to_join()
        self._look_up_later()

    @property
    def _runs(self) -> bool:
        return self._process.swim is not None and self._process.life == self._life

    def _targets(self) -> tuple[list[Address], bool]:
        """The addresses of all names but our own, as last known, and whether every name can be resolved now."""
        found = {name: self._service.addresses[name] for name in self._names if name in self._service.addresses}
        self._known |= found
        own = self._process.address
        targets = [address for addresses in self._known.values() for address in addresses if address != own]
        return list(dict.fromkeys(targets)), len(found) == len(self._names)

    def _try_to_join(self) -> None:
        if not self._runs:
            return
        targets, resolved = self._targets()
        swim = self._process.core
        swim.remember_seeds(targets)
        if targets:
            attempt = _Attempt(len(targets), swim.cluster, self._again)
            for target in targets:
                swim.join(target, self._simulation.now, attempt.ended)
            self._simulation.flush(self._process)
        elif not resolved:
            self._again()

    def _again(self) -> None:
        self._failures += 1
        self._simulation.later(self._backoff.delay(self._failures), self._try_to_join)

    def _look_up_later(self) -> None:
        self._simulation.later(self._interval * self._chance.uniform(0.5, 1.0), self._look_up)

    def _look_up(self) -> None:
        if not self._runs:
            return
        targets, _ = self._targets()
        self._process.core.remember_seeds(targets)
        self._look_up_later()


class _Attempt:
    """As `JoinAttempt`: over when somebody has brought us among others, or all have answered or failed."""

    def __init__(self, targets: int, cluster: ClusterView, again: Callable[[], None]) -> None:
        self._open = targets
        self._cluster = cluster
        self._again = again
        self._joined = False

    def ended(self, exchange: StreamExchange) -> None:
        self._open -= 1
        self._joined = self._joined or (not exchange.failure and self._cluster.among_others)
        if not self._open and not self._joined:
            self._again()
