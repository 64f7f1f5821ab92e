"""What is done about members that fail, are slow, are new, or are far away: the numbers of every rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import attrs

__all__ = ["RULES", "HealthPolicy"]

RULES = ("consecutive", "success_ratio", "slow_factor", "slow_start", "zone", "panic")
"""The rules by the names of their fields, which is how `HealthPolicy.dry_run` names them."""


def _number(least: float, most: float, *, open_below: bool = False, none: bool = False) -> Callable[..., None]:
    """A check of one field: a number from `least` to `most`, or None if that switches the rule off."""
    bound = "greater than" if open_below else "from"
    upper = "" if math.isinf(most) else f" to {most:g}" if not open_below else f", at most {most:g}"
    accepted = f"a number {bound} {least:g}{upper}" + (", or None (off)" if none else "")

    def check(_: object, field: attrs.Attribute[Any], value: Any) -> None:
        if value is None and none:
            return
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not least <= value <= most or (open_below and value == least):
            raise ValueError(f"{field.name} is {value!r}; accepted: {accepted}")

    return check


def _whole(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    none = field.name == "consecutive"
    if value is None and none:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        off = ", or None (off)" if none else ""
        raise ValueError(f"{field.name} is {value!r}; accepted: a whole number from 1{off}")


def _flag(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{field.name} is {value!r}; accepted: True or False")


def _rules(value: Any) -> frozenset[str]:
    names = frozenset(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if names is None or not names <= set(RULES):
        raise ValueError(f"dry_run is {value!r}; accepted: a set of {', '.join(RULES)}")
    return names


def _field(default: Any, check: Any) -> Any:
    return attrs.field(default=default, validator=check)


@attrs.frozen(kw_only=True)
class HealthPolicy:
    """When members of a service get no calls, or fewer. One is in force per service and process.

    Attributes:
        consecutive: failures of a member in a row that eject it; None switches the rule off.
        success_ratio: a member of whose calls in the last 10 seconds a smaller part succeeded is ejected; None: off.
        least_calls: how many calls of those 10 seconds that takes, and how many answers of a slow member.
        slow_factor: a member whose average latency has been more than so many times the median of the others (at least
            3) for 10 seconds is ejected; None: off.
        ejected_for: seconds of the first ejection; each further one lasts twice as long, less one step for every 30
            seconds that the member was well. The later half of the time is by chance.
        ejected_at_most: seconds of the longest ejection.
        most_ejected: the largest part of the members that may be ejected at a time, 0 to 1. The last one never is.
        slow_start: seconds within which a new member comes to its full share; None: off.
        slow_start_least: the part of its share that a new member begins with.
        zone: whether calls stay within the caller's zone (``zone`` in the metadata) as far as it has members enough.
        panic: with fewer than this part of the members left, all get calls but those that refuse connections; None:
            off.
        dry_run: names of rules (`RULES`) that only count what they would have done.

    Raises:
        ValueError: names the argument and what is accepted.
    """

    consecutive: int | None = _field(5, _whole)
    success_ratio: float | None = _field(0.8, _number(0, 1, none=True))
    least_calls: int = _field(5, _whole)
    slow_factor: float | None = _field(5.0, _number(1, math.inf, open_below=True, none=True))
    ejected_for: float = _field(3.0, _number(0, math.inf, open_below=True))
    ejected_at_most: float = _field(300.0, _number(0, math.inf, open_below=True))
    most_ejected: float = _field(0.5, _number(0, 1))
    slow_start: float | None = _field(30.0, _number(0, math.inf, open_below=True, none=True))
    slow_start_least: float = _field(0.1, _number(0, 1, open_below=True))
    zone: bool = _field(True, _flag)
    panic: float | None = _field(0.5, _number(0, 1, none=True))
    dry_run: frozenset[str] = attrs.field(default=frozenset(), converter=_rules)

    def __attrs_post_init__(self) -> None:
        if self.ejected_at_most < self.ejected_for:
            raise ValueError(
                f"ejected_at_most is {self.ejected_at_most!r}; accepted: at least ejected_for, {self.ejected_for!r}"
            )

    def change(self, **fields: Any) -> HealthPolicy:
        """The same with other values in these fields."""
        return attrs.evolve(self, **fields)

    def acts(self, rule: str) -> bool:
        """Whether the rule changes who is called, or only counts."""
        return rule not in self.dry_run
