"""Where members are, in the terms of aiohttp."""

from __future__ import annotations

from urllib.parse import urlsplit

from yarl import URL

from ..balancers.calls.service import CalledService
from ..drivers.members import Member
from .aiohttp_internals import ConnectionKeys

__all__ = ["Origin", "Route", "Routes"]

SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Those of aiohttp, and the scheme of the connection."""

_MOST_ROUTES = 1024


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


class Routes(dict[tuple[int, URL], Route]):
    """Those that were used lately, by the identity of the member and the URL that was asked for: programs ask for the
    same URLs again and again, and making one takes 5 µs. From one event loop or several: it is never walked.
    """

    def add(self, member: Member, asked: URL, service: CalledService[Origin]) -> Route:
        """The route to `member`, which is not here.

        Raises:
            UnusableAddress, ValueError: no request can be sent to such an address.
        """
        route = Route(member, service.origins.of(member, SCHEMES[asked.scheme], service.view), asked)
        if len(self) >= _MOST_ROUTES:
            self.clear()
        self[id(member), asked] = route
        return route
