"""A call by any other client: the block that makes it tells how it ended."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ..drivers.members import Member, Outcome, Reached
from .memory.pick import Pick

__all__ = ["OwnCall", "reached_by"]

_UNREACHABLE = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
    }
)
"""What the system says when no connection can be made, and nothing was sent."""

_CAUSES = 8


class OwnCall:
    """One call to one member, as a block, sync or async::

        with orders.call() as call:
            connection = ftplib.FTP_TLS(call.member.host)

    The call has ended when the block has. An exception that leaves it tells how far it got, as far as it can be known:
    a refused or unreachable address is *no connection*, another `ConnectionError` or an `EOFError` a broken one, a
    `TimeoutError` an answer that did not come within the caller's time. Any other exception, a cancellation among
    them, says nothing about the member. A client's own exceptions are looked through to what caused them.

    Attributes:
        member: whom to call.
    """

    __slots__ = ("_begin", "_clock", "_head", "_pick", "member")

    member: Member

    def __init__(self, begin: Callable[[], Pick], clock: Callable[[], float]) -> None:
        self._begin, self._clock = begin, clock
        self._pick: Pick | None = None
        self._head: tuple[int | None, float] | None = None

    def answered(self, status: int | None = None) -> None:
        """The answer began, with this status if it is one of HTTP. Without this the end of the block is that moment."""
        if self._pick is not None:
            self._head = (status, self._clock() - self._pick.started)

    def failed(self, reached: Reached) -> None:
        """The attempt got this far and failed, which no exception of this block will tell."""
        pick, self._pick = self._pick, None
        if pick is not None:
            pick.done(Outcome(pick.member, reached, seconds=self._clock() - pick.started, callers_time=True))

    def __enter__(self) -> Self:
        """Raises `NoMemberAvailable` when there is nobody to call."""
        pick = self._pick = self._begin()
        pick.started = self._clock()
        self.member = pick.member
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pick, head = self._pick, self._head
        self._pick = self._head = None
        if pick is None:
            return
        seconds = self._clock() - pick.started
        reached = Reached.ANSWERED if error is None else reached_by(error)
        if head is not None and (reached is not None or isinstance(error, Exception)):
            # It began, so it was an answer, whatever broke off later or the caller did not like.
            status, began = head
            pick.done(Outcome(pick.member, Reached.ANSWERED, status, began, seconds, error is None))
        elif reached is None:
            pick.cancel()
        elif reached is Reached.ANSWERED:
            pick.done(Outcome(pick.member, reached, None, seconds, seconds, True))
        else:
            pick.done(Outcome(pick.member, reached, seconds=seconds, callers_time=reached is Reached.TIMED_OUT))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def reached_by(error: BaseException) -> Reached | None:
    """How far an attempt got that ended with this exception, or with one that was caused by it; None if it is unknown.

    A `ConnectionRefusedError` within a timeout counts before the timeout: the nearer to the system, the better is it
    known.
    """
    found: Reached | None = None
    cause: BaseException | None = error
    for _ in range(_CAUSES):
        if cause is None or not isinstance(cause, Exception):
            break
        found = _reached(cause) or found
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return found


def _reached(error: Exception) -> Reached | None:
    if isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in _UNREACHABLE):
        return Reached.UNCONNECTED
    if isinstance(error, ConnectionRefusedError):
        return Reached.UNCONNECTED
    if isinstance(error, TimeoutError):
        return Reached.TIMED_OUT
    if isinstance(error, (ConnectionError, EOFError)):
        return Reached.BROKEN
    return None
