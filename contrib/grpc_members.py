"""What the channels of `contrib.grpc` and `contrib.grpc_aio` have in common: everything but the waiting.

grpc has no way to add members to a channel, and balances by itself what a name resolves to. So there is a channel per
member, and a call goes to one of them. In the terms of calls a status of grpc is the status of HTTP that stands for it,
so that the policy's rules hold for both; a call is idempotent if the caller says so, as grpc has no such methods.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from logging import Logger
from time import monotonic
from typing import Any

try:
    import grpc
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.grpc needs grpcio: pip install 'pydoudou[grpc]'") from error

from ..balancers import LeastLatency
from ..balancers.calls.given_policy import checked_policy
from ..balancers.calls.policy import CallPolicy, shorter
from ..balancers.calls.service import CalledService, ClientErrors
from ..balancers.calls.trail import Attempt, attempts_on
from ..balancers.calls.urls import UnusableAddress
from ..balancers.memory.pick import Pick
from ..balancers.reporting import Given, reporting
from ..discovery.arguments import checked_service
from ..drivers.members import Member, Reached
from .grpc_internals import broke, never_connected

__all__ = [
    "CircuitOpenError",
    "Connection",
    "Exchange",
    "Members",
    "NoMemberError",
    "Unconnected",
    "attempts_of",
    "member_of",
]

_Code = grpc.StatusCode

_STATUS = {
    _Code.UNKNOWN: 500,
    _Code.INVALID_ARGUMENT: 400,
    _Code.DEADLINE_EXCEEDED: 504,
    _Code.NOT_FOUND: 404,
    _Code.ALREADY_EXISTS: 409,
    _Code.PERMISSION_DENIED: 403,
    _Code.RESOURCE_EXHAUSTED: 429,
    _Code.FAILED_PRECONDITION: 400,
    _Code.ABORTED: 409,
    _Code.OUT_OF_RANGE: 400,
    _Code.UNIMPLEMENTED: 501,
    _Code.INTERNAL: 500,
    _Code.UNAVAILABLE: 503,
    _Code.DATA_LOSS: 500,
    _Code.UNAUTHENTICATED: 401,
}
"""The statuses of HTTP that stand for those of grpc, as gateways translate them."""

_OPTIONS = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 1000}
"""By default grpc waits up to two minutes before it connects again; a member that restarted is to be found sooner."""

_TIMER_SLACK = 0.02
"""Seconds by which grpc's clock may be early."""


class _OwnError(grpc.aio.AioRpcError):  # type: ignore[misc]
    """An error that no server and no channel said."""

    code_of = _Code.UNAVAILABLE

    def __init__(self, text: str, *, request: object = None) -> None:
        super().__init__(self.code_of, grpc.aio.Metadata(), grpc.aio.Metadata(), text)

    def __reduce__(self) -> Any:
        return type(self), (self.details(),)


class NoMemberError(_OwnError):
    """No member of the service can be picked (UNAVAILABLE); the `NoMemberAvailable` is the ``__cause__``."""


class CircuitOpenError(_OwnError):
    """The circuit breaker of the service lets no call through (UNAVAILABLE); the `CircuitOpen` is the ``__cause__``."""


class Unconnected(_OwnError):
    """There was no connection to a member in time (UNAVAILABLE)."""


class _TimedOut(_OwnError):
    code_of = _Code.DEADLINE_EXCEEDED


def member_of(call: Any) -> Member:
    """The member that a call went to, or an error came from.

    Args:
        call: what ``with_call`` returns besides the answer, the call of a stream, of grpc.aio, or the `grpc.RpcError`.

    Raises:
        LookupError: it went to no member, or did not come through a `DiscoveryChannel`.
    """
    attempts = attempts_of(call)
    if not attempts:
        raise LookupError(f"{type(call).__name__} did not come from a member of a service")
    return attempts[-1].member


def attempts_of(call: Any) -> tuple[Attempt, ...]:
    """The attempts of a call or of the error that it ended with, the last one included; empty if there are none."""
    return attempts_on(call)


