"""A service as one client calls it: everything that does not depend on the client's library."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from ...discovery.configuration import changes
from ...drivers.errors import CircuitOpen, DiscoveryError, NoMemberAvailable
from ...drivers.members import Member, Reached
from ..balancer import ReportingBalancer
from ..memory.chain import staying
from ..memory.pick import Pick
from . import watching
from .call import Call, DeadlineOver
from .given_policy import UNSAID
from .origins import Origins
from .override import overriding
from .policy import CONNECT_BUDGET, CallPolicy
from .watching import watched

if TYPE_CHECKING:
    from ...discovery.merging.snapshot import Snapshot
    from ..shared_calls import SharedCalls
    from .budget import RetryBudget

__all__ = ["FIRST_ANSWER_WITHIN", "CalledService", "ClientErrors"]

T = TypeVar("T")

FIRST_ANSWER_WITHIN = 0.5
"""Seconds that the first call of a service waits, once, for a backend that has to ask for its members."""


@attrs.frozen
class ClientErrors:
    """The exceptions of a client's library.

    Attributes:
        no_member, timed_out: make one of a message and ``request=``, the request that the caller made.
        reached: how far an attempt got that ended with an exception; None if the member has nothing to do with it.
        circuit_open: as `no_member`, for a service whose circuit breaker is open; None: that of `no_member`.
    """

    no_member: Callable[..., Exception]
    timed_out: Callable[..., Exception]
    reached: Callable[[BaseException], Reached | None]
    circuit_open: Callable[..., Exception] | None = None


class CalledService(Generic[T]):
    """The balancer, the policy and the base URLs of a service.

    Args:
        host: the name in the URL, which a member's certificate must carry.
        errors: those of the client's library.
        make_origin: parses a base URL in the client's own way.
        log: where moves are told.
        changed: is told when the members are others than at the last call, with those there are now: connections to
            those that left, or drain, can be closed.

    Attributes:
        origins: the base URLs of members.
        view: what the last call picked from, which is the version of `origins`.
        budget: the retries of the service, since a call of it began.
        ready: whether no call has to wait for the first answer any more; else it calls `wait` first.
    """

    # Those of the balancer, since the view was seen: not before, for a balancer asks its registry for them.
    _calls: SharedCalls
    budget: RetryBudget

    def __init__(
        self,
        host: str,
        balancer: ReportingBalancer,
        policy: CallPolicy,
        errors: ClientErrors,
        make_origin: Callable[[str], T],
        log: logging.Logger,
        changed: Callable[[Iterable[Member]], None],
    ) -> None:
        self.host, self.balancer, self._errors, self._log = host, balancer, errors, log
        self._policy = policy
        # What `_look` found last, after the `changes.number` of that time.
        self._in_force: tuple[int, CallPolicy, CallPolicy | None] = (-1, policy, None)
        self._changed = changed
        self.origins = Origins(make_origin)
        self.view: Snapshot | None = None
        self.ready = False
        self._wait_until: float | None = None

    def call(self, method: str, url: object, replayable: bool, now: float) -> Call:
        """A call of this service that begins now. (`Call` says what the arguments are.)"""
        looked, policy, _ = self._in_force
        if looked != changes.number or overriding.get() is not None:
            policy, _ = self._look()
        if policy.health is not None:
            self.balancer.health = policy.health
        return Call(policy, self.balancer, method, url, replayable, now, self._log)

    # -- a call that needs no `Call`, because no rule has to be asked, as for nearly all -------------------------------

    @property
    def policy(self) -> CallPolicy:
        """The one of the client."""
        return self._policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        self._policy = policy
        changes.changed()

    def plain_attempt(self, request: object, now: float, connect: float | None = 0.0) -> Pick | None:
        """The first attempt of a call that begins now, if an answer below 400 will be the answer to it, whenever it
        comes: `call_of` makes the call of it when something else does. None: there has to be a `Call` first.

        Args:
            connect: seconds after which the client gives up connecting by itself.

        Raises:
            Exception: the library's own, if there is no member.
        """
        looked, _, policy = self._in_force
        if looked != changes.number or overriding.get() is not None:
            _, policy = self._look()
        if policy is None or connect is None or (connect and connect > CONNECT_BUDGET / policy.attempts):
            return None
        try:
            pick = self.balancer.begin()
        except DiscoveryError as error:
            raise self._without_member(error, request) from error
        pick.started, pick.policy = now, policy
        view = pick.source.view
        if view is not self.view:
            self._see(view)
        budget = self.budget
        if now < budget.turn_at and not budget.watching:  # as `SharedCalls.began`, and nobody has taken any
            budget.calls = pick.calls = budget.calls + 1
        else:
            pick.budget_left = self._calls.began(now, policy)
        return pick

    def plain_answer(self, now: float) -> None:
        """The call was answered, with a status below 400: to be told while `budget.watching`. The attempt is told by
        the client.
        """
        self._calls.answered(now)

    def call_of(self, attempt: Pick, method: str, url: object, replayable: bool) -> Call:
        """The call that began with this plain attempt."""
        assert attempt.policy is not None
        call = Call(attempt.policy, self.balancer, method, url, replayable, attempt.started, self._log)
        call.take(attempt)
        return call

    def _look(self) -> tuple[CallPolicy, CallPolicy | None]:
        """The policy of a call that begins now; and the same once more if the call can do with a plain attempt."""
        looked, override = changes.number, overriding.get()
        policy = override or self._policy
        if policy is UNSAID:
            policy = self.balancer.default_policy()
        plain = policy if self.ready and watching.watcher is None and policy.plain else None
        if self.ready and override is None:
            self._in_force = looked, policy, plain
        return policy, plain

    # -- any call ------------------------------------------------------------------------------------------------------

    def first(self, call: Call, request: object, now: float) -> Pick:
        """The first attempt at a call.

        Raises:
            Exception: the library's own, if there is no member or no time left.
        """
        try:
            pick = call.first(now)
        except CircuitOpen as error:
            raise (self._errors.circuit_open or self._errors.no_member)(
                f"{self.host!r} is not called: {error}", request=request
            ) from error
        except DiscoveryError as error:
            raise self._without_member(error, request) from error
        except DeadlineOver as error:
            raise self._errors.timed_out(str(error), request=request) from error
        view = pick.source.view
        if view is not self.view:
            self._see(view)
        if watching.watcher is not None:
            pick.watched = watched(call, pick)
        return pick

    def _see(self, view: Snapshot | None) -> None:
        self.view, self._calls = view, self.balancer.calls
        self.budget = self._calls.budget
        self._changed(staying(self.balancer.members()))

    def _without_member(self, error: DiscoveryError, request: object) -> Exception:
        """The library's own error for a call that cannot begin. (A registry may have been inherited through a fork.)"""
        if isinstance(error, NoMemberAvailable):
            self._see(None)
        return self._errors.no_member(str(error), request=request)

    def after(self, call: Call, attempt: Pick, error: BaseException, now: float) -> Pick | None:
        """The attempt after `attempt`, which ended with `error`; None if that is the outcome of the call."""
        reached = self._errors.reached(error)
        if reached is None:
            attempt.cancel()
            call.cancelled(now)
            _tell(call, attempt, None, error=error)
            return None
        following = call.next(attempt, reached, error, now)
        _tell(call, attempt, following, error=error)
        if following is None:
            with contextlib.suppress(AttributeError):
                error.attempts = call.trail  # type: ignore[attr-defined]
        return following

    def answered(
        self, call: Call, attempt: Pick, status: int, header: Callable[[str], str | None], request: object, now: float
    ) -> Pick | None:
        """The head of an answer came. None if it is the answer to the call, whose end (`Pick.ended`) is still to be
        told; else the attempt that follows: the answer is to be closed unread.

        Args:
            header: gives the value of a header of the answer by its lower-case name.

        Raises:
            Exception: the library's own, if the answer missed the deadline; it is to be closed as well.
        """
        if attempt.answered(status, now):
            following = call.answered(attempt, status, header, now)
            if attempt.watched is not None:
                _tell(call, attempt, following, status)
            return following
        raise self._errors.timed_out(f"the answer came after {call.timeout}", request=request)

    def hedge(self, call: Call, now: float) -> Pick | None:
        """A second attempt beside the present one, once `Call.hedge_after` is over; None if it is not worth it.

        The first of the two that is answered goes to `answered`, the other one to `lost`; if both fail, the last one
        goes to `after`.
        """
        try:
            pick = call.hedge(now)
        except DiscoveryError:
            return None
        if pick is not None:
            pick.watched = watched(call, pick)
        return pick

    def lost(self, call: Call, attempt: Pick, error: BaseException | None, now: float) -> None:
        """Of two attempts this one ended with `error` while the other is under way, or was given up (None)."""
        reached = None if error is None else self._errors.reached(error)
        call.lost(attempt, reached, error, now)
        _tell(call, attempt, None, error=error)

    def wait(self, now: float) -> None:
        """Wait for the first answer if there is time for it; whatever it is, the pick that follows tells."""
        with contextlib.suppress(DiscoveryError):
            self.balancer.wait(self.first_wait(now))

    async def wait_async(self, now: float) -> None:
        """The same without blocking the event loop."""
        with contextlib.suppress(DiscoveryError):
            await self.balancer.wait_async(self.first_wait(now))

    def first_wait(self, now: float) -> float:
        """Seconds to wait for the first answer before the first pick; 0 once it is there, or its time is over."""
        if self.ready:
            return 0.0
        until = self._wait_until
        if until is None:
            until = self._wait_until = now + min(FIRST_ANSWER_WITHIN, self.policy.deadline or FIRST_ANSWER_WITHIN)
        if now >= until or self.known:
            self.ready = True
            return 0.0
        return until - now

    @property
    def known(self) -> bool:
        """Whether anybody knows a member of the service."""
        try:
            return any(True for _ in self.balancer.members())
        except DiscoveryError:
            return False


def _tell(
    call: Call, attempt: Pick, following: Pick | None, status: int | None = None, error: BaseException | None = None
) -> None:
    """Tell who watches an attempt how it ended, and of the one that follows it."""
    one, attempt.watched = attempt.watched, None
    if one is not None:
        one.ended(status, error)
        if following is not None:
            following.watched = watched(call, following)
