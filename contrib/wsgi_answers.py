"""The answer to one request of a WSGI server, and what layers of this library have to do when the server closes it.

A layer that does something then returns a body of its own, around that of the application. It may be shared: what lies
directly in another layer is called by it with its `Answer`, and leaves the body to it. Where anything else lies in
between, each has its own.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any, Protocol

__all__ = ["Answer", "AnsweringLayer", "Environ", "StartResponse", "WsgiApp"]

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

_FAILED = 500


class Place(Protocol):
    """What a request holds."""

    def give_back(self, at: float) -> None:
        """It is done, at this time."""


class Counting(Protocol):
    """What counts answers."""

    def count(self, answer: Answer, seconds: float) -> None:
        """It was closed after so many seconds."""


class Answer:
    """One answer on its way to the server, which takes it for the body, and closes it: it was sent, or given up.

    The clock is read when it begins and when it is closed, once for all layers: that takes as long as much of theirs.

    Attributes:
        environ: of the request.
        counting: what counts it when it is closed; None: nothing.
        began: when it did, by `perf_counter`.
        place: that it holds until it is closed; None: none.
        status: that was sent by `start_response`; 500 before. A generator sends it when the server asks for its body.
    """

    __slots__ = ("_body", "_close", "_start_response", "began", "counting", "environ", "place", "status")

    def __init__(self, environ: Environ, start_response: StartResponse, counting: Counting | None = None) -> None:
        self.began = perf_counter()
        self.environ, self._start_response, self.counting = environ, start_response, counting
        self.place: Place | None = None
        self.status = _FAILED
        self._body: Iterable[bytes]
        self._close: Callable[[], object] | None = _nothing

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """In place of the server's, by a layer that wants to know the status."""
        self.status = int(status[:3])
        if exc_info is None:
            return self._start_response(status, headers)
        return self._start_response(status, headers, exc_info)

    def around(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """The body that the server is to get in place of `body`: this answer, or what closes this answer.

        To the server it is what it was. One that the server has made of a file stays that object, for it is sent in
        another way (by sendfile in gunicorn); and a list has its length, which becomes the answer's where there is one
        piece.
        """
        self._close = getattr(body, "close", _nothing)
        of_files = self.environ.get("wsgi.file_wrapper")
        if isinstance(of_files, type) and isinstance(body, of_files):
            with contextlib.suppress(AttributeError):  # some are of C
                body.close = self.close  # type: ignore[attr-defined]
                return body
        self._body = body
        return _SizedBody(body, self) if hasattr(body, "__len__") else self

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """See WSGI; for layers too, if the application fails. A second time does nothing."""
        close = self._close
        if close is None:
            return
        # A body may hold the `start_response` that it was given, and with it this answer: they are not to be a cycle.
        self._close, self._body = None, ()
        try:
            close()
        finally:
            now = perf_counter()
            if self.place is not None:
                self.place.give_back(now)
            if self.counting is not None:
                self.counting.count(self, now - self.began)


class _SizedBody:
    """A body that has a length, and closes its answer."""

    __slots__ = ("_body", "close")

    def __init__(self, body: Iterable[bytes], answer: Answer) -> None:
        self._body, self.close = body, answer.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


class AnsweringLayer(abc.ABC):
    """A layer around an application that can share the `Answer` of the layer directly around it."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """See WSGI."""
        answer = Answer(environ, start_response)
        try:
            return answer.around(self.inside(environ, start_response, answer))
        except BaseException:
            answer.close()
            raise

    @abc.abstractmethod
    def inside(self, environ: Environ, start_response: StartResponse, answer: Answer) -> Iterable[bytes]:
        """Have the application answer, and return its body; who calls puts `answer` around it, or closes that."""

    @classmethod
    def shared(cls, app: WsgiApp) -> AnsweringLayer | None:
        """`app`, if it can be called by `inside`; not if somebody has made something else of its `__call__`."""
        return app if isinstance(app, AnsweringLayer) and type(app).__call__ is AnsweringLayer.__call__ else None


def _nothing() -> None:
    pass
