"""What is not public in httpx and httpx2 and is used nevertheless: only here, and checked when one of them is bound.

Where a release lacks it, the slow way or the cautious way is taken instead. A test fails then, so that it is noticed.

- `URL._uri_reference`, the seven parts of a parsed URL. Parsing one again that is put together of parsed ones takes 12
  times as long, and a tenth of what the whole request takes.
- The attributes of a request that was made from a stream, and the list in its headers: of each its name, the name in
  lower case, and its value. Copying them takes a quarter of what making a request takes.
- `HTTPTransport._pool.connections`, by which a pool is known to be idle.
- The h2 event that httpcore makes an error of: the first argument of the error's cause. The class of the event is known
  by its name, because h2 is there only where somebody speaks HTTP/2.
"""

from __future__ import annotations

import ssl
from collections.abc import Set
from types import ModuleType
from typing import Any

__all__ = ["Internals", "is_idle", "refused"]

_REFUSED_STREAM = 7
"""RFC 9113, section 7: the stream was refused before any application processing."""


class Internals:
    """What is not public in one library, httpx or httpx2.

    Attributes:
        urls_have_parts, requests_are_plain, headers_have_a_list, pools_tell: whether the release has what is used of
            it.
    """

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self._url: type[Any] = library.URL
        self._request: type[Any] = library.Request
        self._headers: type[Any] = library.Headers
        self.urls_have_parts = self._check_urls()
        self.requests_are_plain = self._check_requests()
        self.headers_have_a_list = self._check_headers()
        self.pools_tell = is_idle(library.HTTPTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
        self.moved = self.moved_by_parts if self.urls_have_parts else self.moved_by_parsing
        plain = self.requests_are_plain and self.headers_have_a_list
        self.copied = self.copied_by_attributes if plain else self.copied_by_making
        self.has_any = self.has_any_by_list if self.headers_have_a_list else self.has_any_by_names

    def copied_by_attributes(self, request: Any, url: Any, extensions: dict[str, Any]) -> Any:
        """A request of its own to `url`, with the method, headers and body of `request`."""
        made, headers, theirs = object.__new__(self._request), object.__new__(self._headers), request.headers
        headers._list, headers._encoding = list(theirs._list), theirs._encoding
        made.method, made.url, made.headers = request.method, url, headers
        made.extensions, made.stream = extensions, request.stream
        return made

    def copied_by_making(self, request: Any, url: Any, extensions: dict[str, Any]) -> Any:
        """The same in public terms."""
        return self._request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)

    def has_any_by_list(self, headers: Any, names: Set[bytes]) -> bool:
        """Whether one of these names, in lower case, is among the headers."""
        for _, name, _ in headers._list:  # noqa: SIM110 (a generator takes longer than the whole loop)
            if name in names:
                return True
        return False

    def has_any_by_names(self, headers: Any, names: Set[bytes]) -> bool:
        """The same in public terms."""
        return any(name.lower() in names for name, _ in headers.raw)

    def moved_by_parts(self, url: Any, origin: Any) -> Any:
        """`url` at `origin`, below the path of `origin`."""
        there, here = origin._uri_reference, url._uri_reference
        scheme, userinfo, host, port, root, _, _ = there
        path = here.path or "/"
        made = object.__new__(self._url)
        made._uri_reference = there.__class__(
            scheme, userinfo, host, port, root + path if len(root) > 1 else path, here.query, None
        )
        return made

    def moved_by_parsing(self, url: Any, origin: Any) -> Any:
        """The same in public terms."""
        return origin.copy_with(raw_path=origin.raw_path.rstrip(b"/") + url.raw_path)

    def _check_urls(self) -> bool:
        """Whether a URL is its parts and nothing else, and comes out of them as out of the parser."""
        url, origin = self._url("http://orders/a%20b?c=d"), self._url("http://[fd00::7]:8080/api")
        try:
            same = self.moved_by_parts(url, origin) == self.moved_by_parsing(url, origin)
            return same and list(vars(url)) == ["_uri_reference"]
        except (AttributeError, TypeError, ValueError):
            return False

    def _check_headers(self) -> bool:
        """Whether headers are a list of three each and an encoding, and nothing else."""
        headers = self._headers([(b"X-Y", b"z")])
        try:
            plain = set(vars(headers)) == {"_list", "_encoding"}
            return plain and [tuple(each) for each in headers._list] == [(b"X-Y", b"x-y", b"z")]
        except (AttributeError, TypeError):
            return False

    def _check_requests(self) -> bool:
        request = self._request("GET", "http://orders/", stream=self._library.ByteStream(b""))
        return set(vars(request)) == {"method", "url", "headers", "extensions", "stream"}


def is_idle(pool: Any) -> bool:
    """Whether no request uses the pool. Of a transport that is not the library's own nobody can tell: it stays until
    the end.

    A thread that got the pool just before it was retired may use it still; the pool then connects anew and is collected
    with its last request.
    """
    connections = getattr(getattr(pool, "_pool", None), "connections", None)
    return connections is not None and all(one.is_idle() or one.is_closed() for one in connections)


def refused(error: BaseException) -> bool:
    """Whether an error says that the member did nothing: it refused the HTTP/2 stream, or took none at all.

    A GOAWAY tells the last stream that was taken in. httpcore itself repeats, on another connection, what came after
    that, and counts calls up to it as broken; only when the last one is 0, which is none, it reports an error for all.
    """
    arguments = getattr(error.__cause__, "args", ())
    event = arguments[0] if arguments else None
    kind = type(event).__name__
    if kind == "StreamReset":
        return getattr(event, "error_code", None) == _REFUSED_STREAM and getattr(event, "remote_reset", False)
    return kind == "ConnectionTerminated" and getattr(event, "last_stream_id", None) == 0
