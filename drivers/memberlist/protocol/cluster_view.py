"""What a node makes of its cluster as a whole."""

from __future__ import annotations

import math

from .addresses import Address
from .context import Context
from .membership import Membership
from .messages import State
from .node_list import Roster
from .push_pull import Synchronizer

__all__ = ["ClusterView"]

_HOSTS_FRESH_FOR = 1.0


class ClusterView:
    """Reads the parts of one node."""

    def __init__(self, context: Context, roster: Roster, membership: Membership, synchronizer: Synchronizer) -> None:
        self._context = context
        self._roster = roster
        self._membership = membership
        self._synchronizer = synchronizer
        self._hosts: frozenset[str] = frozenset()
        self._hosts_at = -math.inf

    @property
    def alive(self) -> int:
        """How many nodes are alive and not under suspicion, ourselves included."""
        return self._roster.count(State.ALIVE)

    @property
    def among_others(self) -> bool:
        """Whether any other node is known that is neither dead nor gone."""
        ourselves = 0 if self._membership.me.gone else 1
        return self._roster.present > ourselves

    @property
    def name_taken_by(self) -> Address | None:
        """Who has our name in the list of the node that we asked last: nobody there knows us then."""
        return self._synchronizer.name_taken_by

    @property
    def cut_off(self) -> bool:
        """Whether all others are lost in a way that says more about us than about them (see `isolation`)."""
        return self._membership.isolation.cut_off

    @property
    def merging(self) -> bool:
        """Whether a peer's state is being taken in; `MergeEnded` tells when that is over."""
        return self._synchronizer.merging > 0

    def member_hosts(self) -> frozenset[str]:
        """Where other live members are; made anew once a second at the most, however often strangers make us ask."""
        now = self._context.now
        if self._hosts_at + _HOSTS_FRESH_FOR <= now:
            self._hosts_at = now
            own = self._context.config.name
            self._hosts = frozenset(node.host for node in self._roster if not node.gone and node.name != own)
        return self._hosts
