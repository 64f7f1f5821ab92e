"""Layers of ours around a WSGI application, in every order: each does its own, though they share what they can."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from weakref import ref
from wsgiref.util import FileWrapper

import pytest
from support.layers import Layers

from pydoudou.contrib.metrics.served import ServedCounts, ServedWsgi
from pydoudou.contrib.protection.wsgi import Bulkhead

KINDS = ("counted", "bulkhead", "wrapping", "passing")
ORDERS = [(kind,) for kind in KINDS] + list(itertools.product(KINDS, repeat=2))
ORDERS += itertools.permutations(("counted", "bulkhead", "bulkhead"))
ORDERS += itertools.permutations(("counted", "counted", "bulkhead"))
ORDERS += itertools.permutations(KINDS)
ORDERS = list(dict.fromkeys(ORDERS))
in_every_order = pytest.mark.parametrize("order", ORDERS, ids=" ".join)
in_every_order_of_ours = pytest.mark.parametrize(
    "order", [order for order in ORDERS if "wrapping" not in order], ids=" ".join
)


class Layered(Layers):
    """An application in layers, the first of them outermost."""

    def counted(self, app: Any) -> Any:
        self.counts.append(ServedCounts())
        return ServedWsgi(app, self.counts[-1], None)

    def bulkhead(self, app: Any) -> Any:
        return Bulkhead(app, 1, 0, name=self.name)

    def wrapping(self, app: Any) -> Any:
        """Somebody else's, around all that there is."""

        class Wrapped:
            def __init__(self, body: Any) -> None:
                self._body = body

            def __iter__(self) -> Iterator[bytes]:
                yield from self._body

            def close(self) -> None:
                if hasattr(self._body, "close"):
                    self._body.close()

        def layer(environ: Any, start_response: Any) -> Any:
            def start(status: str, headers: Any, exc_info: Any = None) -> Any:
                return start_response(status, headers, exc_info)

            return Wrapped(app(environ, start))

        return layer

    def passing(self, app: Any) -> Any:
        def layer(environ: Any, start_response: Any) -> Any:
            return app(environ, start_response)

        return layer


class Served:
    """What a server does with one request, and what it gets."""

    def __init__(self, app: Any, **environ: Any) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []
        self.body = app({"REQUEST_METHOD": "GET", "PATH_INFO": "/", **environ}, self.start_response)

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        self.said.append((status, headers, exc_info))
        return self.written.append

    def sent(self) -> bytes:
        """All of the body, which is closed after it."""
        try:
            return b"".join(self.body)
        finally:
            if hasattr(self.body, "close"):
                self.body.close()


def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("201 Created", [("X-Kind", "plain")])
    return iter([b"a", b"b"])


@in_every_order
def test_a_request_has_its_places_until_its_answer_is_closed_and_is_counted_once(order: tuple[str, ...]) -> None:
    layered = Layered(answer, order)
    for number in (1, 2):
        served = Served(layered.app)
        assert served.said == [("201 Created", [("X-Kind", "plain")], None)]
        assert b"".join(served.body) == b"ab"
        assert layered.held() == (layered.bulkheads, number * layered.bulkheads)
        assert layered.answered() == [{"201": number - 1} if number > 1 else {}] * len(layered.counts)
        for _ in range(2):  # a second close does nothing
            if hasattr(served.body, "close"):
                served.body.close()
            assert layered.held() == (0, number * layered.bulkheads)
            assert layered.answered() == [{"201": number}] * len(layered.counts)


@in_every_order
@pytest.mark.parametrize("begun", [False, True], ids=["before its answer", "in its answer"])
def test_an_application_that_fails_gives_its_places_back_and_is_counted(order: tuple[str, ...], begun: bool) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        if begun:
            start_response("200 OK", [])
        raise LookupError("no such item")

    layered = Layered(app, order)
    for number in (1, 2):
        with pytest.raises(LookupError):
            Served(layered.app)
        assert layered.answered() == [{"200" if begun else "500": number}] * len(layered.counts)
        assert layered.held() == (0, number * layered.bulkheads)


