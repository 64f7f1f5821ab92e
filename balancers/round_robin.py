"""Round robin: one after the other, weights aside."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from ..discovery import default_registry
from ..discovery.merging.snapshot import Snapshot
from ..drivers.members import Member
from .balancer import Excluded, Random
from .member_source import MemberSource
from .memory.chain import Sharing
from .service_state import ServiceState
from .table_balancer import TableBalancer

__all__ = ["RoundRobin"]

_ROUNDS = 10
_ROUNDED = 1e-9


class RoundRobin(TableBalancer[Sequence[Member]]):
    """Picks the members in turn.

    Taking the next number of an `itertools.count` is one atomic step, so that any number of threads together take
    every turn exactly once. The count goes on when the members change, and begins at a random place: many clients
    that start together shall not all begin with the same member.

    Args:
        service: the plain name.
        registry: None means the process's default registry.
        random: where the beginning comes from.
    """

    def __init__(self, service: str, registry: MemberSource | None = None, *, random: Random | None = None) -> None:
        super().__init__(service, registry, random=random)
        self._turns = itertools.count(self._random.getrandbits(16))

    def make_table(self, members: Sequence[Member], weights: Sequence[float]) -> Sequence[Member]:
        return members

    def table_of(
        self, shared: Sharing, snapshot: Snapshot, state: ServiceState, clock: Callable[[], float]
    ) -> Sequence[Member]:
        if shared.parts is None:
            return self.make_table(shared.members, shared.weights)
        # Who gets a part of its share comes in so many of ten rounds.
        # Which ones is computed once for each part, because nearly all members get the whole.
        rounds = {
            part: [int((turn + 1) * part + _ROUNDED) > int(turn * part + _ROUNDED) for turn in range(_ROUNDS)]
            for part in set(shared.parts)
        }
        comes = [rounds[part] for part in shared.parts]
        members = shared.members
        return [
            member
            for turn in range(_ROUNDS)
            for member, its_rounds in zip(members, comes, strict=True)
            if its_rounds[turn]
        ]

    only_chooses = True

    def choose(self, table: Sequence[Member]) -> Member:
        return table[next(self._turns) % len(table)]

    def retry_weights(self, weights: Sequence[float]) -> Sequence[float]:
        return [1.0] * len(weights)

    def pick(self, exclude: Excluded = ()) -> Member:
        # `TableBalancer.pick` for the ordinary case without a call in between, which would be a fifth of its time.
        registry = self._registry or default_registry.current()
        if registry is self._source and registry is not None and not exclude:
            derived = self._derived
            table = derived.quick
            if (
                table is not None
                and registry.snapshot(self.service) is derived.snapshot
                and derived.epoch == derived.memory.epoch
                and not derived.observers.listening
            ):
                return table[next(self._turns) % len(table)]
        return super().pick(exclude)
