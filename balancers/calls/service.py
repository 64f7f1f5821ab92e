"""A service as one client calls it: everything that does not depend on the client's library."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from ...drivers.members import Member
from ..balancer import ReportingBalancer
from .call import Call
from .origins import Origins
from .policy import CallPolicy

if TYPE_CHECKING:
    from ...discovery.merging.snapshot import Snapshot

__all__ = ["FIRST_ANSWER_WITHIN", "CalledService"]

T = TypeVar("T")

FIRST_ANSWER_WITHIN = 0.5
"""Seconds that the first call of a service waits, once, for a backend that has to ask for its members."""


class CalledService(Generic[T]):
    """The balancer, the policy and the base URLs of a service.

    Args:
        host: the name in the URL, which a member's certificate must carry.
        make_origin: parses a base URL in the client's own way.
        log: where moves are told.
    """

    def __init__(
        self,
        host: str,
        balancer: ReportingBalancer,
        policy: CallPolicy,
        make_origin: Callable[[str], T],
        log: logging.Logger,
    ) -> None:
        self.host, self.balancer, self.policy, self._log = host, balancer, policy, log
        self._origins = Origins(make_origin)
        self._view: Snapshot | None = None
        self._waited = False

    def changed(self) -> bool:
        """Whether the last pick saw other members than the one before this was asked last: the pools of those that left
        can be closed.
        """
        view = self.balancer.view
        if view is self._view:
            return False
        self._view = view
        return True

    def call(self, method: str, url: object, replayable: bool, now: float) -> Call:
        """A call of this service that begins now. (`Call` says what the arguments are.)"""
        return Call(self.policy, self.balancer, method, url, replayable, now, self._log)

    def first_wait(self) -> float:
        """Seconds to wait for the first answer before the first pick; 0 from the second time on, or if it is there."""
        if self._waited:
            return 0.0
        self._waited = True
        if self.known:
            return 0.0
        return min(FIRST_ANSWER_WITHIN, self.policy.deadline or FIRST_ANSWER_WITHIN)

    def origin(self, member: Member, scheme: str) -> T:
        """The base of `member`, reached by `scheme`. Raises `UnusableAddress`."""
        return self._origins.of(member, scheme, self._view)

    @property
    def known(self) -> bool:
        """Whether anybody knows a member of the service."""
        return any(True for _ in self.balancer.members())
