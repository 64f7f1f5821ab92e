"""What is done about members that fail, are slow, are new, or are far away: the numbers of every rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ..checks import a_number, a_whole_number, an_option

__all__ = ["RULES", "HealthPolicy"]

RULES = ("consecutive", "success_ratio", "slow_factor", "slow_start", "zone", "panic")
"""The rules by the names of their fields, which is how `HealthPolicy.dry_run` names them."""


def _or_none(check: Callable[..., None]) -> Callable[..., None]:
    """As `check`, and None, which switches the rule off."""

    def check_or_none(policy: object, field: attrs.Attribute[Any], value: Any) -> None:
        if value is None:
            return
        try:
            check(policy, field, value)
        except ValueError as error:
            raise ValueError(f"{error}, or None (off)") from None

    return check_or_none


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

    consecutive: int | None = _field(5, _or_none(a_whole_number(1)))
    success_ratio: float | None = _field(0.8, _or_none(a_number(0, 1)))
    least_calls: int = _field(5, a_whole_number(1))
    slow_factor: float | None = _field(5.0, _or_none(a_number(1, above=True)))
    ejected_for: float = _field(3.0, a_number(0, above=True))
    ejected_at_most: float = _field(300.0, a_number(0, above=True))
    most_ejected: float = _field(0.5, a_number(0, 1))
    slow_start: float | None = _field(30.0, _or_none(a_number(0, above=True)))
    slow_start_least: float = _field(0.1, a_number(0, 1, above=True))
    zone: bool = _field(True, an_option)
    panic: float | None = _field(0.5, _or_none(a_number(0, 1)))
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
