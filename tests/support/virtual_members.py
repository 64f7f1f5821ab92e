"""What balancers see of a registry in virtual time: the members that a test shows."""

from __future__ import annotations

from pydoudou import Member, MemberState
from pydoudou.balancers.surroundings import Surroundings
from pydoudou.discovery.merging.snapshot import Snapshot

__all__ = ["VirtualMembers"]


class VirtualMembers(Surroundings):
    """The members of ``orders``.

    Attributes:
        now: seconds; a test moves it on.
    """

    def __init__(self, now: float, *members: Member) -> None:
        self.now = now
        self.show(*members)

    def show(self, *members: Member) -> None:
        """These are all, and those that are alive get calls; all do where none is."""
        alive = tuple(member for member in members if member.state is MemberState.ALIVE)
        self._snapshot = Snapshot("orders", members, alive or members)

    @property
    def members(self) -> tuple[Member, ...]:
        """All of them."""
        return self._snapshot.members

    def clock(self) -> float:
        """The present time."""
        return self.now

    def snapshot(self, service: str, /) -> Snapshot:
        """What `show` was given last, for every service."""
        return self._snapshot

    def explain(self, service: str) -> str:
        """Why there is nobody."""
        return "in a test"
