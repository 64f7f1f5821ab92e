"""SWIM gossip: discovery without a server, on the wire protocol of go-doudou and of HashiCorp memberlist."""

from . import plugin
from .driver import MemberlistDriver
from .node import GossipNode
from .settings import MemberlistSettings

__all__ = ["GossipNode", "MemberlistDriver", "MemberlistSettings", "plugin"]
