"""grpc.aio: a channel to the service ``orders``, whose calls go to its members.

    channel = DiscoveryChannel("orders")
    stub = shop_pb2_grpc.OrdersStub(channel)

It is a `grpc.aio.Channel`. Interceptors of grpc.aio belong to a channel: give them to this one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Generator, Sequence
from time import monotonic
from typing import Any

try:
    import grpc
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.grpc needs grpcio: pip install 'pydoudou[grpc]'") from error

from ..balancers.calls.given_policy import given_policy
from ..balancers.calls.policy import CallPolicy
from ..balancers.calls.trail import Attempt
from ..balancers.memory.pick import Pick
from ..balancers.reporting import Given
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

logger = logging.getLogger(__name__)

_READY, _FAILED = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE


class DiscoveryChannel(grpc.aio.Channel):  # type: ignore[misc]
    """A channel to the members of a service: each call goes to one of them. For one event loop.

    What moves, and the arguments, are those of `contrib.grpc.DiscoveryChannel`. Cancelling a call cancels its attempt.

    Args:
        interceptors: of grpc.aio, around every attempt.

    The call that a method returns tells who answered (`member_of`) and of all attempts at it (`attempts_of`) when it is
    done, as does every error.
    """

    def __init__(
        self,
        service: str,
        balancer: Given | None = None,
        *,
        credentials: Any = None,
        options: Sequence[tuple[str, Any]] | None = None,
        compression: Any = None,
        interceptors: Sequence[Any] | None = None,
        idempotent: Collection[str] = (),
        attempts: int | None = None,
        deadline: float | None = None,
        policy: CallPolicy | None = None,
    ) -> None:
        def make(target: str, secrets: Any, chosen: Sequence[tuple[str, Any]]) -> Any:
            if secrets is None:
                return grpc.aio.insecure_channel(target, chosen, compression, interceptors=interceptors)
            return grpc.aio.secure_channel(target, secrets, chosen, compression, interceptors=interceptors)

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
        return _Method(self._members, method, lambda channel: channel.unary_unary(method, *args, **more), _UnaryCall)

    def unary_stream(self, method: str, *args: Any, **more: Any) -> Any:
        return _Method(self._members, method, lambda channel: channel.unary_stream(method, *args, **more), _StreamCall)

    def stream_unary(self, method: str, *args: Any, **more: Any) -> Any:
        return _Method(self._members, method, lambda channel: channel.stream_unary(method, *args, **more), _StreamCall)

    def stream_stream(self, method: str, *args: Any, **more: Any) -> Any:
        return _Method(self._members, method, lambda channel: channel.stream_stream(method, *args, **more), _StreamCall)

    async def close(self, grace: float | None = None) -> None:
        """Close the channels to all members; calls on them have `grace` seconds. The next call makes new ones."""
        await asyncio.gather(*(connection.channel.close(grace) for connection in self._members.all()))

    def get_state(self, try_to_connect: bool = False) -> Any:
        """A service has no connectivity of its own: it is ready."""
        return _READY

    async def wait_for_state_change(self, last_observed_state: Any) -> None:
        """It stays ready."""
        if last_observed_state is _READY:
            await asyncio.get_running_loop().create_future()

    async def channel_ready(self) -> None:
        """It is."""

    async def __aenter__(self) -> DiscoveryChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Method(
    grpc.aio.UnaryUnaryMultiCallable,  # type: ignore[misc]
    grpc.aio.UnaryStreamMultiCallable,  # type: ignore[misc]
    grpc.aio.StreamUnaryMultiCallable,  # type: ignore[misc]
    grpc.aio.StreamStreamMultiCallable,  # type: ignore[misc]
):
    """One method of the service."""

    def __init__(
        self, members: Members, path: str, make: Callable[[Any], Any], call: type[_UnaryCall] | type[_StreamCall]
    ) -> None:
        self.members, self.path, self.make, self._call = members, path, make, call

    def __call__(self, request: Any = None, *, timeout: float | None = None, **more: Any) -> Any:
        more.setdefault("request", more.pop("request_iterator", request))
        return self._call(self, more.pop("request"), timeout, more)

    async def connected(self, exchange: Exchange, attempt: Pick) -> tuple[Connection, Any]:
        """The connection to the member of this attempt, to be given back, and this method on it."""
        if attempt.delay:
            await asyncio.sleep(attempt.delay)
        connection = self.members.take(attempt.member)
        try:
            if not connection.connected:
                await _connect(connection, exchange.connect_limit(attempt), attempt.member.address)
            return connection, connection.method(self, self.make)
        except BaseException:
            self.members.give_back(connection)
            raise


class _Call:
    """A call, whose attempts go on in a task of their own.

    Attributes:
        attempts: so far.
    """

    def __init__(self, method: _Method, request: Any, timeout: float | None, more: dict[str, Any]) -> None:
        self._method, self._request, self._more = method, request, more
        self._exchange: Exchange | None = None
        self._present: Any = None
        self._timeout = timeout
        self._task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(_retrieve)

    def _run(self) -> Coroutine[Any, Any, Any]:
        raise NotImplementedError

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return () if self._exchange is None else self._exchange.call.trail

    async def _begun(self, replayable: bool) -> tuple[Exchange, Pick]:
        members = self._method.members
        for channel in members.unused():
            await channel.close()
        exchange = self._exchange = Exchange(members, self._method.path, self._timeout, replayable)
        if not members.service.ready:
            await members.service.wait_async(monotonic())
        return exchange, exchange.first()

    def __await__(self) -> Generator[Any, None, Any]:
        return (yield from self._task.__await__())

    def cancel(self) -> bool:
        """Cancel the call, and with it the attempt that is under way."""
        return self._task.cancel()

    def cancelled(self) -> bool:
        return self._task.cancelled()

    def done(self) -> bool:
        return self._task.done()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._task.add_done_callback(lambda task: callback(self))

    async def code(self) -> Any:
        """The code that the call ended with."""
        return await self._said("code", grpc.StatusCode.CANCELLED)

    async def details(self) -> Any:
        return await self._said("details", "")

    async def initial_metadata(self) -> Any:
        return await self._said("initial_metadata", grpc.aio.Metadata())

    async def trailing_metadata(self) -> Any:
        return await self._said("trailing_metadata", grpc.aio.Metadata())

    async def debug_error_string(self) -> Any:
        return await self._said("debug_error_string", "")

    async def _said(self, name: str, otherwise: Any) -> Any:
        await asyncio.wait([self._task])
        if self._task.cancelled():
            return otherwise
        error = self._task.exception()
        if isinstance(error, grpc.aio.AioRpcError):
            return getattr(error, name)()
        return otherwise if self._present is None else await getattr(self._present, name)()


class _UnaryCall(_Call):
    async def _run(self) -> Any:
        exchange, attempt = await self._begun(replayable=True)
        give_back = self._method.members.give_back
        while True:
            connection: Connection | None = None
            try:
                connection, method = await self._method.connected(exchange, attempt)
                call = self._present = method(self._request, timeout=exchange.timeout(attempt), **self._more)
                answer = await call
                following = exchange.ended(attempt, _Succeeded(await call.trailing_metadata()))
                if following is None:
                    return answer
            except BaseException as error:
                if connection is not None:
                    connection.connected = isinstance(error, grpc.RpcError) and exchange.answers(error)
                following = exchange.failed(attempt, error)
                if following is None:
                    raise
            finally:
                if connection is not None:
                    give_back(connection)
            attempt = following


class _StreamCall(_Call):
    """A call with a stream. The task ends when it was sent; what the caller reads, he reads from the member's call."""

    async def _run(self) -> Any:
        exchange, attempt = await self._begun(replayable=False)
        while True:
            try:
                connection, method = await self._method.connected(exchange, attempt)
                break
            except BaseException as error:
                following = exchange.failed(attempt, error)
                if following is None:
                    raise
                attempt = following
        try:
            call = method(self._request, timeout=exchange.streaming_timeout(attempt), **self._more)
        except BaseException:
            attempt.cancel()
            self._method.members.give_back(connection)
            raise
        self._present, self._attempt = call, attempt
        self._watch = asyncio.get_running_loop().create_task(self._ended(exchange, attempt, call, connection))
        return call

    async def _ended(self, exchange: Exchange, attempt: Pick, call: Any, connection: Connection) -> None:
        try:
            code, details = await call.code(), await call.details()
            exchange.stream_ended(attempt, _Succeeded(()), code, details or "")
        finally:
            self._method.members.give_back(connection)

    def __await__(self) -> Generator[Any, None, Any]:
        call = yield from self._task.__await__()
        answer = yield from call.__await__()
        return answer

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (answer := await self.read()) is not grpc.aio.EOF:
            yield answer

    async def read(self) -> Any:
        """The next answer, or `grpc.aio.EOF`."""
        answer = await (await self._task).read()
        if answer is not grpc.aio.EOF and self._exchange is not None:
            self._exchange.stream_answers(self._attempt)
        return answer

    async def write(self, request: Any) -> None:
        await (await self._task).write(request)

    async def done_writing(self) -> None:
        await (await self._task).done_writing()

    async def wait_for_connection(self) -> None:
        await (await self._task).wait_for_connection()

    async def _said(self, name: str, otherwise: Any) -> Any:
        try:
            call = await self._task
        except grpc.aio.AioRpcError as error:
            return getattr(error, name)()
        return await getattr(call, name)()

    def cancel(self) -> bool:
        return self._present.cancel() if self._present is not None else self._task.cancel()

    def cancelled(self) -> bool:
        return self._task.cancelled() if self._present is None else bool(self._present.cancelled())

    def done(self) -> bool:
        return self._task.done() if self._present is None else bool(self._present.done())


class _Succeeded:
    """What an exchange wants to know of a call that ended well."""

    attempts: tuple[Attempt, ...] = ()

    def __init__(self, trailing: Any) -> None:
        self._trailing = trailing

    def trailing_metadata(self) -> Any:
        return self._trailing


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Nobody has to await a call; then its error is nobody's."""
    if not task.cancelled():
        task.exception()


async def _connect(connection: Connection, limit: float, address: str) -> None:
    """Wait until the channel has a connection. Raises `Unconnected` if it gets none."""
    channel = connection.channel
    try:
        async with asyncio.timeout(limit):
            state = channel.get_state(try_to_connect=True)
            while state not in (_READY, _FAILED):
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
    except TimeoutError as error:
        raise Unconnected(f"no connection to {address} within {limit:.3g} s") from error
    if state is _FAILED:
        raise Unconnected(f"failed to connect to {address}")
    connection.connected = True
