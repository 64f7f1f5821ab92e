"""What commands ask the gossip for that is no member: its nodes, and their answers."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import cast

import attrs
import click

import pydoudou

from ...drivers.memberlist.driver import MemberlistDriver
from ...drivers.memberlist.outside import Outside
from ...drivers.memberlist.protocol.addresses import Address
from ...drivers.memberlist.settings import MemberlistSettings
from ...drivers.members import bracketed

__all__ = ["GossipNode", "gossip_driver", "gossip_nodes", "ip_addresses", "outside"]

_MODE = "memberlist"


@attrs.frozen
class GossipNode:
    """One node of the gossip, as an observer sees it.

    Attributes:
        state: ``alive``, ``suspect``, ``dead`` or ``left``.
        observer: whether it is the observer itself.
    """

    name: str
    host: str
    port: int
    state: str
    observer: bool

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{bracketed(self.host)}:{self.port}"


def gossip_driver(registry: pydoudou.Registry) -> MemberlistDriver:
    """The driver of the gossip.

    Raises:
        click.UsageError: the modes name none.
    """
    if _MODE not in registry.settings.modes:
        modes = ", ".join(registry.settings.modes)
        raise click.UsageError(f"there are no gossip nodes in the mode {modes}; name one to join with --seed HOST:PORT")
    return cast(MemberlistDriver, registry.driver(_MODE))


def gossip_nodes(registry: pydoudou.Registry) -> Sequence[GossipNode]:
    """All nodes that are known, in the order of their names; the recently dead are among them."""
    driver = gossip_driver(registry)

    async def seen() -> list[GossipNode]:
        swim = driver.node.swim
        found = [
            GossipNode(node.name, node.host, node.port, node.state.name.lower(), node.name == swim.config.name)
            for node in swim.nodes()
        ]
        return sorted(found, key=lambda node: node.name)

    return registry.on_loop(seen)


def outside(settings: MemberlistSettings, within: float) -> Outside:
    """Asks gossip nodes under the dialect, label and keys of these settings."""
    return Outside(settings.config, settings.keys, within)


def ip_addresses(host: str, port: int) -> list[Address]:
    """All addresses of a host.

    Raises:
        OSError: it cannot be resolved.
        UnicodeError: it is no host name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(address[0]), int(address[1])) for *_, address in found))
