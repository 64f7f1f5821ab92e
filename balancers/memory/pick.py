"""A member that was picked for a call whose end will be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Protocol

import attrs

from ...drivers.members import Member, Outcome, Reached
from .member_record import MemberRecord
from .verdict import says_well

if TYPE_CHECKING:
    from ...discovery.merging.snapshot import Snapshot
    from ..calls.policy import CallPolicy
    from .service_memory import ServiceMemory

__all__ = ["LATE_AFTER", "Ended", "Pick", "PickedFrom", "Told", "Watched"]

Ended = tuple[MemberRecord, Outcome | float | None, bool, float, float, bool]
"""Whose attempt ended, how, whether an observer has to be told of it still, when the attempt began and when it ended,
and whether its timeout was late.

Of an answer that says nothing against the member, when nobody else listens, the second is the seconds to its head, and
the third whether it ended well: an `Outcome` takes ten times as long to make.
"""

_LEAST_ERROR = 400
"""The status below which no rule has to be asked what it says of the member."""

LATE_AFTER = 0.1
"""Seconds by which a timeout may be late. One that is later says that this process does not keep up."""


class Told(Protocol):
    """Who is told of outcomes; the observers of a registry are.

    Attributes:
        listening: whether anybody is.
    """

    @property
    def listening(self) -> bool: ...

    def attempt_failed(self, service: str, outcome: Outcome) -> None:
        """An attempt got no answer."""

    def attempt_ended(self, service: str, outcome: Outcome) -> None:
        """An attempt has ended, answered or not."""

    def call_ended(self, service: str, outcome: Outcome) -> None:
        """A call is over, with the outcome of its last attempt."""


class Watched(Protocol):
    """An attempt that is watched.

    Attributes:
        headers: what the request carries to the member besides its own.
    """

    @property
    def headers(self) -> Mapping[str, str]: ...

    def ended(self, status: int | None, error: BaseException | None) -> None:
        """The head of an answer came, with this status, or the attempt failed with an error.

        Neither: it was given up, because another one was answered first.
        """


class PickedFrom:
    """What a balancer picks from for as long as nothing changes: the same object for all its picks of that time.

    Attributes:
        view: the snapshot; None for a balancer of somebody else's.
        eligible: whom the picks of one call can go to, one after the other.
        memory: where ends are counted; None: nowhere.
        told: who hears of outcomes.
        how: the balancer chooses, in a few words.
    """

    __slots__ = ("eligible", "how", "memory", "told", "view")

    def __init__(
        self,
        view: Snapshot | None = None,
        eligible: Sequence[Member] = (),
        memory: ServiceMemory | None = None,
        told: Told | None = None,
    ) -> None:
        self.view, self.eligible, self.memory, self.told = view, eligible, memory, told
        self.how = ""


_NOTHING = PickedFrom()


class Pick:
    """One attempt at a member: a balancer's `begin` gives it, `done` or `cancel` ends it.

    One that is dropped counts as ended when it is collected. That may be at any place in any thread, in the middle of
    our own code too, so the finalizer does nothing but assign, and append to a deque, which the next pick empties.

    Everything a call knows of one attempt is here, in one object: it is made for every attempt, and each object and
    each call in between would cost as much as the rest.

    Attributes:
        member: who was picked.
        source: what it was picked from.
        before: seconds that the call had taken when this attempt began.
        started: when the attempt began, by the clock that `answered` and the others are given.
        connect_limit: seconds that connecting may take.
        answer_limit: seconds until the head of the answer has to be there; None without a deadline.
        delay: seconds that the client waits before it sends this attempt.
        retry_after: seconds that the answer asks to wait, set before `ended`; None if it does not say.
        policy, calls: of a plain call, its policy, and how many calls there were in the last ten seconds when it began.
        watched: what is to carry to the member, and to be told of the end, of an attempt that a tracer watches.
    """

    # What nearly all attempts leave as it is belongs to the class: setting it in each takes a third of what making one
    # does.
    connect_limit: float = inf
    answer_limit: float | None = None
    delay: float = 0.0
    before: float = 0.0
    retry_after: float | None = None
    watched: Watched | None = None
    policy: CallPolicy | None = None
    calls: int = 0
    _budget_left: float | None = None
    _how: str = ""
    _head: tuple[int, float] | None = None

    def __init__(
        self,
        member: Member,
        source: PickedFrom = _NOTHING,
        record: MemberRecord | None = None,
        pending: int = 0,
        started: float = 0.0,
        how: str = "",
    ) -> None:
        self.member = member
        self.source = source
        self.started = started
        self._began = started
        if how:
            self._how = how
        self._record = record
        if record is not None:
            self._ewma = record.ewma
            self._pending = pending

    @property
    def why(self) -> str:
        """Why this member was chosen, in one line."""
        how = self._how or self.source.how
        if self.source.memory is None:
            return how or "the balancer's choice"
        return f"{how or 'its turn'}; {self._pending} in flight before, EWMA {self._ewma * 1000:.3g} ms"

    @property
    def budget_left(self) -> float:
        """Retries that the service's budget allowed when this attempt began."""
        if self._budget_left is not None:
            return self._budget_left
        return 0.0 if self.policy is None else self.policy.allowance(self.calls)

    @budget_left.setter
    def budget_left(self, retries: float) -> None:
        self._budget_left = retries

    # -- for clients, in times -----------------------------------------------------------------------------------------

    def answered(self, status: int, now: float) -> bool:
        """The head of an answer came; `ended` is still to come. False if it missed the deadline, and is no answer.

        The timers of sockets are coarse: an answer may come a little after the time for it.
        """
        seconds, limit = now - self.started, self.answer_limit
        if limit is not None and seconds >= limit:
            return False
        self._head = (status, seconds)
        record, memory = self._record, self.source.memory
        if record is not None and memory is not None:
            memory.loads.answered(record.place, now)
        return True

    def answered_whole(self, status: int, now: float) -> None:
        """`answered` and then `ended` in one, for an answer without a limit whose body is there already."""
        source, record = self.source, self._record
        memory, told = source.memory, source.told
        if status >= _LEAST_ERROR or record is None or memory is None or (told is not None and told.listening):
            self.answered(status, now)
            self.ended(now, True)
            return
        seconds = now - self.started
        self._head, self._record = (status, seconds), None
        place, loads = record.place, memory.loads
        if place >= 0:  # as `Loads.answered` and `Loads.ended`
            loads.waiting.pop(place, None)
            loads.pending[place] -= 1
        if now > loads.heard:
            loads.heard = now
        memory.ended.append((record, seconds, True, self._began, now, False))

    def put_off(self) -> None:
        """The client sends this attempt later: until then no answer is to be expected."""
        record, memory = self._record, self.source.memory
        if record is not None and memory is not None:
            memory.loads.not_waiting(record.place, self._began)

    def ended(self, now: float, complete: bool) -> None:
        """The answer has ended: its body was read to the end (`complete`), closed early, or broke off."""
        head, source = self._head, self.source
        told = source.told
        if head is not None and (told is None or not told.listening) and (head[0] < _LEAST_ERROR or says_well(head[0])):
            record, memory, self._record = self._record, source.memory, None
            if record is not None and memory is not None:
                memory.loads.ended(record.place)
                memory.ended.append((record, head[1], complete, self._began, now, False))
            return
        status, seconds = head or (None, None)
        taken = now - self.started
        self.done(Outcome(self.member, Reached.ANSWERED, status, seconds, taken, complete, self.retry_after))

    @property
    def head(self) -> tuple[int, float] | None:
        """The status of the answer, and after how many seconds it began; None while there is none."""
        return self._head

    # -- for everybody -------------------------------------------------------------------------------------------------

    def done(self, outcome: Outcome, *, last: bool = True) -> None:
        """The attempt has ended like this. Only the first call counts.

        Args:
            last: whether the call is over with it; else `call_over` says so, unless there is another attempt.
        """
        record, self._record = self._record, None
        memory, told = self.source.memory, self.source.told
        if record is None or memory is None:
            return
        late = 0.0
        if outcome.reached is Reached.UNCONNECTED or (
            outcome.reached is Reached.TIMED_OUT and not outcome.callers_time
        ):
            late = self._lateness(outcome)
            if memory.failed is not None:
                memory.failed(outcome, late)
        ended = (record, outcome, False, self._began, self.started + outcome.seconds, late > LATE_AFTER)
        # What is late is counted first: it says what the failures that came with it are worth.
        memory.ended.appendleft(ended) if late > LATE_AFTER else memory.ended.append(ended)
        memory.settle_at = -inf
        if told is not None and told.listening:
            if outcome.reached is not Reached.ANSWERED:
                told.attempt_failed(self.member.service, outcome)
            told.attempt_ended(self.member.service, outcome)
            if last:
                self.call_over(outcome)

    def call_over(self, outcome: Outcome) -> None:
        """The call is over with the outcome of this attempt."""
        told = self.source.told
        if told is not None and told.listening:
            if self.before:
                outcome = attrs.evolve(outcome, before=self.before)
            told.call_ended(self.member.service, outcome)

    def cancel(self) -> None:
        """The attempt has ended, and that says nothing about the member."""
        record, self._record = self._record, None
        memory = self.source.memory
        if record is not None and memory is not None:
            memory.ended.append((record, None, False, self._began, self.started, False))
            memory.settle_at = -inf

    def _lateness(self, outcome: Outcome) -> float:
        """For how many seconds the attempt went on after its time."""
        limit = self.connect_limit if outcome.reached is Reached.UNCONNECTED else self.answer_limit
        return 0.0 if limit is None else max(0.0, outcome.seconds - limit)

    def __del__(self) -> None:
        record = self._record
        if record is None:
            return
        self._record = None
        memory, told = self.source.memory, self.source.told
        if memory is None:
            return
        outcome, seconds = None, 0.0
        if self._head is not None:
            status, seconds = self._head
            outcome = Outcome(self.member, Reached.ANSWERED, status, seconds, seconds, retry_after=self.retry_after)
        memory.settle_at = -inf
        heard = told is not None and told.listening
        memory.ended.append((record, outcome, heard, self._began, self.started + seconds, False))
