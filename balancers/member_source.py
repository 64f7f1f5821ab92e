"""Where a balancer gets its members from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..discovery.merging.snapshot import Snapshot

__all__ = ["MemberSource"]


@runtime_checkable
class MemberSource(Protocol):
    """What a balancer needs of a registry. Only a `Registry` has to be subscribed to, and has observers."""

    def snapshot(self, service: str, /) -> Snapshot:
        """The members of a service now; the same object until they change."""

    def explain(self, service: str) -> str:
        """What is known about a service, in one line."""
