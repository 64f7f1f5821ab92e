"""Members of a service as real gRPC servers on loopback, without generated code, and two ways to call them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from anyio.from_thread import start_blocking_portal

from pydoudou import Balancer, Member
from pydoudou.contrib import grpc as sync_integration
from pydoudou.contrib import grpc_aio as aio_integration

__all__ = ["CALLERS", "AioGrpcCaller", "GrpcCaller", "GrpcMember", "breaking"]


class GrpcMember(grpc.GenericRpcHandler):
    """A server. `with` starts and stops it.

    Attributes:
        served: the methods that were called.
        codes: how a method ends, by its name: with this code, and these trailing metadata.
        first_codes: the same for the next call of the method only.
        rest: until it is set, ``/shop.Orders/Slow`` does not answer, and a stream does not go on.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.served: list[str] = []
        self.codes: dict[str, tuple[grpc.StatusCode, tuple[tuple[str, str], ...]]] = {}
        self.first_codes: dict[str, tuple[grpc.StatusCode, tuple[tuple[str, str], ...]]] = {}
        self.rest = threading.Event()
        self._threads = futures.ThreadPoolExecutor(8)
        self._server = grpc.server(self._threads)
        self._server.add_generic_rpc_handlers((self,))
        if certificate is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            pem = certificate.read_bytes()
            credentials = grpc.ssl_server_credentials([(pem, pem)])
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)

    def member(self, **fields: Any) -> Member:
        return Member("orders", "127.0.0.1", self.port, **fields)

    def service(self, call: Any) -> Any:
        name = call.method.rpartition("/")[2]

        def begin(context: Any) -> None:
            self.served.append(name)
            ends = self.first_codes.pop(name, None) or self.codes.get(name)
            if ends is not None:
                code, trailing = ends
                context.set_trailing_metadata(trailing)
                context.abort(code, "said by the server")
            if name == "Slow":
                self.rest.wait(10)

        def answer(request: bytes, context: Any) -> bytes:
            begin(context)
            return request

        def stream(request: Any, context: Any) -> Iterator[bytes]:
            begin(context)
            for part in [b"one", b"two"] if isinstance(request, bytes) else request:
                yield part
                self.rest.wait(10)

        def gather(requests: Iterator[bytes], context: Any) -> bytes:
            begin(context)
            return b"".join(requests)

        if name == "Watch":
            return grpc.unary_stream_rpc_method_handler(stream)
        if name == "Upload":
            return grpc.stream_unary_rpc_method_handler(gather)
        if name == "Chat":
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)

    def stop(self) -> None:
        self.rest.set()
        self._server.stop(None).wait()

    def __enter__(self) -> GrpcMember:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._threads.shutdown()


@contextlib.contextmanager
def breaking() -> Iterator[Member]:
    """A member that takes a call, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(b"\0\0\0\4\0\0\0\0\0")  # SETTINGS, without which grpc sends no call
                        received = b""
                        while b"shop.Orders" not in received and (data := connection.recv(4096)):
                            received += data

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield Member("orders", "127.0.0.1", listener.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


class GrpcCaller:
    """grpc"""

    integration = sync_integration

    def __init__(self, picker: Balancer, **options: Any) -> None:
        self.channel = sync_integration.DiscoveryChannel("orders", picker, **options)

    def unary(self, name: str = "Get", request: bytes = b"7", **more: Any) -> tuple[bytes, Any]:
        """The answer, and the call."""
        return self.channel.unary_unary(f"/shop.Orders/{name}").with_call(request, **more)

    def watch(self, first: threading.Event | None = None, **more: Any) -> tuple[list[bytes], Any]:
        """A stream of answers; `first` is set when the first one is there."""
        call = self.channel.unary_stream("/shop.Orders/Watch")(b"7", **more)
        answers = [next(call)]
        if first is not None:
            first.set()
        return [*answers, *call], call

    def upload(self, *parts: bytes) -> bytes:
        return self.channel.stream_unary("/shop.Orders/Upload")(iter(parts))

    def chat(self, *parts: bytes) -> list[bytes]:
        return list(self.channel.stream_stream("/shop.Orders/Chat")(iter(parts)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()


class AioGrpcCaller:
    """grpc-aio"""

    integration = aio_integration

    def __init__(self, picker: Balancer, **options: Any) -> None:
        self._stack = ExitStack()
        self.portal = self._stack.enter_context(start_blocking_portal("asyncio"))

        async def made() -> Any:
            return aio_integration.DiscoveryChannel("orders", picker, **options)

        self.channel = self.portal.call(made)

    def unary(self, name: str = "Get", request: bytes = b"7", **more: Any) -> tuple[bytes, Any]:
        async def call() -> tuple[bytes, Any]:
            made = self.channel.unary_unary(f"/shop.Orders/{name}")(request, **more)
            return await made, made

        return self.portal.call(call)

    def cancelled(self, after: float) -> None:
        """Call what does not answer, and cancel that."""

        async def call() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(after):
                    await self.channel.unary_unary("/shop.Orders/Slow")(b"7")
                raise AssertionError("it was not cancelled")

        self.portal.call(call)

    def watch(self, first: threading.Event | None = None, **more: Any) -> tuple[list[bytes], Any]:
        async def call() -> tuple[list[bytes], Any]:
            made = self.channel.unary_stream("/shop.Orders/Watch")(b"7", **more)
            answers = []
            async for answer in made:
                answers.append(answer)
                if first is not None:
                    first.set()
            return answers, made

        return self.portal.call(call)

    def upload(self, *parts: bytes) -> bytes:
        async def call() -> bytes:
            return await self.channel.stream_unary("/shop.Orders/Upload")(iter(parts))

        return self.portal.call(call)

    def chat(self, *parts: bytes) -> list[bytes]:
        async def call() -> list[bytes]:
            made = self.channel.stream_stream("/shop.Orders/Chat")()
            answers = []
            for part in parts:
                await made.write(part)
                answers.append(await made.read())
            await made.done_writing()
            assert await made.read() is grpc.aio.EOF
            return answers

        return self.portal.call(call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.portal.call(self.channel.close)
        self._stack.close()


CALLERS: tuple[type[GrpcCaller] | type[AioGrpcCaller], ...] = (GrpcCaller, AioGrpcCaller)
