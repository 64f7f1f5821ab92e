"""grpc: a channel to the service ``orders``, whose calls go to its members.

    channel = DiscoveryChannel("orders")
    stub = shop_pb2_grpc.OrdersStub(channel)

It is a `grpc.Channel`, so stubs and `grpc.intercept_channel` take it. For `grpc.aio` there is `aio.DiscoveryChannel`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from time import monotonic, sleep
from typing import Any

try:
    import grpc
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.grpc needs grpcio: pip install 'pydoudou[grpc]'") from error

from ..balancers.calls.given_policy import given_policy
from ..balancers.calls.policy import CallPolicy
from ..balancers.memory.pick import Pick
from ..balancers.reporting import Given
from . import grpc_aio
from .grpc_members import (
    CircuitOpenError,
    Connection,
    Exchange,
    Members,
    NoMemberError,
    Unconnected,
    attempts_of,
    member_of,
)

__all__ = ["CircuitOpenError", "DiscoveryChannel", "NoMemberError", "attempts_of", "member_of"]

aio = grpc_aio
"""The same for `grpc.aio`."""

logger = logging.getLogger(__name__)

_LISTENS_ON = 0.3
"""Seconds that a thread of grpc goes on asking for the state of a channel after nobody wants to know it any more. It
dies with an error if the channel is closed meanwhile."""


class DiscoveryChannel(grpc.Channel):  # type: ignore[misc]
    """A channel to the members of a service: each call goes to one of them.

    A call moves to another member when nothing can have been done: there is no connection, or the member says so. If
    it is `idempotent`, also when its connection broke and when the member is UNAVAILABLE. A stream moves until there is
    a connection for it. ``future()`` does not move.

    Args:
        service: the name of the service, and the authority that the members see and TLS certificates must carry.
        balancer: chooses the member, or a function that makes the balancer from the name (`WeightedRandom`, say).
            By default `LeastLatency` on the default registry.
        credentials: for TLS to every member. None: TLS to members that registered ``https``, with the usual roots.
        options: of the channels to members. By default they connect anew within a second.
        compression: of all calls.
        idempotent: the methods that may be done twice: ``/package.Service/Method``.
        attempts: the most attempts of one call; 3 by default.
        deadline: seconds from the start of a call to its answer, over all attempts. None: the ``timeout=`` of the call
            decides, and all connecting together takes 30 s at most.
        policy: these two and all else about how far a call goes, in place of them.

    Raises, from a call:
        NoMemberError: there is no member to send it to.
        CircuitOpenError: the policy has a circuit breaker, and it is open.

    Any other error is the one of the last attempt. All of them are a `grpc.RpcError` with a code.

    ``with_call`` returns a call that tells who answered (`member_of`) and of all attempts at it (`attempts_of`), as
    does every error.
    """

    def __init__(
        self,
        service: str,
        balancer: Given | None = None,
        *,
        credentials: Any = None,
        options: Sequence[tuple[str, Any]] | None = None,
        compression: Any = None,
        idempotent: Collection[str] = (),
        attempts: int | None = None,
        deadline: float | None = None,
        policy: CallPolicy | None = None,
    ) -> None:
        def make(target: str, secrets: Any, chosen: Sequence[tuple[str, Any]]) -> Any:
            if secrets is None:
                return grpc.insecure_channel(target, chosen, compression)
            return grpc.secure_channel(target, secrets, chosen, compression)

        chosen = given_policy(policy, attempts, deadline)
        self._members = Members(service, balancer, chosen, logger, make, credentials, options, idempotent)

    @property
    def policy(self) -> CallPolicy:
        """How far a call may go; may be changed at any time, for the calls that begin after that."""
        return self._members.policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        self._members.policy = policy

    def unary_unary(self, method: str, *args: Any, **more: Any) -> Any:
        """Called by stubs, as are the other three."""
        return _UnaryUnary(self._members, method, lambda channel: channel.unary_unary(method, *args, **more))

    def unary_stream(self, method: str, *args: Any, **more: Any) -> Any:
        return _Stream(self._members, method, lambda channel: channel.unary_stream(method, *args, **more))

    def stream_unary(self, method: str, *args: Any, **more: Any) -> Any:
        return _StreamUnary(self._members, method, lambda channel: channel.stream_unary(method, *args, **more))

    def stream_stream(self, method: str, *args: Any, **more: Any) -> Any:
        return _Stream(self._members, method, lambda channel: channel.stream_stream(method, *args, **more))

    def subscribe(self, callback: Callable[[Any], None], try_to_connect: bool = False) -> None:
        """A service has no connectivity of its own: it is told to be ready, once."""
        callback(grpc.ChannelConnectivity.READY)

    def unsubscribe(self, callback: Callable[[Any], None]) -> None:
        """Nothing is subscribed."""

    def close(self) -> None:
        """Close the channels to all members, and end the calls on them; the next call makes new ones."""
        for connection in self._members.all():
            sleep(max(0.0, connection.closable_from - monotonic()))
            connection.channel.close()

    def __enter__(self) -> DiscoveryChannel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Method:
    """One method of the service."""

    def __init__(self, members: Members, path: str, make: Callable[[Any], Any]) -> None:
        self._members, self._path, self._make = members, path, make

    def _begun(self, timeout: float | None, replayable: bool) -> tuple[Exchange, Pick]:
        """A call, and the first attempt at it."""
        members = self._members
        if members.surplus:
            for channel in members.unused():
                channel.close()
        exchange = Exchange(members, self._path, timeout, replayable)
        if not members.service.ready:
            members.service.wait(monotonic())
        return exchange, exchange.first()

    def _connected(self, exchange: Exchange, attempt: Pick) -> tuple[Connection, Any]:
        """The connection to the member of this attempt, to be given back, and this method on it."""
        connection = self._members.take(attempt.member)
        try:
            if not connection.connected:
                _connect(connection, exchange.connect_limit(attempt), attempt.member.address)
            return connection, connection.method(self, self._make)
        except BaseException:
            self._members.give_back(connection)
            raise

    def _started(self, request: Any, timeout: float | None, more: dict[str, Any]) -> tuple[Exchange, Pick, Any]:
        """A call of this method that was sent once there was a connection for it; it ends by itself."""
        exchange, attempt = self._begun(timeout, replayable=False)
        while True:
            try:
                if attempt.delay:
                    sleep(attempt.delay)
                connection, method = self._connected(exchange, attempt)
                break
            except BaseException as error:
                following = exchange.failed(attempt, error)
                if following is None:
                    raise
                attempt = following
        send = getattr(method, "future", method)
        try:
            call = send(request, timeout=exchange.streaming_timeout(attempt), **more)
        except BaseException:
            attempt.cancel()
            self._members.give_back(connection)
            raise
        call.attempts = exchange.call.trail

        def ended() -> None:
            self._members.give_back(connection)
            exchange.stream_ended(attempt, call, call.code(), call.details() or "")

        if not call.add_callback(ended):
            ended()
        return exchange, attempt, call


class _UnaryUnary(_Method, grpc.UnaryUnaryMultiCallable):  # type: ignore[misc]
    def __call__(self, request: Any, timeout: float | None = None, *args: Any, **more: Any) -> Any:
        return self.with_call(request, timeout, *args, **more)[0]

    def with_call(self, request: Any, timeout: float | None = None, *args: Any, **more: Any) -> tuple[Any, Any]:
        exchange, attempt = self._begun(timeout, replayable=True)
        while True:
            connection: Connection | None = None
            try:
                if attempt.delay:
                    sleep(attempt.delay)
                connection, method = self._connected(exchange, attempt)
                answer, call = method.with_call(request, exchange.timeout(attempt), *args, **more)
                following = exchange.ended(attempt, call)
                if following is None:
                    return answer, call
            except BaseException as error:
                if connection is not None:
                    connection.connected = isinstance(error, grpc.RpcError) and exchange.answers(error)
                following = exchange.failed(attempt, error)
                if following is None:
                    raise
            finally:
                if connection is not None:
                    self._members.give_back(connection)
            attempt = following

    def future(self, request: Any, timeout: float | None = None, *args: Any, **more: Any) -> Any:
        return self._started(request, timeout, _named(args, more))[2]


class _StreamUnary(_Method, grpc.StreamUnaryMultiCallable):  # type: ignore[misc]
    def __call__(self, request_iterator: Any, timeout: float | None = None, *args: Any, **more: Any) -> Any:
        return self.future(request_iterator, timeout, *args, **more).result()

    def with_call(self, request_iterator: Any, timeout: float | None = None, *args: Any, **more: Any) -> Any:
        call = self.future(request_iterator, timeout, *args, **more)
        return call.result(), call

    def future(self, request_iterator: Any, timeout: float | None = None, *args: Any, **more: Any) -> Any:
        return self._started(request_iterator, timeout, _named(args, more))[2]


class _Stream(_Method, grpc.UnaryStreamMultiCallable, grpc.StreamStreamMultiCallable):  # type: ignore[misc]
    def __call__(self, request: Any, timeout: float | None = None, *args: Any, **more: Any) -> Any:
        exchange, attempt, call = self._started(request, timeout, _named(args, more))
        return _Answers(exchange, attempt, call)


class _Answers:
    """The call of a stream of answers: it notices when the first one comes."""

    def __init__(self, exchange: Exchange, attempt: Pick, call: Any) -> None:
        self._exchange, self._attempt, self._call = exchange, attempt, call

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        answer = next(self._call)
        self._exchange.stream_answers(self._attempt)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def _named(args: tuple[Any, ...], more: dict[str, Any]) -> dict[str, Any]:
    """The arguments after the timeout, by their names."""
    return {**dict(zip(("metadata", "credentials", "wait_for_ready", "compression"), args, strict=False)), **more}


def _connect(connection: Connection, limit: float, address: str) -> None:
    """Wait until the channel has a connection. Raises `Unconnected` if it gets none."""
    told = threading.Event()
    states: list[Any] = []
    final = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE

    def changed(state: Any) -> None:
        if state in final:
            states.append(state)
            told.set()

    connection.channel.subscribe(changed, try_to_connect=True)
    try:
        in_time = told.wait(limit)
    finally:
        connection.channel.unsubscribe(changed)
        connection.closable_from = monotonic() + _LISTENS_ON
    if not in_time:
        raise Unconnected(f"no connection to {address} within {limit:.3g} s")
    if states[0] is not final[0]:
        raise Unconnected(f"failed to connect to {address}")
    connection.connected = True