@in_every_order
def test_a_generator_that_starts_its_answer_late_is_counted_with_the_status_it_had(order: tuple[str, ...]) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("202 Accepted", [])
        yield b"a"
        if environ["PATH_INFO"] == "/fails":
            raise ConnectionError("no database")
        yield b"b"

    layered = Layered(app, order)
    served = Served(layered.app)
    assert served.said == []
    assert served.sent() == b"ab"
    with pytest.raises(ConnectionError):
        Served(layered.app, PATH_INFO="/fails").sent()
    assert layered.answered() == [{"202": 2}] * len(layered.counts)
    assert layered.held() == (0, 2 * layered.bulkheads)
    given_up = Served(layered.app)  # before the server has asked for anything
    if hasattr(given_up.body, "close"):
        given_up.body.close()
    assert layered.answered() == [{"202": 2, "500": 1}] * len(layered.counts)
    assert layered.held() == (0, 3 * layered.bulkheads)


@in_every_order
def test_a_body_whose_close_fails_gives_its_places_back_and_is_counted_once(order: tuple[str, ...]) -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a"])

        def close(self) -> None:
            raise OSError("it is gone")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Body()

    layered = Layered(app, order)
    for number in (1, 2):
        with pytest.raises(OSError, match="it is gone"):
            Served(layered.app).sent()
        assert layered.answered() == [{"200": number}] * len(layered.counts)
        assert layered.held() == (0, number * layered.bulkheads)


@in_every_order_of_ours
def test_a_list_has_its_length_and_what_has_none_gets_none(order: tuple[str, ...]) -> None:
    """Servers tell the length of an answer in one piece."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b"one piece"] if environ["PATH_INFO"] == "/" else iter([b"a"])

    layered = Layered(app, order)
    served = Served(layered.app)
    assert len(served.body) == 1
    assert served.sent() == b"one piece"
    streamed = Served(layered.app, PATH_INFO="/streamed")
    assert not hasattr(streamed.body, "__len__")
    assert streamed.sent() == b"a"
    assert layered.held() == (0, 2 * layered.bulkheads)
    assert layered.answered() == [{"200": 2}] * len(layered.counts)


class Sealed:
    """A server's wrapper of files that is written in C, as far as one can tell."""

    __slots__ = ("_file", "_read")

    def __init__(self, file: Any) -> None:
        self._file, self._read = file, False

    def __iter__(self) -> Iterator[bytes]:
        return iter([self._file.read()])

    def close(self) -> None:
        self._file.close()


@in_every_order_of_ours
@pytest.mark.parametrize("wrapper", [FileWrapper, Sealed])
def test_a_file_of_the_server_is_closed_and_stays_that_object_if_it_can(
    order: tuple[str, ...], wrapper: Any, tmp_path: Path
) -> None:
    """Servers send it by sendfile."""
    (tmp_path / "file").write_bytes(b"content")
    file = (tmp_path / "file").open("rb")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    layered = Layered(app, order)
    served = Served(layered.app, **{"wsgi.file_wrapper": wrapper})
    assert isinstance(served.body, wrapper) == (wrapper is FileWrapper or set(order) == {"passing"})
    assert b"".join(served.body) == b"content"
    assert (file.closed, layered.held()[0]) == (False, layered.bulkheads)
    served.body.close()
    assert (file.closed, layered.held()) == (True, (0, layered.bulkheads))
    assert layered.answered() == [{"200": 1}] * len(layered.counts)


@in_every_order
def test_a_wrapper_of_files_that_is_a_function_is_none_of_their_business(order: tuple[str, ...]) -> None:
    layered = Layered(answer, order)
    assert Served(layered.app, **{"wsgi.file_wrapper": lambda file: iter(file)}).sent() == b"ab"
    assert layered.held() == (0, layered.bulkheads)


