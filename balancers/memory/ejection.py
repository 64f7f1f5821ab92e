"""When a member that fails, or is far slower than the others, gets no calls for a while.

1. *Out* is who fails `consecutive` calls in a row, of whose calls in the last ten seconds too few succeeded, or whose
   answers have taken several times as long as those of the others for ten seconds. What counts as a failure is in
   `verdict`; times that failures are held to have taken are not part of the average here.
2. *For 3 seconds at first, twice as long each time after* up to 300, and one step less for each 30 seconds that it was
   well in between. The later half of the time is by chance, so that not all callers come back together.
3. *Then one call tries it* (`probe`), and decides: back in, or out again. When nobody has called for ten seconds it
   comes back on trial: the first outcome decides. Calls that began before the trial decide nothing.
4. *At once* comes the trial when the backends have news of it: a suspect that turned out to live, a new registration.
5. *Never more than half* of those who share the traffic are out, counted with the one that is about to go (Envoy's
   26877 was to count before), and never the last one.
6. *Not while this process is in doubt about itself*: a process that gets no processor time sees everybody fail. Then
   failures are not held against members at all.
7. Who comes back is held to be as fast as the others: an average full of failures would keep it out for half a minute
   more.

8. *Other rules* hold at once: who is out by one that is off now is back, and so is whoever is out beyond a smaller
   part that may be; the time that is left is at most what the longest ejection may take.

Rules in a dry run go the same way in a second `Ejections`, of which nobody asks who is out.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable

import attrs

from .member_record import MemberRecord
from .policy import HealthPolicy
from .success_window import WINDOW_SECONDS

__all__ = ["EJECTING_RULES", "PROBE_WITHIN", "SLOW_SECONDS", "WELL_SECONDS", "Ejection", "Ejections"]

EJECTING_RULES = ("consecutive", "success_ratio", "slow_factor")

WELL_SECONDS = 30.0
"""Seconds in the traffic that take one step off the time of the next ejection."""

PROBE_WITHIN = 10.0
"""Seconds after which a trial that nobody came to, or whose call does not end, goes on without it."""

SLOW_SECONDS = 10.0
_MOST_STEPS = 32
_AGAIN = "failed when it was tried again, after "

_MANY = 100
_MANY_EVERY = 0.05
"""With so many out, they are looked at only so often (in seconds): each time costs a pass over all."""


@attrs.define(eq=False)
class Ejection:
    """One member that is out.

    Attributes:
        rule: the name of the rule that put it out.
        why: the same with numbers, for a person.
        until: when its trial begins.
        tried_since: when its trial began; None before.
        probe_began: when the call that tries it began; None while there is none.
        on_trial: whether it is back in the traffic until the first outcome decides.
    """

    rule: str
    why: str
    since: float
    until: float
    tried_since: float | None = None
    probe_began: float | None = None
    on_trial: bool = False

    @property
    def due(self) -> float:
        """When it changes by time alone."""
        if self.tried_since is None:
            return self.until
        if self.on_trial:
            return math.inf
        return (self.tried_since if self.probe_began is None else self.probe_began) + PROBE_WITHIN


@attrs.define(eq=False)
class _History:
    """How often a member was out, and since when it has been back."""

    steps: int = 0
    back_since: float = -math.inf


@attrs.define(eq=False)
class Ejections:
    """Who is out, of one service.

    Attributes:
        acts: whether these are ejections, or the dry run.
        out: the members that are out, and those on trial.
        due: when the next of them changes by time alone.
        changed: whether somebody has gone out or come back since whoever uses this last looked, and set it back.
        counts: what has happened, by name.
        sharing: how many members share the traffic, with those that are out.
        full: whether nobody more may go out, as far as is known.
        trials: members that wait for the call that tries them, and some that do no longer.
    """

    acts: bool
    random: Callable[[], float]
    counts: Counter[str]
    out: dict[MemberRecord, Ejection] = attrs.field(factory=dict)
    due: float = math.inf
    changed: bool = False
    sharing: int = 0
    full: bool = False
    trials: deque[MemberRecord] = attrs.field(factory=deque)
    _histories: dict[MemberRecord, _History] = attrs.field(factory=dict)

    def is_out(self, record: MemberRecord) -> bool:
        """Whether the member is to get no calls."""
        ejection = self.out.get(record)
        return ejection is not None and not ejection.on_trial

    def judge(
        self,
        record: MemberRecord,
        failed: bool | None,
        began: float,
        now: float,
        policy: HealthPolicy,
        slow: str,
        too_slow: bool,
    ) -> bool:
        """An attempt that began then has ended; `failed` is None if that says nothing of the member.

        Args:
            slow: why the member is held to be too slow; "" if it is not.
            too_slow: whether this one answer was.

        Returns whether the member has come back with it.
        """
        ejection = self.out.get(record)
        if ejection is not None:
            if failed is False and too_slow and ejection.rule == "slow_factor":
                failed = True
            return self._try(record, ejection, failed, began, now, policy)
        if failed is not None:
            rule, why = self._verdict(record, failed, now, policy, slow)
            if rule:
                self._eject(record, rule, why, now, policy)
        return False

    def news(self, record: MemberRecord, now: float, *, anew: bool) -> None:
        """A backend has found the member alive, or it has registered anew (`anew`): it is tried at once."""
        ejection = self.out.get(record)
        if ejection is None:
            return
        if anew:
            self._histories.pop(record, None)
        if ejection.tried_since is None:
            ejection.until = now
            self.advance(now)
        elif ejection.probe_began is None:
            self.trials.append(record)

    def advance(self, now: float) -> None:
        """What changes by time alone."""
        self.due = math.inf
        for record, ejection in self.out.items():
            if ejection.tried_since is None and ejection.until <= now:
                self._begin_trial(record, ejection, now)
            began = ejection.probe_began
            if began is not None and now >= began + PROBE_WITHIN:
                self._begin_trial(record, ejection, now)
            since = ejection.tried_since
            if since is not None and began is None and not ejection.on_trial and now >= since + PROBE_WITHIN:
                ejection.on_trial = self.changed = True
                self.full = False
            self.due = min(self.due, ejection.due)
        if len(self.out) > _MANY:
            self.due = max(self.due, now + _MANY_EVERY)

    def change_policy(self, before: HealthPolicy, policy: HealthPolicy, now: float) -> list[MemberRecord]:
        """These rules are in force from now on in place of those `before`; returns the members that come back
        because of it.
        """
        back = [
            record
            for record, ejection in self.out.items()
            if getattr(policy, ejection.rule) is None or policy.acts(ejection.rule) is not self.acts
        ]
        for record in back:
            self._bring_back(record, now)
        for ejection in self.out.values():
            ejection.until = min(ejection.until, ejection.since + policy.ejected_at_most)
        too_many = self.counted_out() - int(policy.most_ejected * self.sharing)
        if policy.most_ejected < before.most_ejected and too_many > 0:
            counted = [record for record in self.out if record.alive and self.is_out(record)]
            for record in sorted(counted, key=lambda record: self.out[record].until)[:too_many]:
                self._bring_back(record, now)
                back.append(record)
        self.full = False
        self.advance(now)
        return back

    def probe(self, now: float) -> MemberRecord | None:
        """A member that the next call is to try; None if none waits for that."""
        while self.trials:
            record = self.trials.popleft()
            ejection = self.out.get(record)
            if (
                ejection is not None
                and ejection.tried_since is not None
                and ejection.probe_began is None
                and not ejection.on_trial
                and record.alive
            ):
                ejection.probe_began = now
                self.counts["probes"] += 1
                self.due = min(self.due, ejection.due)
                return record
        return None

    def forget(self, record: MemberRecord) -> None:
        """The member is remembered no longer."""
        self.out.pop(record, None)
        self._histories.pop(record, None)

    def counted_out(self) -> int:
        """How many of the members that are alive are out."""
        return sum(record.alive and not ejection.on_trial for record, ejection in self.out.items())

    # -- how -----------------------------------------------------------------------------------------------------------

    def _verdict(
        self, record: MemberRecord, failed: bool, now: float, policy: HealthPolicy, slow: str
    ) -> tuple[str, str]:
        def applies(rule: str) -> bool:
            return policy.acts(rule) is self.acts

        history = self._histories.get(record)
        # What came before it was out has been atoned for.
        judged = history is None or now >= history.back_since + WINDOW_SECONDS
        window = record.window
        if not failed:
            return ("slow_factor", slow) if slow and judged and applies("slow_factor") else ("", "")
        if policy.consecutive is not None and record.consecutive >= policy.consecutive and applies("consecutive"):
            return "consecutive", f"{record.consecutive} failures in a row"
        if (
            policy.success_ratio is not None
            and judged
            and window is not None
            and window.calls >= policy.least_calls
            and window.ratio() < policy.success_ratio
            and applies("success_ratio")
        ):
            return "success_ratio", f"{window.failures} of {window.calls} calls failed in {WINDOW_SECONDS} s"
        return "", ""

    def _eject(self, record: MemberRecord, rule: str, why: str, now: float, policy: HealthPolicy) -> None:
        after = self.sharing if self.full else 1 + self.counted_out()
        self.full = after > policy.most_ejected * self.sharing or after >= self.sharing
        if self.full:
            if rule != "consecutive" or record.consecutive == policy.consecutive:
                self.counts["ejections_refused"] += 1
            return
        history = self._histories.setdefault(record, _History())
        well = (now - history.back_since) / WELL_SECONDS
        history.steps = max(0, history.steps - int(well)) if math.isfinite(well) else 0
        self.counts[f"ejections_{rule}"] += 1
        self._put_out(record, history, rule, why, now, policy)

    def _put_out(
        self, record: MemberRecord, history: _History, rule: str, why: str, now: float, policy: HealthPolicy
    ) -> None:
        longest = min(policy.ejected_for * 2.0 ** min(history.steps, _MOST_STEPS), policy.ejected_at_most)
        seconds = longest / 2 * (1.0 + self.random())
        history.steps += 1
        self.out[record] = Ejection(rule, why, now, now + seconds)
        self.due = min(self.due, now + seconds)
        self.changed = True

    def _begin_trial(self, record: MemberRecord, ejection: Ejection, now: float) -> None:
        ejection.tried_since, ejection.probe_began = now, None
        if self.acts:
            self.trials.append(record)
        else:
            ejection.on_trial = True

    def _try(
        self,
        record: MemberRecord,
        ejection: Ejection,
        failed: bool | None,
        began: float,
        now: float,
        policy: HealthPolicy,
    ) -> bool:
        since = ejection.tried_since
        if since is None or began < since:
            return False
        if failed is None:
            if not ejection.on_trial:
                self._begin_trial(record, ejection, now)
            return False
        self.full = False
        if failed:
            self.counts["probes_failed"] += 1
            history = self._histories.setdefault(record, _History())
            why = ejection.why.removeprefix(_AGAIN)
            self._put_out(record, history, ejection.rule, _AGAIN + why, now, policy)
            return False
        self._bring_back(record, now)
        return True

    def _bring_back(self, record: MemberRecord, now: float) -> None:
        del self.out[record]
        self._histories.setdefault(record, _History()).back_since = now
        self.counts["returns"] += 1
        self.changed = True
