"""How many members there are, how many calls, and when the fault is."""

from __future__ import annotations

import attrs

from ...balancers.checks import a_number, a_whole_number

__all__ = ["Load"]

_MOST_CALLS = 10_000_000
"""A run costs some 20 µs per call."""


@attrs.frozen
class Load:
    """One service and its callers. Times are seconds of virtual time.

    Attributes:
        members: how many the service has.
        workers: how many calls a member works on at once; the others wait in its queue, first come, first served.
        rate: calls per second, all callers together (a Poisson process).
        work: mean seconds that one call keeps a worker busy, log-normal.
        spread: sigma of that log-normal.
        seconds: until no more calls begin.

    Raises:
        ValueError: a number with which nothing can be simulated; the message names it and what is accepted.
    """

    members: int = attrs.field(default=10, validator=a_whole_number(2, 10_000))
    workers: int = attrs.field(default=8, validator=a_whole_number(1, 10_000))
    rate: float = attrs.field(default=600.0, validator=a_number(0, above=True))
    work: float = attrs.field(default=0.05, validator=a_number(0, above=True))
    spread: float = attrs.field(default=0.5, validator=a_number(0, above=True))
    seconds: float = attrs.field(default=60.0, validator=a_number(0, above=True))

    def __attrs_post_init__(self) -> None:
        if self.rate * self.seconds > _MOST_CALLS:
            raise ValueError(
                f"rate is {self.rate:g} and seconds {self.seconds:g}, which is {self.rate * self.seconds:.3g} calls; "
                f"accepted: {_MOST_CALLS:,} at most"
            )

    @property
    def counted_from(self) -> float:
        """Calls that begin earlier are not in the figures: the balancers have yet to learn whom they call."""
        return self.seconds / 6

    @property
    def fault_from(self) -> float:
        """When the fault begins: after a third of the time."""
        return self.seconds / 3

    @property
    def fault_until(self) -> float:
        """When the fault is over: after two thirds of the time."""
        return self.seconds * 2 / 3