class Connection:
    """The channel to one member.

    Attributes:
        connected: whether it had a connection when it was used last.
        calls: how many calls use it now.
        left: whether the member left the service.
        closable_from: when it may be closed.
    """

    def __init__(self, channel: Any) -> None:
        self.channel, self.connected, self.calls, self.left = channel, False, 0, False
        self.closable_from = 0.0
        self._methods: dict[object, Any] = {}

    def method(self, key: object, make: Callable[[Any], Any]) -> Any:
        """A method of this channel, made once."""
        made = self._methods.get(key)
        if made is None:
            made = self._methods[key] = make(self.channel)
        return made


class Members:
    """The members of one service, and the channels to them.

    Args:
        make: makes the channel to ``host:port``, with these credentials, options and compression.
    """

    def __init__(
        self,
        service: str,
        balancer: Given | None,
        policy: CallPolicy,
        log: Logger,
        make: Callable[[str, Any, Sequence[tuple[str, Any]]], Any],
        credentials: Any,
        options: Sequence[tuple[str, Any]] | None,
        idempotent: Collection[str],
    ) -> None:
        checked_service(service)
        if isinstance(idempotent, str) or not all(
            isinstance(method, str) and method.startswith("/") for method in idempotent
        ):
            raise ValueError(
                f"idempotent is {idempotent!r}; accepted: full names of methods, '/package.Service/Method'"
            )
        self.idempotent = frozenset(idempotent)
        self._make, self._credentials = make, credentials
        self._options = [*{**_OPTIONS, "grpc.default_authority": service, **dict(options or ())}.items()]
        given = reporting(LeastLatency if balancer is None else balancer, service)
        self.service: CalledService[str] = CalledService(service, given, policy, _ERRORS, str, log, self._retire)
        self._connections: dict[tuple[str, int, bool], Connection] = {}
        self._lock = threading.Lock()
        self.surplus: list[Connection] = []

    @property
    def policy(self) -> CallPolicy:
        return self.service.policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        self.service.policy = checked_policy(policy)

    def take(self, member: Member) -> Connection:
        """The channel to a member, for one call, which gives it back.

        Raises:
            Unconnected: no call can be sent to such an address.
        """
        try:
            self.service.origins.of(member, "http", self.service.view)
        except UnusableAddress as error:
            raise Unconnected(str(error)) from error
        encrypted = self._credentials is not None or member.scheme == "https"
        key = (member.host, member.port, encrypted)
        with self._lock:
            connection = self._connections.get(key)
            if connection is None:
                credentials = (self._credentials or grpc.ssl_channel_credentials()) if encrypted else None
                channel = self._make(member.address, credentials, self._options)
                connection = self._connections[key] = Connection(channel)
            connection.calls += 1
        return connection

    def give_back(self, connection: Connection) -> None:
        """A call does not use the channel any more."""
        with self._lock:
            connection.calls -= 1
            if connection.left and connection.calls == 0:
                self.surplus.append(connection)

    def unused(self) -> list[Any]:
        """The channels to members that left, for the caller to close."""
        now = monotonic()
        with self._lock:
            closable = [one.channel for one in self.surplus if one.closable_from <= now]
            self.surplus = [one for one in self.surplus if one.closable_from > now]
        return closable

    def all(self) -> list[Connection]:
        """Every connection, for the caller to close; the next call makes new ones."""
        with self._lock:
            connections = [*self.surplus, *self._connections.values()]
            self.surplus, self._connections = [], {}
        return connections

    def _retire(self, members: Iterable[Member]) -> None:
        present = {(member.host, member.port) for member in members}
        with self._lock:
            for key in [key for key in self._connections if key[:2] not in present]:
                connection = self._connections.pop(key)
                connection.left = True
                if connection.calls == 0:
                    self.surplus.append(connection)


