"""The seam between those who choose members and those who call them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..drivers.members import Member
from .memory.pick import Pick

if TYPE_CHECKING:
    from .calls.policy import CallPolicy
    from .memory.policy import HealthPolicy
    from .shared_calls import SharedCalls

__all__ = ["Balancer", "Excluded", "Random", "ReportingBalancer"]

Excluded = Collection[Member | tuple[str, str, int]]
"""Members, or their keys, that are not to be picked."""


@runtime_checkable
class Random(Protocol):
    """A source of randomness; `random.Random` and the module `random` are two."""

    def random(self) -> float:
        """At least 0, less than 1."""

    def getrandbits(self, k: int, /) -> int:
        """A whole number of so many bits."""


@runtime_checkable
class Balancer(Protocol):
    """Chooses a member of one service: what an annotation says, and what a balancer of your own has to have.

    Two methods make an object a balancer for all clients of `pydoudou.contrib`. Inherit `TableBalancer` instead to get
    what the library's own balancers share: weights, suspects, retries, and the memory of how calls ended.
    """

    def pick(self, exclude: Collection[Member] = ()) -> Member:
        """One member that is not in `exclude`. Raises `NoMemberAvailable` when there is none."""

    def members(self) -> Iterable[Member]:
        """All members of the service now."""


class ReportingBalancer(Balancer, Protocol):
    """What a client uses of a balancer; `TableBalancer` has it, and `Reporting` gives it to any other one."""

    health: HealthPolicy
    """The rules by which members get calls."""

    @property
    def calls(self) -> SharedCalls:
        """What the calls of the service share."""

    @property
    def random(self) -> Random:
        """Where chance comes from."""

    def default_policy(self) -> CallPolicy:
        """The policy of calls whose client was given none."""

    def begin(self, exclude: Excluded = ()) -> Pick:
        """As `pick`, for a call whose end will be told."""

    def settle(self) -> None:
        """Count the calls that have ended now: who has nothing else to do spares it the next `begin`."""

    def wait(self, timeout: float) -> bool:
        """Wait for the first answer about the service; whether it came within `timeout` seconds."""

    async def wait_async(self, timeout: float) -> bool:  # noqa: ASYNC109 (the twin of `wait`)
        """As `wait`, without blocking the event loop."""
