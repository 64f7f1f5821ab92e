"""Who of a service's members gets calls, and how many of them: all rules of `HealthPolicy` together.

From those who share the traffic by state and weight (`chain`), in this order:

1. those that are out (`ejection`) get nothing,
2. unless fewer than half would be left: *panic*, then all get calls but those out that refuse connections. That
   happens when members go while others are out. A few overloaded ones would else take the load of all;
3. those in other zones get what the caller's own cannot take (`zones`), unless in panic;
4. those that are new get a part of their share (`slow_start`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import attrs

from ...drivers.members import Member, Outcome, Reached
from .chain import Sharing
from .ejection import SLOW_SECONDS, Ejections
from .member_record import MemberRecord
from .policy import HealthPolicy
from .slow_start import STEPS, young_parts
from .success_window import WINDOW_SECONDS
from .verdict import counts_against, says_well
from .zones import Callers, ZoneShares, zone_of, zone_shares

__all__ = ["Health"]

_ZONES_EVERY = 10.0
"""Seconds after which the callers are counted again."""

_MEDIAN_EVERY = 1.0
_NOTHING = (False, False)
_LEAST_OTHERS = 3


def _nobody() -> Callers:
    return Callers()


def _no_doubt() -> str:
    return ""


@attrs.define(eq=False)
class Health:
    """The health of the members of one service.

    Attributes:
        random: for the length of ejections, from 0 to below 1.
        doubt: why this process should not judge others; "" if it may.
        callers: who calls, for zones.
        policy: the rules in force; `change_policy` changes them.
        counts: what has happened, by name.
        doubted: the last reason for which a failure was not held against a member, and when; None if there was none.
        ejections: who is out.
        tried_out: who would be, by the rules in the dry run.
        panic: whether nearly all get calls because too few are left.
        zones: where calls go by zone; None if they go to all alike.
        young: which part of its share each new member gets.
        due: when any of it changes by time alone.
        median_due: when the limit for slow members is to be set again (`watch_latency`).
        slow_limit: that limit, in seconds.
    """

    random: Callable[[], float] = lambda: 0.5
    doubt: Callable[[], str] = _no_doubt
    callers: Callable[[], Callers] = _nobody
    policy: HealthPolicy = attrs.field(factory=HealthPolicy)
    counts: Counter[str] = attrs.field(factory=Counter)
    doubted: tuple[str, float] | None = None
    ejections: Ejections = attrs.field(init=False)
    tried_out: Ejections = attrs.field(init=False)
    panic: bool = False
    zones: ZoneShares | None = None
    young: dict[MemberRecord, float] = attrs.field(factory=dict)
    due: float = math.inf
    _late_until: float = -math.inf
    _again_at: float = math.inf
    slow_limit: float = math.inf
    _median: float = math.inf
    median_due: float = -math.inf

    def __attrs_post_init__(self) -> None:
        self.ejections = Ejections(True, self.random, self.counts)
        self.tried_out = Ejections(False, self.random, Counter())

    def ended(
        self, record: MemberRecord, outcome: Outcome | None, began: float, now: float, late: bool
    ) -> tuple[bool, bool]:
        """Count an attempt that has ended; whether that changes who gets calls, and whether its member has come back.

        Args:
            now: when it ended.
            late: whether its timeout was.
        """
        if outcome is not None and outcome.reached is Reached.ANSWERED and says_well(outcome.status):
            record.end(outcome, now)
            seconds = outcome.seconds if outcome.head_seconds is None else outcome.head_seconds
            return self.answered(record, seconds, began, now)
        if late:
            self._late_until = now + WINDOW_SECONDS
        doubtful = False
        if outcome is not None and counts_against(outcome):
            reason = self.reason_to_doubt(now)
            if reason:
                doubtful, self.doubted = True, (reason, now)
                self.counts["failures_in_doubt"] += 1
            doubtful = doubtful or began < record.renewed
        failed = record.end(outcome, now, doubtful=doubtful)
        slow = self._slow(record, now) if failed is False else ""
        too_slow = outcome is not None and (outcome.head_seconds or 0.0) > self.slow_limit
        return self._judge(record, failed, began, now, slow, too_slow)

    def answered(self, record: MemberRecord, seconds: float, began: float, now: float) -> tuple[bool, bool]:
        """As `ended`, for what nearly all attempts are, once it is counted: an answer that says nothing against the
        member, whose head came after so many seconds.
        """
        limit, slow = self.slow_limit, ""
        if (record.latency or 0.0) > limit or record.slow_since is not None:
            slow = self._slow(record, now)
        if slow or self.judging:
            return self._judge(record, False, began, now, slow, seconds > limit)
        return _NOTHING  # there is nobody to judge

    @property
    def judging(self) -> bool:
        """Whether an answer can change who gets calls although its member is not slow."""
        return bool(self.ejections.out or self.tried_out.out or self.ejections.changed)

    def news(self, record: MemberRecord, now: float, *, anew: bool) -> None:
        """A backend has found the member alive, or it has registered anew (`anew`)."""
        self.ejections.news(record, now, anew=anew)
        self.tried_out.news(record, now, anew=anew)
        self._look_for_due()

    def advance(self, now: float) -> bool:
        """What changes by time alone; whether that changes who gets calls."""
        again = now >= self._again_at
        if again:
            self._again_at = math.inf
        for ejections in (self.ejections, self.tried_out):
            if ejections.due <= now:
                ejections.advance(now)
        self._look_for_due()
        return self._changed() or again

    def forget(self, record: MemberRecord) -> None:
        """The member is remembered no longer."""
        self.ejections.forget(record)
        self.tried_out.forget(record)
        self.young.pop(record, None)

    def watch_latency(self, now: float, latencies: Sequence[float]) -> None:
        """Set the limit above which members are slow by the latencies of a sample of them, sorted; once a second."""
        self.median_due = now + _MEDIAN_EVERY
        # That of the others: who is asked about is above it, so that it is the same as without the largest.
        many = len(latencies)
        self._median = latencies[(many - 1) // 2] if many > _LEAST_OTHERS else math.inf
        self._set_slow_limit()

    def change_policy(self, policy: HealthPolicy, now: float) -> list[MemberRecord]:
        """These rules are in force from now on; returns the members that come back because of it."""
        before, self.policy = self.policy, policy
        self.median_due = -math.inf
        self._set_slow_limit()
        back = self.ejections.change_policy(before, policy, now)
        self.tried_out.change_policy(before, policy, now)
        self._look_for_due()
        self._changed()
        return back

    def share(self, base: Sharing, records: Sequence[MemberRecord], now: float) -> Sharing:
        """Who gets calls, and how many, of those who share the traffic by state and weight; sets `due`."""
        policy = self.policy
        for ejections in (self.ejections, self.tried_out):
            ejections.sharing, ejections.full = len(records), False
        members = base.members
        chosen = self._not_out(records)
        everybody = len(chosen) == len(members)
        left = base if everybody else _of(base, chosen)
        known = records if everybody else [records[i] for i in chosen]
        zones = None if self.panic else self._zones(left.members, left.weights)
        young = self._young(known, now)
        by_zone = zones.by_zone if zones is not None and policy.acts("zone") else {}
        self._again_at = math.inf
        if self.young and policy.slow_start is not None:
            self._again_at = now + policy.slow_start / STEPS
        if zones is not None:
            self._again_at = min(self._again_at, now + _ZONES_EVERY)
        self._look_for_due()
        if everybody and not young and not by_zone:
            return base
        parts = [young.get(record, 1.0) for record in known]
        if by_zone:
            parts = [by_zone.get(zone_of(member), 1.0) * part for member, part in zip(left.members, parts, strict=True)]
        if everybody and min(parts) > 0.0:  # the same members, which need not be gone through again
            return _in_parts(base, parts)
        inside = [i for i, part in zip(chosen, parts, strict=True) if part > 0.0]
        parts = [part for part in parts if part > 0.0]
        elsewhere, out = set(chosen).difference(inside), set(range(len(members))).difference(chosen)
        rest = [_of(base, sorted(places)) for places in (elsewhere, out) if places]
        return attrs.evolve(_in_parts(_of(base, inside), parts), rest=rest)

    def reason_to_doubt(self, now: float) -> str:
        """Why failures are not held against members at present; "" if they are."""
        if now < self._late_until:
            return "timeouts of this process's own calls come late"
        return self.doubt()

    # -- how -----------------------------------------------------------------------------------------------------------

    def _not_out(self, records: Sequence[MemberRecord]) -> Sequence[int]:
        """The places of those who get calls as far as ejections go."""
        out = self.ejections.out
        everybody = range(len(records))
        if not out:
            self.panic = False
            return everybody
        left = [i for i in everybody if not self.ejections.is_out(records[i])]
        least = self.policy.panic
        panic = least is not None and len(left) < least * len(records)
        if panic and not self.policy.acts("panic"):
            self.counts["panics_dry_run"] += 1
            panic = False
        if panic and not self.panic:
            self.counts["panics"] += 1
        self.panic = panic
        if panic:
            left = [i for i in everybody if not (self.ejections.is_out(records[i]) and records[i].unconnected)]
        return left or everybody

    def _zones(self, members: Sequence[Member], weights: Sequence[float]) -> ZoneShares | None:
        if not self.policy.zone:
            self.zones = None
            return None
        before, self.zones = self.zones, zone_shares(members, weights, self.callers(), self.zones)
        if self.zones is not None and (before is None or before.local != self.zones.local):
            self.counts["zone_changes" if self.policy.acts("zone") else "zone_changes_dry_run"] += 1
        return self.zones

    def _young(self, records: Sequence[MemberRecord], now: float) -> dict[MemberRecord, float]:
        before = self.young
        self.young = young_parts(records, now, self.policy.slow_start, self.policy.slow_start_least)
        acts = self.policy.acts("slow_start")
        if self.young:
            new = sum(record not in before for record in self.young)
            self.counts["slow_starts" if acts else "slow_starts_dry_run"] += new
        return self.young if acts else {}

    def _judge(
        self, record: MemberRecord, failed: bool | None, began: float, now: float, slow: str, too_slow: bool
    ) -> tuple[bool, bool]:
        back = self.ejections.judge(record, failed, began, now, self.policy, slow, too_slow)
        self.tried_out.judge(record, failed, began, now, self.policy, slow, too_slow)
        self._look_for_due()
        return self._changed(), back

    def _slow(self, record: MemberRecord, now: float) -> str:
        """Why it is too slow, as of the answer that ended now; "" if it is not."""
        if record.slower_than(self.slow_limit, now) < SLOW_SECONDS:
            return ""
        if record.slow_answers < self.policy.least_calls or self.reason_to_doubt(now):
            return ""
        taken = (record.latency or 0.0) * 1000
        return f"{taken:.0f} ms on average, where the others take {self._median * 1000:.0f} ms"

    def _set_slow_limit(self) -> None:
        factor = self.policy.slow_factor
        self.slow_limit = math.inf if factor is None else factor * self._median

    def _look_for_due(self) -> None:
        self.due = min(self._again_at, self.ejections.due, self.tried_out.due)

    def _changed(self) -> bool:
        changed = self.ejections.changed
        self.ejections.changed = self.tried_out.changed = False
        return changed


def _of(base: Sharing, places: Sequence[int]) -> Sharing:
    return Sharing([base.members[i] for i in places], [base.weights[i] for i in places])


def _in_parts(sharing: Sharing, parts: Sequence[float]) -> Sharing:
    """The same members with these parts of their shares, all above 0; the largest is the whole."""
    largest = max(parts)
    if min(parts) == largest:
        return sharing
    if largest != 1.0:
        parts = [part / largest for part in parts]
    weights = [weight * part for weight, part in zip(sharing.weights, parts, strict=True)]
    return Sharing(sharing.members, weights, parts)