class Exchange:
    """One call of the caller.

    Args:
        path: ``/package.Service/Method``.
        timeout: of the caller, in seconds, over all attempts.
    """

    def __init__(self, members: Members, path: str, timeout: float | None, replayable: bool) -> None:
        now = monotonic()
        self.members, self.service, self._path = members, members.service, path
        self._until = None if timeout is None else now + timeout
        self._until_here, self._streaming = math.inf, False
        method = "GET" if path in members.idempotent else "POST"
        self.call = self.service.call(method, f"grpc://{self.service.host}{path}", replayable, now)

    def first(self) -> Pick:
        """The first attempt. Raises an error of grpc if there is nobody, or no time."""
        return self.service.first(self.call, self._path, monotonic())

    def connect_limit(self, attempt: Pick) -> float:
        """Seconds that connecting may take."""
        left = shorter(self._left(attempt), attempt.connect_limit - (monotonic() - attempt.started))
        return max(0.001, left or 0.0)

    def timeout(self, attempt: Pick) -> float | None:
        """Seconds that are left for the answer to this attempt."""
        left = self._left(attempt)
        timeout = None if left is None else max(0.001, left)
        self._until_here = math.inf if timeout is None else monotonic() + timeout
        return timeout

    def streaming_timeout(self, attempt: Pick) -> float | None:
        """Seconds that are left for a whole stream: the caller's; no policy says how long one may last."""
        attempt.answer_limit = None
        return self.timeout(attempt)

    def _left(self, attempt: Pick) -> float | None:
        now, limit = monotonic(), attempt.answer_limit
        own = None if limit is None else limit - (now - attempt.started)
        return shorter(None if self._until is None else self._until - now, own)

    def ended(self, attempt: Pick, call: Any) -> Pick | None:
        """The attempt after `attempt`, which was answered, with whatever status; None: that is the answer to the call.

        Args:
            call: of grpc, or its error: it gets the trail.
        """
        following = self.service.answered(
            self.call, attempt, self.status(call), lambda name: _trailing(call, name), self._path, monotonic()
        )
        if following is None:
            attempt.ended(monotonic(), True)
            call.attempts = self.call.trail
        return following

    def failed(self, attempt: Pick, error: BaseException) -> Pick | None:
        """The attempt after `attempt`, which ended with `error`; None if that is the outcome of the call."""
        if isinstance(error, grpc.RpcError) and not isinstance(error, _OwnError) and self.answers(error):
            return self.ended(attempt, error)
        return self.service.after(self.call, attempt, error, monotonic())

    def stream_answers(self, attempt: Pick) -> None:
        """An answer of a stream came."""
        if not self._streaming:
            self._streaming = True
            self._answered(attempt, 200)

    def stream_ended(self, attempt: Pick, call: Any, code: Any, details: str) -> None:
        """A stream ended. It was sent, and the answers to it may have been used, so it does not move any more."""
        now = monotonic()
        if self._streaming:
            attempt.ended(now, code is _Code.OK)
        elif code is _Code.CANCELLED:
            attempt.cancel()
            self.call.cancelled(now)
        elif code is _Code.OK or self._said(code, details):
            self._answered(attempt, 200 if code is _Code.OK else _STATUS.get(code, 500))
            attempt.ended(now, True)
        else:
            reached = Reached.TIMED_OUT if code is _Code.DEADLINE_EXCEEDED else Reached.BROKEN
            self.call.next(attempt, reached, call if isinstance(call, BaseException) else RuntimeError(details), now)
        call.attempts = self.call.trail

    def _answered(self, attempt: Pick, status: int) -> None:
        now = monotonic()
        attempt.answered(status, now)
        self.call.answered(attempt, status, lambda name: None, now)

    def answers(self, error: Any) -> bool:
        """Whether an error of grpc is what the member said, and not what became of the connection or of the time."""
        return self._said(error.code(), error.details() or "")

    def _said(self, code: Any, details: str) -> bool:
        if code is _Code.UNAVAILABLE:
            return not never_connected(details) and not broke(details)
        if code is _Code.DEADLINE_EXCEEDED:
            return monotonic() < self._until_here - _TIMER_SLACK
        return code is not _Code.CANCELLED

    @staticmethod
    def status(call: Any) -> int:
        """The status of HTTP for the end of a call, which has come."""
        return _STATUS.get(call.code(), 500) if isinstance(call, grpc.RpcError) else 200


def _trailing(call: Any, name: str) -> str | None:
    for key, value in call.trailing_metadata() or ():
        if key == name:
            return value if isinstance(value, str) else None
    return None


def _reached(error: BaseException) -> Reached | None:
    """How far the attempt got, None if the member has nothing to do with what failed."""
    if isinstance(error, Unconnected):
        return Reached.UNCONNECTED
    if not isinstance(error, grpc.RpcError):
        return None
    code = error.code()
    if code is _Code.UNAVAILABLE:
        return Reached.UNCONNECTED if never_connected(error.details() or "") else Reached.BROKEN
    return Reached.TIMED_OUT if code is _Code.DEADLINE_EXCEEDED else None


_ERRORS = ClientErrors(NoMemberError, _TimedOut, _reached, CircuitOpenError)
