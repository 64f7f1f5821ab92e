"""What is not public in urllib3 and is used nevertheless: only here, and checked when this module is loaded.

Where a release lacks something, the cautious way is taken instead. A test fails then, so that it is noticed.

- The keys of a pool manager's pools (`PoolKey`), and its lock, to close the pools of members that left.
- The message that http.client has parsed (`HTTPResponse._original_response.msg`), from which requests takes cookies.
- Why a request failed: one exception may mean a refused connection or a broken one, a silent TLS handshake or a silent
  answer. The causes are looked at, and where in the standard library they came from.
- The class of a response, which is replaced by one that tells when the body ends. `HTTPResponse` calls its own methods
  `read`, `read1`, `read_chunked`, `release_conn` and `close`, whoever reads and however.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Generator, Iterator, Set
from typing import Any

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.poolmanager import PoolKey, PoolManager

__all__ = ["POOLS_HAVE_KEYS", "RESPONSES_TELL", "drop_pools", "never_connected", "tell_end", "translate_headers"]


def drop_pools(manager: PoolManager, present: Collection[tuple[str, int]]) -> None:
    """Close the idle connections to every host and port but these; hosts in lower case."""
    if not POOLS_HAVE_KEYS:
        return
    pools = manager.pools
    with pools.lock:
        for key in pools.keys():  # noqa: SIM118 (a copy; the container itself cannot be walked)
            if (key.key_host, key.key_port) not in present:
                del pools[key]


def translate_headers(response: Any, names: Set[str], translate: Callable[[str, str], str]) -> None:
    """Replace the values of these headers of an urllib3 response, wherever requests reads them.

    Args:
        names: in lower case.
        translate: is given a name and a value, and returns the new value.
    """
    headers = getattr(response, "headers", None)
    if not isinstance(headers, HTTPHeaderDict) or names.isdisjoint(map(str.lower, headers)):
        return
    message = getattr(getattr(response, "_original_response", None), "msg", None)
    for name in [name for name in names if name in headers]:
        values = [translate(name, value) for value in headers.getlist(name)]
        for place in (headers, message):
            if place is not None:
                del place[name]
        for value in values:
            headers.add(name, value)
            if message is not None:
                message[name] = value


def never_connected(error: Exception) -> bool:
    """Whether an exception of urllib3, or of requests, means that no connection was made, and so nothing was sent."""
    return any(
        isinstance(cause, (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError))
        or _while_shaking_hands(cause)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, and what it was made of: urllib3 hands causes on in all of these ways."""
    seen: list[BaseException] = []
    left: list[object] = [error]
    while left and len(seen) < 16:
        cause = left.pop()
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            yield cause
            left += [*cause.args, getattr(cause, "reason", None), cause.__cause__]


def _while_shaking_hands(error: BaseException) -> bool:
    """Whether it came out of a TLS handshake, before which nothing is sent."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "do_handshake":
            return True
        trace = trace.tb_next
    return False


def tell_end(response: object, ended: Callable[[bool], None]) -> None:
    """Call `ended` when the body of an urllib3 response ends, with whether it was read to its end.

    It may be called more than once. A response of another class, or of a release that works otherwise, counts as ended
    at once.
    """
    if not RESPONSES_TELL or type(response) is not HTTPResponse:
        ended(True)
        return
    response.__class__ = _Telling
    response.tell_ended = ended  # type: ignore[attr-defined]


class _Telling(HTTPResponse):
    """A response that says when its body ends."""

    tell_ended: Callable[[bool], None] | None = None
    reading = False
    released = False

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        return self._watched(HTTPResponse.read, args, kwargs)

    def read1(self, *args: Any, **kwargs: Any) -> bytes:
        return self._watched(HTTPResponse.read1, args, kwargs)

    def _watched(self, read: Callable[..., bytes], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        self.reading = True
        try:
            data = read(self, *args, **kwargs)
        except BaseException:
            _tell(self, False)
            raise
        self.reading = False
        if self.released:
            _tell(self, True)
        return data

    def read_chunked(self, *args: Any, **kwargs: Any) -> Generator[bytes, None, None]:
        self.reading = True
        try:
            yield from super().read_chunked(*args, **kwargs)
        except BaseException:
            _tell(self, False)
            raise
        _tell(self, True)

    def release_conn(self) -> None:
        # While a read is under way, urllib3 gives the connection back at the end and after an error alike.
        super().release_conn()
        self.released = True
        if not self.reading:
            _tell(self, not self.length_remaining)

    def close(self) -> None:
        try:
            super().close()
        finally:
            _tell(self, False)

    def __del__(self) -> None:
        # The finalizer of the base class closes. What was dropped is told of by the attempt's own finalizer, which
        # does nothing that must not be done at any moment.
        self.tell_ended = None
        super().__del__()


def _tell(response: Any, complete: bool) -> None:
    tell, response.tell_ended = response.tell_ended, None
    if tell is not None:
        # It has nothing more to tell: what follows, its finalizer too, goes the short way.
        response.__class__ = HTTPResponse
        tell(complete)


def _pools_have_keys() -> bool:
    pools = PoolManager().pools
    return hasattr(pools, "lock") and hasattr(pools, "__delitem__") and {"key_host", "key_port"} <= set(PoolKey._fields)


def _responses_tell() -> bool:
    """Whether the class of a response can be replaced, and a body read to its end is told of."""
    ends: list[bool] = []
    try:
        response = HTTPResponse(body=b"ab", preload_content=False)
        response.__class__ = _Telling
        response.tell_ended = ends.append  # type: ignore[attr-defined]
        response.close()
    except (AttributeError, TypeError):
        return False
    return ends == [False]


POOLS_HAVE_KEYS = _pools_have_keys()
RESPONSES_TELL = _responses_tell()
