"""A member that speaks HTTP/2 without TLS, one behaviour per request: real frames of h2 on a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import attrs
import pytest

from pydoudou import Member

__all__ = ["Behaviour", "Http2Member", "Stream", "answer", "busy", "close", "go_away", "refuse", "reset"]

h2_connection = pytest.importorskip("h2.connection", reason="needs h2: pip install h2")
h2_config = pytest.importorskip("h2.config")
h2_events = pytest.importorskip("h2.events")
h2_errors = pytest.importorskip("h2.errors")


@attrs.define
class Stream:
    """A request that has arrived whole."""

    connection: Any
    number: int
    headers: dict[str, str]
    body: bytes = b""


Behaviour = Callable[[Stream], None]


def answer(stream: Stream) -> None:
    """204."""
    stream.connection.send_headers(stream.number, [(":status", "204")], end_stream=True)


def busy(length: int) -> Behaviour:
    """503 with so many bytes of explanation."""

    def explain(stream: Stream) -> None:
        connection, body = stream.connection, b"x" * length
        connection.send_headers(stream.number, [(":status", "503"), ("content-length", str(length))])
        most = connection.max_outbound_frame_size
        for begin in range(0, length, most):
            connection.send_data(stream.number, body[begin : begin + most], end_stream=begin + most >= length)

    return explain


def refuse(stream: Stream) -> None:
    """RST_STREAM that says that nothing was done."""
    stream.connection.reset_stream(stream.number, h2_errors.ErrorCodes.REFUSED_STREAM)


def reset(stream: Stream) -> None:
    """RST_STREAM that says nothing of the kind."""
    stream.connection.reset_stream(stream.number, h2_errors.ErrorCodes.INTERNAL_ERROR)


def go_away(last: int) -> Behaviour:
    """GOAWAY that names the last stream that was taken in; 0 is none. Then the connection is closed."""

    def leave(stream: Stream) -> None:
        stream.connection.close_connection(last_stream_id=last)
        raise ConnectionResetError

    return leave


def close(stream: Stream) -> None:
    """Close the connection without a word."""
    raise ConnectionResetError


class Http2Member:
    """A server in a thread. It does with each request what the next of its behaviours is, and the last one for ever.
    `with` starts and stops it.

    Attributes:
        served: the requests that arrived, in order.
    """

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = behaviours or (answer,)
        self.served: list[Stream] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def member(self) -> Member:
        return Member("orders", "127.0.0.1", self._listener.getsockname()[1])

    def __enter__(self) -> Http2Member:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        state = h2_connection.H2Connection(h2_config.H2Configuration(client_side=False, header_encoding="utf-8"))
        streams: dict[int, Stream] = {}
        with connection, contextlib.suppress(OSError):
            state.initiate_connection()
            connection.sendall(state.data_to_send())
            while data := connection.recv(65536):
                try:
                    for event in state.receive_data(data):
                        self._take(state, event, streams)
                finally:
                    connection.sendall(state.data_to_send())

    def _take(self, state: Any, event: Any, streams: dict[int, Stream]) -> None:
        if isinstance(event, h2_events.RequestReceived):
            streams[event.stream_id] = Stream(state, event.stream_id, dict(event.headers))
        elif isinstance(event, h2_events.DataReceived):
            streams[event.stream_id].body += event.data
            state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2_events.StreamEnded):
            stream = streams.pop(event.stream_id)
            self.served.append(stream)
            self._behaviours[min(len(self.served), len(self._behaviours)) - 1](stream)
