"""What a member says of itself, in the terms of its caller.

A member with the root path ``/api`` and the address ``http://10.0.0.7:8080`` names other resources as it sees them:
``/api/items?page=2``. The caller asked for ``http://orders/items``, and will use what it reads for its next request. So
the headers that hold a URL, and the attributes of cookies by which a client decides where they go, are translated.

A body is not read, and the ``Domain`` of a cookie is not translated: a cookie for the member's own domain is one that
no client accepts from the service's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, urlsplit

from ...drivers.members import Member
from .urls import logical_location

__all__ = ["TRANSLATED", "Terms"]

TRANSLATED = frozenset({"location", "content-location", "link", "refresh", "set-cookie"})
"""The names of the headers that `Terms.header` may change, in lower case."""

_LINK = re.compile(r"<([^>]*)>")
_REFRESH = re.compile(r"(url\s*=\s*[\"']?)([^\"';]+)", re.IGNORECASE)


class Terms:
    """One answer: who was asked for what, and who answered.

    Args:
        asked: the URL of the caller's request.
        member: who answered, reached by `scheme`.
        members: gives the members of the service, whose addresses an answer may name as well.
    """

    def __init__(self, asked: str, member: Member, scheme: str, members: Callable[[], Iterable[Member]]) -> None:
        self._asked: SplitResult = urlsplit(asked)
        self._member, self._scheme, self._members = member, scheme, members

    def header(self, name: str, value: str) -> str:
        """The value of a header, whose name is one of `TRANSLATED`, as the caller can use it."""
        if name == "set-cookie":
            return self._cookie(value)
        if name == "link":
            return _LINK.sub(lambda found: f"<{self._url(found[1])}>", value)
        if name == "refresh":
            return _REFRESH.sub(lambda found: found[1] + self._url(found[2]), value)
        return self._url(value)

    def _url(self, url: str) -> str:
        logical = logical_location(
            url, asked=self._asked, member=self._member, scheme=self._scheme, members=self._members()
        )
        return url if logical is None else logical

    def _cookie(self, line: str) -> str:
        cookie, *attributes = line.split(";")
        kept = [self._attribute(attribute) for attribute in attributes]
        return ";".join([cookie, *(attribute for attribute in kept if attribute is not None)])

    def _attribute(self, attribute: str) -> str | None:
        name, _, value = attribute.partition("=")
        kind = name.strip().lower()
        if kind == "path":
            return f"{name}={self._path(value.strip())}"
        if kind == "secure" and self._encrypted():
            return None
        return attribute

    def _path(self, path: str) -> str:
        """The path of a cookie: the root path is taken off; one that is above the root path holds for all below it."""
        path = path.strip('"')
        for root in (self._member.quoted_root_path, "/" + self._member.root_path.strip("/")):
            if not path.startswith("/") or root in ("", "/"):
                continue
            if path == root or path.startswith(root + "/"):
                return path[len(root) :] or "/"
            if (root + "/").startswith(path.rstrip("/") + "/"):
                return "/"
        return path

    def _encrypted(self) -> bool:
        """Whether the way to the service is TLS although the caller's URL does not say so.

        A client sends a cookie that is ``Secure`` back to ``https:`` only. It may go to ``http://orders`` when every
        member of it is reached by TLS.
        """
        if self._asked.scheme == "https" or self._scheme != "https":
            return False
        return all(member.scheme == "https" for member in self._members())