@in_every_order
def test_who_starts_a_second_answer_because_of_an_error_is_counted_with_that_one(order: tuple[str, ...]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            raise LookupError("no such item")
        except LookupError:
            start_response("404 Not Found", [("X-Why", "item")], sys.exc_info())
        return [b"none"]

    layered = Layered(app, order)
    served = Served(layered.app)
    assert served.sent() == b"none"
    (first, second) = served.said
    assert (first, second[:2]) == (("200 OK", [], None), ("404 Not Found", [("X-Why", "item")]))
    assert second[2][0] is LookupError
    assert layered.answered() == [{"404": 1}] * len(layered.counts)


@in_every_order
def test_an_application_may_write_and_a_server_may_refuse_its_answer(order: tuple[str, ...]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK" if environ["PATH_INFO"] == "/" else "none", [])
        write(b"written")
        return ()

    layered = Layered(app, order)
    served = Served(layered.app)
    assert (served.sent(), served.written) == (b"", [b"written"])
    assert layered.answered() == [{"200": 1}] * len(layered.counts)
    if layered.counts:
        with pytest.raises(ValueError, match="non"):
            Served(layered.app, PATH_INFO="/none")
        assert layered.answered() == [{"200": 1, "500": 1}] * len(layered.counts)
    assert layered.held()[0] == 0


@pytest.mark.parametrize("order", [order for order in ORDERS if "bulkhead" in order], ids=" ".join)
def test_one_request_is_inside_at_a_time_and_the_others_are_refused(order: tuple[str, ...]) -> None:
    layered = Layered(answer, order)
    first = Served(layered.app)
    refused = Served(layered.app)
    assert refused.said[0][0] == "503 Service Unavailable"
    assert refused.sent() == b"too many requests are under way\n"
    assert layered.held()[0] == layered.bulkheads
    assert first.sent() == b"ab"
    assert layered.held() == (0, layered.bulkheads)
    outer = order.index("bulkhead")
    counted = [{"201": 1.0, "503": 1.0} if kind < outer else {"201": 1.0} for kind in positions(order, "counted")]
    assert layered.answered() == counted[::-1]


def positions(order: tuple[str, ...], kind: str) -> list[int]:
    return [number for number, each in enumerate(order) if each == kind]


@in_every_order
def test_requests_of_many_threads_are_counted_and_give_their_places_back(order: tuple[str, ...]) -> None:
    layered = Layered(answer, order)

    def ask() -> None:
        for _ in range(50):
            assert Served(layered.app).sent() in (b"ab", b"too many requests are under way\n")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert layered.held()[0] == 0
    if order[0] == "counted":
        assert sum(layered.answered()[-1].values()) == 200


def test_a_layer_whose_call_somebody_has_changed_is_called_as_it_is() -> None:
    asked = []

    class Excepting(Bulkhead):
        def __call__(self, environ: Any, start_response: Any) -> Any:
            asked.append(environ["PATH_INFO"])
            return super().__call__(environ, start_response)

    counts = ServedCounts()
    assert Served(ServedWsgi(Excepting(answer), counts, None)).sent() == b"ab"
    assert asked == ["/"]


class Again(Layered):
    """Somebody else's layer asks twice, and sends the second answer."""

    def wrapping(self, app: Any) -> Any:
        def layer(environ: Any, start_response: Any) -> Any:
            first = app(environ, start_response)
            b"".join(first)
            for _ in range(2):
                if hasattr(first, "close"):
                    first.close()
            again = app(environ, start_response)
            if hasattr(first, "close"):  # of an answer that is over
                first.close()
            return again

        return layer


@pytest.mark.parametrize("order", [order for order in ORDERS if "wrapping" in order], ids=" ".join)
def test_a_layer_in_between_may_ask_again_though_there_is_one_place(order: tuple[str, ...]) -> None:
    layered = Again(answer, order)
    served = Served(layered.app)
    assert layered.held()[0] == layered.bulkheads
    assert served.sent() == b"ab"
    within = order.index("wrapping")
    assert layered.held() == (0, sum(1 + (at > within) for at in positions(order, "bulkhead")))
    seen = [{"201": 1.0 + (at > within)} for at in positions(order, "counted")]
    assert layered.answered() == seen[::-1]


@in_every_order
def test_an_answer_that_was_closed_is_gone_at_once_with_all_that_it_held(order: tuple[str, ...]) -> None:
    """Applications may be classes, which hold `start_response`: what is left over is not to wait for the collector."""

    class Body:
        def __init__(self, environ: Any, start_response: Any) -> None:
            self._start_response = start_response

        def __iter__(self) -> Iterator[bytes]:
            self._start_response("200 OK", [])
            yield b"a"

        def close(self) -> None:
            pass

    bodies = []

    def app(environ: Any, start_response: Any) -> Any:
        body = Body(environ, start_response)
        bodies.append(ref(body))
        return body

    layered = Layered(app, order)
    gc.disable()
    try:
        served = Served(layered.app)
        assert served.sent() == b"a"
        served.body = None
        assert bodies[0]() is None
    finally:
        gc.enable()
