"""A balancer of somebody else's, as the clients use balancers."""

from __future__ import annotations

import random as global_random
from collections.abc import Callable, Iterable

from ..discovery import default_registry
from ..discovery.merging.snapshot import Snapshot
from ..drivers.members import Member
from .balancer import Balancer, Excluded, Random, ReportingBalancer
from .calls.policy import CallPolicy
from .default_policy import default_policy
from .memory.pick import Pick, PickedFrom
from .memory.policy import HealthPolicy
from .shared_calls import SharedCalls
from .table_balancer import TableBalancer

__all__ = ["Given", "Reporting", "reporting"]

Given = Balancer | Callable[[str], Balancer]
"""A balancer, or what makes one from the name of a service: a class such as `WeightedRandom`, or a function."""


class Reporting:
    """Gives a balancer that has only `pick` and `members` what a client needs besides. Outcomes are not remembered.

    The retry budget and the circuit breaker of its calls are its own.
    """

    def __init__(self, balancer: Balancer, random: Random = global_random) -> None:
        self.balancer = balancer
        self.calls, self.random = SharedCalls(), random
        self.health = HealthPolicy()  # which such a balancer does not heed
        self._view = Snapshot("")

    def pick(self, exclude: Excluded = ()) -> Member:
        """As the balancer picks."""
        return self.balancer.pick(exclude)  # type: ignore[arg-type]

    def members(self) -> Iterable[Member]:
        """As the balancer lists them."""
        return self.balancer.members()

    def default_policy(self) -> CallPolicy:
        """As the variables of the process's registry say."""
        return default_policy(default_registry.current())

    def begin(self, exclude: Excluded = ()) -> Pick:
        """A pick whose end nobody hears of. Whom the balancer would leave out of its members is not known."""
        member = self.pick(exclude)
        members = tuple(self.balancer.members())
        view = self._view
        if members != view.members:  # the same object for as long as they are equal
            view = self._view = Snapshot(member.service, members, members)
        return Pick(member, PickedFrom(view, members))

    def settle(self) -> None:
        """There is nothing to count."""

    def wait(self, timeout: float) -> bool:
        """Such a balancer has its members already."""
        return True

    async def wait_async(self, timeout: float) -> bool:  # noqa: ASYNC109 (the twin of `wait`)
        """Such a balancer has its members already."""
        return True


def reporting(given: Given, service: str) -> ReportingBalancer:
    """The balancer of `service` that a caller gave, made by it if it is a class or a function.

    Raises:
        TypeError: it is nothing of the kind, or what it makes is not.
    """
    made = given
    if isinstance(given, type) or (callable(given) and not isinstance(given, Balancer)):
        made = given(service)
    if not isinstance(made, Balancer):
        what = "was made" if made is not given else "was given"
        raise TypeError(
            f"a {type(made).__name__} {what} as the balancer of {service!r}; accepted: an object with pick() and "
            "members(), or a class or function that makes one from the name of the service"
        )
    return made if isinstance(made, TableBalancer) else Reporting(made)
