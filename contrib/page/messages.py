"""A request and its answer, as ASGI and WSGI both have them, and the headers that every answer carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import attrs

__all__ = ["PREFIX", "Answer", "Request", "as_json", "json_answer", "text_answer"]

PREFIX = "/go-doudou"

# Every script, style and picture is a file of the page's own, and nothing may turn text into markup. The page is never
# part of another one.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


@attrs.frozen
class Request:
    """What was asked.

    Attributes:
        path: behind where the page is mounted, and without ``/go-doudou``: ``/registry``.
        root: where it is mounted: "" or ``/go-doudou`` as a rule.
        query: the parameters; of those that are given twice, the last.
        headers: by name in lower case.
        client: the address that the connection comes from; "" if the server does not know.
    """

    method: str
    path: str
    root: str = ""
    query: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    client: str = ""

    @classmethod
    def of(cls, method: str, path: str, root: str, query: str, headers: Mapping[str, str], client: str) -> Request:
        """One whose path and query are as the server has them; the path is without `root` already."""
        parameters = dict(parse_qsl(query[:4096], keep_blank_values=True))
        return cls(method, path.removeprefix(PREFIX), root, parameters, headers, client)


@attrs.frozen
class Answer:
    """What is answered.

    Attributes:
        held_back: seconds to wait before it is sent, where waiting costs nobody else anything.
    """

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    held_back: float = 0.0

    def all_headers(self) -> dict[str, str]:
        """With those that every answer carries."""
        length = {} if self.status == HTTPStatus.NOT_MODIFIED else {"content-length": str(len(self.body))}
        return {**_HEADERS, **length, **self.headers}


def as_json(value: Any) -> bytes:
    """Strict JSON in ASCII, in which no ``<`` stands, wherever it may be pasted."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").encode()


def json_answer(value: Any, **headers: str) -> Answer:
    """An answer in JSON."""
    return Answer(200, as_json(value), {"content-type": "application/json", **headers})


def text_answer(status: int, text: str, held_back: float = 0.0, **headers: str) -> Answer:
    """An answer in plain text."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, f"{text}\n".encode(), {"content-type": "text/plain; charset=utf-8", **named}, held_back)
