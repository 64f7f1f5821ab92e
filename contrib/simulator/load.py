"""How many members there are, how many calls, and when the fault is."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

__all__ = ["Load"]

_MOST_CALLS = 10_000_000
"""A run costs some 20 µs per call."""


def _whole(least: int, most: int) -> Callable[[object, attrs.Attribute[int], int], None]:
    def check(_load: object, attribute: attrs.Attribute[int], value: int) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{attribute.name} is {value!r}; accepted: a whole number from {least} to {most}")

    return check


def _positive(_load: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} is {value!r}; accepted: a number greater than 0")


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

    members: int = attrs.field(default=10, validator=_whole(2, 10_000))
    workers: int = attrs.field(default=8, validator=_whole(1, 10_000))
    rate: float = attrs.field(default=600.0, validator=_positive)
    work: float = attrs.field(default=0.05, validator=_positive)
    spread: float = attrs.field(default=0.5, validator=_positive)
    seconds: float = attrs.field(default=60.0, validator=_positive)

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
