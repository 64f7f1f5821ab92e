"""Members of a service as real HTTP servers on loopback, well behaved and not, and balancers whose picks are known."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterator
from types import SimpleNamespace
from typing import Any

import attrs

from pydoudou import Member, NoMemberAvailable
from pydoudou.discovery.configuration.call_defaults import CallDefaults
from pydoudou.discovery.merging.snapshot import Snapshot

__all__ = [
    "Behaviour",
    "GivenMembers",
    "HttpMember",
    "InOrder",
    "Served",
    "black_hole",
    "half_an_answer",
    "hang_up",
    "in_two_pieces",
    "paced",
    "redirect",
    "refusing",
    "reset",
    "silent",
]


@attrs.frozen
class Served:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: HttpMember

    def setup(self) -> None:
        super().setup()
        self.owner.connections.append(self.connection)

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    def answer(self) -> None:
        self.served = Served(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self._body())
        self.owner.served.append(self.served)
        self.owner.answer(self)

    do_GET = do_HEAD = do_OPTIONS = do_TRACE = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

    def reply(self, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        # In one piece: a member that is killed between head and body has answered, and nobody may repeat such a call.
        wire, self.wfile = self.wfile, io.BytesIO()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        answer, self.wfile = self.wfile.getvalue(), wire
        self.wfile.write(answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.owner.parts.append(parts[-1])
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


Behaviour = Callable[[_Handler], None]


def _echo(handler: _Handler) -> None:
    """Tell what was asked."""
    body = json.dumps(
        {"member": handler.owner.name, **attrs.asdict(handler.served), "body": handler.served.body.decode()}
    )
    handler.reply(headers={"Content-Type": "application/json"}, body=body.encode())


def reset(handler: _Handler) -> None:
    """Take the request and reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def hang_up(handler: _Handler) -> None:
    """Take the request and close the connection as if all had been said."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def half_an_answer(handler: _Handler) -> None:
    """Promise a body, send half of it, and close."""
    handler.send_response(200)
    handler.send_header("Content-Length", "20")
    handler.end_headers()
    handler.wfile.write(b"0123456789")
    hang_up(handler)


def silent(handler: _Handler) -> None:
    """Take the request and say nothing until the caller goes."""
    handler.rfile.read(1)
    handler.close_connection = True


def in_two_pieces(second: threading.Event) -> Behaviour:
    """Send 10 bytes of a body at once and 10 more when `second` is set."""

    def answer(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "20")
        handler.end_headers()
        handler.wfile.write(b"0123456789")
        second.wait(10)
        handler.wfile.write(b"abcdefghij")

    return answer


def redirect(location: str, on: str, status: int = 302) -> Behaviour:
    """Answer requests for the path `on` with a redirect, and echo all others."""

    def answer(handler: _Handler) -> None:
        if handler.served.path.partition("?")[0] == on:
            handler.reply(status, {"Location": location})
        else:
            _echo(handler)

    return answer


def paced(seconds: float, status: int = 200) -> Behaviour:
    """Answer after so many seconds, with nothing but a status."""

    def answer(handler: _Handler) -> None:
        handler.owner.served.clear()
        time.sleep(seconds)
        handler.reply(status, body=b"done")

    return answer


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class HttpMember:
    """A server in a thread. `with` starts and stops it.

    Attributes:
        served: the requests that arrived, in order.
        parts: the parts of bodies that came in chunks, as they arrived.
        connections: the connections that were accepted.
        answer: what is done with a request; by default it is described in JSON.
    """

    def __init__(self, name: str = "a", *, answer: Behaviour = _echo, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.answer = answer
        self.served: list[Served] = []
        self.parts: list[bytes] = []
        self.connections: list[socket.socket] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def member(self, **fields: Any) -> Member:
        return Member("orders", "127.0.0.1", self.port, **fields)

    def open_connections(self) -> int:
        """How many of the connections the other side has not closed."""
        return sum(not _closed_by_peer(connection) for connection in self.connections)

    def __enter__(self) -> HttpMember:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def _closed_by_peer(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


@contextlib.contextmanager
def refusing() -> Iterator[Member]:
    """A member whose port is taken and refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield Member("orders", "127.0.0.1", taken.getsockname()[1])


@contextlib.contextmanager
def black_hole() -> Iterator[Member]:
    """A member that lets a connection attempt wait for ever: its queue is full and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(16):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.1)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            raise AssertionError("this system queues more connections than asked for")
        yield Member("orders", "127.0.0.1", listener.getsockname()[1])


class InOrder:
    """A balancer that picks the first of its members, again and again, unless it is excluded."""

    def __init__(self, *members: Member) -> None:
        self.all = members

    def pick(self, exclude: Collection[Member] = ()) -> Member:
        for member in self.all:
            if member not in exclude:
                return member
        raise NoMemberAvailable("service 'orders': nobody is left")

    def members(self) -> tuple[Member, ...]:
        return self.all


class GivenMembers:
    """What the balancers of the library need of a registry; a test may change `members`.

    Attributes:
        settings: what they ask the default registry for, for tests that make it that one.
    """

    def __init__(self, *members: Member) -> None:
        self.settings = SimpleNamespace(calls=CallDefaults())
        self.change(*members)

    def change(self, *members: Member, candidates: tuple[Member, ...] | None = None) -> None:
        self._snapshot = Snapshot("orders", members, members if candidates is None else candidates)

    def snapshot(self, service: str) -> Snapshot:
        return self._snapshot

    def explain(self, service: str) -> str:
        return f"service {service!r} is given by a test"
