"""The base URLs of members, made once per view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ...drivers.members import Member
from .urls import member_base, member_scheme

__all__ = ["Origins"]

T = TypeVar("T")
_Key = tuple[str, str, str, int, str]

_MOST = 4096
"""Kept per view, for a balancer of somebody else's that picks members which are in no view."""


class Origins(Generic[T]):
    """What a client makes of a member's base URL, kept until the members change.

    Threads share it without a lock: the dictionary is never walked, and a new one is put in place by one assignment.

    Args:
        make: parses a base URL, in the client's own way.
    """

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make
        self._known: tuple[object, dict[_Key, T]] = (None, {})

    def of(self, member: Member, asked: str, version: object) -> T:
        """The base of `member` for a URL whose scheme is `asked`, as of the view whose identity is `version`.

        Raises:
            UnusableAddress: no request can be sent to such an address.
        """
        known, origins = self._known
        key = (asked, member.scheme, member.host, member.port, member.root_path)
        if known is version and (origin := origins.get(key)) is not None:
            return origin
        if known is not version or len(origins) >= _MOST:
            origins = {}
            self._known = (version, origins)
        origin = origins[key] = self._make(member_base(member, member_scheme(asked, member)))
        return origin
