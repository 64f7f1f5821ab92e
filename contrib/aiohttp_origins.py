"""Where members are, in the terms of aiohttp."""

from __future__ import annotations

from urllib.parse import urlsplit

from yarl import URL

from .aiohttp_internals import ConnectionKeys

__all__ = ["Origin"]

_MOST_URLS = 256
"""Kept of each origin."""


class Origin:
    """Where a member is.

    Attributes:
        encrypted: whether it is reached by TLS.
        urls: URLs that were asked for, as they are there. Programs ask for the same ones again and again, and making
            one takes 5 µs.
        keys: by which connections to it are found (`has_idle_connection`).
    """

    __slots__ = ("_authority", "_root", "_scheme", "encrypted", "keys", "urls")

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._scheme, self._authority, self._root = parts.scheme, parts.netloc, parts.path
        self.encrypted = parts.scheme == "https"
        self.urls: dict[URL, URL] = {}
        self.keys: ConnectionKeys = {}

    def moved(self, asked: URL) -> URL:
        """`asked` here; from now on it is in `urls`."""
        url = URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=self._root + asked.raw_path,
            query_string=asked.raw_query_string,
            encoded=True,
        )
        if len(self.urls) >= _MOST_URLS:
            self.urls = {}
        self.urls[asked] = url
        return url
