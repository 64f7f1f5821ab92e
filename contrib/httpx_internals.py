"""What is not public in httpx and is used nevertheless: only here, and checked when this module is loaded.

Where a release of httpx lacks it, the slow way or the cautious way is taken instead. A test fails then, so that it is
noticed.

- `URL._uri_reference`, the seven parts of a parsed URL. Parsing one again that is put together of parsed ones takes 12
  times as long, and a tenth of what the whole request takes.
- The attributes of a request that was made from a stream. Copying them takes half of what making a request takes.
- `HTTPTransport._pool.connections`, by which a pool is known to be idle.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx

__all__ = [
    "POOLS_TELL",
    "REQUESTS_ARE_PLAIN",
    "URLS_HAVE_PARTS",
    "copied",
    "is_idle",
    "moved",
    "moved_by_parsing",
    "moved_by_parts",
]


def copied(request: httpx.Request, url: httpx.URL, extensions: dict[str, Any]) -> httpx.Request:
    """A request of its own to `url`, with the method, headers and body of `request`."""
    if not REQUESTS_ARE_PLAIN:
        return httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)
    made = object.__new__(httpx.Request)
    made.method, made.url, made.headers = request.method, url, httpx.Headers(request.headers)
    made.extensions, made.stream = extensions, request.stream
    return made


def is_idle(pool: httpx.BaseTransport | httpx.AsyncBaseTransport) -> bool:
    """Whether no request uses the pool. Of a transport that is not httpx's own nobody can tell: it stays until the end.

    A thread that got the pool just before it was retired may use it still; the pool then connects anew and is collected
    with its last request.
    """
    connections = getattr(getattr(pool, "_pool", None), "connections", None)
    return connections is not None and all(one.is_idle() or one.is_closed() for one in connections)


def moved_by_parts(url: httpx.URL, origin: httpx.URL) -> httpx.URL:
    """`url` at `origin`, below the path of `origin`."""
    there, here = origin._uri_reference, url._uri_reference
    scheme, userinfo, host, port, root, _, _ = there
    path = here.path or "/"
    made = object.__new__(httpx.URL)
    made._uri_reference = there.__class__(
        scheme, userinfo, host, port, root + path if len(root) > 1 else path, here.query, None
    )
    return made


def moved_by_parsing(url: httpx.URL, origin: httpx.URL) -> httpx.URL:
    """The same in public terms."""
    return origin.copy_with(raw_path=origin.raw_path.rstrip(b"/") + url.raw_path)


def _urls_have_parts() -> bool:
    """Whether a URL is its parts and nothing else, and comes out of them as out of the parser."""
    url, origin = httpx.URL("http://orders/a%20b?c=d"), httpx.URL("http://[fd00::7]:8080/api")
    try:
        same = moved_by_parts(url, origin) == moved_by_parsing(url, origin)
        return same and list(vars(url)) == ["_uri_reference"]
    except (AttributeError, TypeError, ValueError):
        return False


def _requests_are_plain() -> bool:
    request = httpx.Request("GET", "http://orders/", stream=httpx.ByteStream(b""))
    return set(vars(request)) == {"method", "url", "headers", "extensions", "stream"}


def _pools_tell() -> bool:
    return is_idle(httpx.HTTPTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))


URLS_HAVE_PARTS = _urls_have_parts()
moved = moved_by_parts if URLS_HAVE_PARTS else moved_by_parsing
REQUESTS_ARE_PLAIN = _requests_are_plain()
POOLS_TELL = _pools_tell()
