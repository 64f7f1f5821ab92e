"""What is not public in aiohttp and is used nevertheless: only here, and checked when this module is loaded.

Where a release of aiohttp lacks it, the cautious way is taken instead. A test fails then, so that it is noticed.

- `ClientRequest._timer`, one object for all that a single call of the user does. aiohttp repeats an idempotent request
  by itself, once, when its connection broke, and runs the middlewares again with a new request object; this is the only
  thing that both have in common and that nothing else has.
- `BaseConnector._conns`, the idle connections, to close those to members that left (aiohttp itself closes them after 15
  seconds), and to do without a timer for connecting where there is one: timers take most of what a balanced call costs.
  `ClientRequest._ssl`, which is part of their keys. `ClientRequest._session` and `ClientSession._connector`: their
  public names are properties, which take five times as long.
- `ClientResponse._raw_cookie_headers`, from which sessions take cookies. The public way to set a response's cookies
  keeps one of each name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from http.cookies import SimpleCookie
from operator import attrgetter
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.client_reqrep import ConnectionKey

__all__ = [
    "CALLS_ARE_KNOWN",
    "CONNECTIONS_HAVE_KEYS",
    "COOKIES_ARE_LINES",
    "ConnectionKeys",
    "cookie_headers",
    "cookie_lines",
    "drop_connections",
    "failed_before",
    "has_cookies",
    "has_idle_connection",
    "last_failure",
    "not_to_be_repeated",
    "replace_cookies",
]

last_failure: ContextVar[tuple[object, BaseException] | None] = ContextVar("pydoudou_aiohttp_failure", default=None)
"""The call that failed last in this task, and how. If there is one the next call asks `failed_before`."""


def failed_before(request: aiohttp.ClientRequest) -> BaseException | None:
    """The error of the same call of the user, if `request` is aiohttp's own repetition of it. The last failure is
    forgotten.
    """
    failed = last_failure.get()
    if failed is None:
        return None
    last_failure.set(None)
    call, error = failed
    return error if call is request._timer else None


def not_to_be_repeated(request: aiohttp.ClientRequest, error: BaseException) -> BaseException:
    """`error`, with which the call of `request` ends, so that it ends with it although aiohttp would try once more."""
    if isinstance(error, aiohttp.ClientConnectorError) or not isinstance(
        error, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
    ):
        return error
    if CALLS_ARE_KNOWN:
        last_failure.set((request._timer, error))
        return error
    # An error of this class, of which those above are subclasses, is never repeated.
    cautious = aiohttp.ClientConnectionError(str(error))
    cautious.__cause__ = error
    return cautious


ConnectionKeys = dict[Any, ConnectionKey]
"""Of one host and port: the keys of connections, by the ``ssl=`` of the requests; together with their
``server_hostname=`` if they have one.
"""

_MOST_KEYS = 16
"""Kept of each host and port: every request may bring a TLS context of its own."""


def has_idle_connection(request: aiohttp.ClientRequest, keys: ConnectionKeys) -> bool:
    """Whether there is a connection to where the request goes, without a proxy. (It may turn out to be dead; that is
    another matter.)

    Args:
        keys: those found before for requests that go there. Making one takes a tenth of what a balanced call adds.
    """
    if not CONNECTIONS_HAVE_KEYS or (connector := request._session._connector) is None:
        return False
    asked: Any = request._ssl
    if request.server_hostname is not None:
        asked = asked, request.server_hostname
    key = keys.get(asked)
    if key is None:
        if len(keys) >= _MOST_KEYS:
            keys.clear()
        key = keys[asked] = request.connection_key
    return key in connector._conns


def drop_connections(connector: aiohttp.BaseConnector, addresses: Collection[tuple[str, int]]) -> None:
    """Close the idle connections to these hosts and ports; in the thread of the connector's event loop."""
    if not CONNECTIONS_HAVE_KEYS or connector.closed:
        return
    idle = connector._conns
    for key in [key for key in idle if (key.host, key.port) in addresses]:
        for protocol, _ in idle.pop(key):
            protocol.close()


def replace_cookies(response: aiohttp.ClientResponse, lines: Sequence[str]) -> None:
    """Have the session of a response, and its reader, take these for its headers ``Set-Cookie``."""
    if COOKIES_ARE_LINES:
        response._raw_cookie_headers = tuple(lines) or None
        return
    cookies = SimpleCookie()
    for line in lines:
        cookies.load(line)
    response.cookies = cookies


CALLS_ARE_KNOWN = "_timer" in aiohttp.ClientRequest.__init__.__code__.co_names
CONNECTIONS_HAVE_KEYS = (
    "_conns" in aiohttp.BaseConnector.__init__.__code__.co_names
    and {"_session", "_ssl"} <= set(aiohttp.ClientRequest.__init__.__code__.co_names)
    and "_connector" in aiohttp.ClientSession.__init__.__code__.co_names
    and {"host", "port"} <= set(ConnectionKey._fields)
)
COOKIES_ARE_LINES = "_raw_cookie_headers" in aiohttp.ClientResponse.start.__code__.co_names

cookie_lines: Callable[[aiohttp.ClientResponse], object] = attrgetter("_raw_cookie_headers")


def cookie_headers(response: aiohttp.ClientResponse) -> object:
    """The same in public terms."""
    return response.headers.getall(hdrs.SET_COOKIE, None)


has_cookies = cookie_lines if COOKIES_ARE_LINES else cookie_headers
"""Something true if the session will take cookies from a response."""
