"""Where members are, in the terms of aiohttp."""

from __future__ import annotations

from urllib.parse import urlsplit

from yarl import URL

from ..balancers.calls.service import CalledService
from ..drivers.members import Member
from .aiohttp_internals import ConnectionKeys

__all__ = ["AskedUrl", "AskedUrls", "Origin", "Route"]

SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Those of aiohttp, and the scheme of the connection."""

_MOST_KEPT = 1024


class Origin:
    """Where a member is.

    Attributes:
        encrypted: whether it is reached by TLS.
        keys: by which connections to it are found (`has_idle_connection`).
    """

    __slots__ = ("_authority", "_root", "_scheme", "encrypted", "keys")

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._scheme, self._authority, self._root = parts.scheme, parts.netloc, parts.path
        self.encrypted = parts.scheme == "https"
        self.keys: ConnectionKeys = {}

    def url(self, asked: URL) -> URL:
        """`asked` here."""
        return URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=self._root + asked.raw_path,
            query_string=asked.raw_query_string,
            encoded=True,
        )


class Route:
    """Where a request for a URL goes at one member.

    Attributes:
        url: there.
    """

    __slots__ = ("_member", "encrypted", "keys", "url")

    def __init__(self, member: Member, origin: Origin, asked: URL) -> None:
        self._member = member  # as long as it is held nobody else has its identity
        self.encrypted, self.keys, self.url = origin.encrypted, origin.keys, origin.url(asked)


class AskedUrl:
    """A URL of a service that requests ask for.

    Attributes:
        url: the URL.
        service: the service.
        routes: where the requests go, by the identity of the member.
    """

    __slots__ = ("routes", "service", "url")

    def __init__(self, url: URL, service: CalledService[Origin]) -> None:
        self.url, self.service = url, service
        self.routes: dict[int, Route] = {}


class AskedUrls(dict[URL, AskedUrl]):
    """Those that were asked for lately: programs ask for the same URLs again and again, and to find the service and to
    make a route takes 6 µs. From one event loop or several: it is never walked.
    """

    def __init__(self) -> None:
        super().__init__()
        self._routes = 0

    def add(self, url: URL, service: CalledService[Origin]) -> AskedUrl:
        """One that is not here, or was not a moment ago."""
        if len(self) >= _MOST_KEPT:
            self.clear()
        asked = self[url] = AskedUrl(url, service)
        return asked

    def route(self, asked: AskedUrl, member: Member) -> Route:
        """The way of a request for this URL to `member`.

        Raises:
            UnusableAddress, ValueError: no request can be sent to such an address.
        """
        route = asked.routes.get(id(member))
        if route is None:
            service, url = asked.service, asked.url
            route = Route(member, service.origins.of(member, SCHEMES[url.scheme], service.view), url)
            if self._routes >= _MOST_KEPT:
                self.clear()
            self._routes += 1
            asked.routes[id(member)] = route
        return route

    def clear(self) -> None:
        """Forget all of them."""
        super().clear()
        self._routes = 0
