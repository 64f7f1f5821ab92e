"""What a refused request is answered with."""

from __future__ import annotations

import math

import attrs

from ...balancers.calls.retry_after import NOT_PROCESSED
from ...discovery import default_registry
from ...drivers.kit.service_names import plain_name

__all__ = ["Refusal", "no_place", "no_store", "over_the_limit"]


@attrs.frozen
class Refusal:
    """A status, headers, and a line of text.

    Attributes:
        reason: the status in words, which WSGI wants.
    """

    status: int
    reason: str
    text: str
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        return f"{self.text}\n".encode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Those in `fields`, and those of the body."""
        own = (("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(self.body))))
        return [*own, *self.fields]


_GO_DOUDOU = Refusal(429, "Too Many Requests", "too many requests")


def no_place(service: str, longest_wait: float, compatible: bool) -> Refusal:
    """Too much is under way. Nothing was done, so that callers may send the same to another member.

    Args:
        service: the name under which callers know it; "" for the one that the default registry registers.
        longest_wait: seconds for which the request waited.
        compatible: answer as go-doudou's bulkhead does.
    """
    if compatible:
        return _GO_DOUDOU
    fields = [("retry-after", _whole_seconds(longest_wait))]
    named = service or _own_service()
    if named and named.isascii():  # a header carries nothing else to everybody's satisfaction, nor does a caller's URL
        fields.append((NOT_PROCESSED, named))
    return Refusal(503, "Service Unavailable", "too many requests are under way", tuple(fields))


def over_the_limit(seconds: float) -> Refusal:
    """The caller asks too often, whichever member it asks; it may come back after so many seconds."""
    return Refusal(429, "Too Many Requests", "too many requests", (("retry-after", _whole_seconds(seconds)),))


def no_store() -> Refusal:
    """Nobody knows whether the caller asks too often, and nobody passes without that."""
    fields = (("retry-after", "1"),)
    return Refusal(503, "Service Unavailable", "requests cannot be counted at present", fields)


def _own_service() -> str:
    registry = default_registry.current()
    if registry is None or not registry.settings.register:
        return ""
    return plain_name(registry.settings.service_name)


def _whole_seconds(seconds: float) -> str:
    return str(max(1, math.ceil(seconds)))
