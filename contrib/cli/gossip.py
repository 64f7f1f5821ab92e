"""What commands ask the gossip for that is no member: its nodes, the dead among them, and their answers."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import anyio
import attrs
import click
from anyio.from_thread import BlockingPortal, start_blocking_portal

import pydoudou

from ...drivers.errors import JoinError
from ...drivers.memberlist.metadata import decode_members
from ...drivers.memberlist.node import GossipNode
from ...drivers.memberlist.outside import Outside
from ...drivers.memberlist.protocol import Hooks, Keyring, State
from ...drivers.memberlist.protocol.addresses import Address
from ...drivers.memberlist.protocol.errors import ProtocolError
from ...drivers.memberlist.protocol.stream_messages import PushPullNode
from ...drivers.memberlist.settings import MemberlistSettings
from ...drivers.members import bracketed

__all__ = ["Census", "SeenNode", "census", "gossip_settings", "ip_addresses", "outside"]

_MODE = "memberlist"
_NAMED = 10
_LEAVE_WITHIN = 1.0


@attrs.frozen
class SeenNode:
    """One node, as the seeds tell of it.

    Attributes:
        state: ``alive``, ``suspect``, ``dead`` or ``left``.
        incarnation: which of its statements that is about.
        members: what it offers.
    """

    name: str
    host: str
    port: int
    state: str
    incarnation: int
    members: tuple[pydoudou.Member, ...] = ()

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{bracketed(self.host)}:{self.port}"


class Census:
    """All nodes of a cluster that was joined to look. Whoever joins is not told of suspects and of the dead, because
    that was decided among others; so what the seeds say is read before it is merged.

    Attributes:
        nodes: in the order of their names, without the one that looks.
    """

    def __init__(self, portal: BlockingPortal, node: GossipNode, found: Mapping[str, SeenNode]) -> None:
        self._portal = portal
        self._node = node
        self.nodes: Sequence[SeenNode] = [found[name] for name in sorted(found) if name != node.swim.config.name]

    def node(self, name: str) -> SeenNode:
        """The node of that name.

        Raises:
            click.ClickException: there is none.
        """
        found = {node.name: node for node in self.nodes}
        if name not in found:
            others = ", ".join(list(found)[:_NAMED]) or "none"
            raise click.ClickException(f"no node is called {name!r}; the nodes here are: {others}")
        return found[name]

    def report_left(self, node: SeenNode, seconds: float) -> None:
        """Tell everybody that this node has left, and gossip on for so long.

        Raises:
            ValueError: it is alive.
        """

        async def tell() -> None:
            self._node.report_left(node.name, node.incarnation)
            await anyio.sleep(seconds)

        self._portal.call(tell)


@contextlib.contextmanager
def census(settings: MemberlistSettings, within: float) -> Iterator[Census]:
    """Join, and leave at the end.

    Args:
        within: seconds in which a seed has to answer.

    Raises:
        JoinError: none does.
    """
    found: dict[str, SeenNode] = {}

    def told(records: Sequence[PushPullNode]) -> bool:
        for record in records:
            known = found.get(record.name)
            if known is None or (record.incarnation, record.state) >= (known.incarnation, State[known.state.upper()]):
                with contextlib.suppress(ProtocolError, ValueError):  # one that nobody could use
                    found[record.name] = _seen(settings, record)
        return True

    with start_blocking_portal() as portal:
        node = portal.call(_node, settings, told)
        serving, _ = portal.start_task(node.run)
        try:
            portal.call(_join, node, settings.seeds, within)
            yield Census(portal, node, found)
        finally:
            portal.call(node.leave, _LEAVE_WITHIN)
            serving.cancel()


async def _node(settings: MemberlistSettings, told: Callable[[Sequence[PushPullNode]], bool]) -> GossipNode:
    """One with a name that is made up, on any port: a service with the same settings may run beside it."""
    name = f"{socket.gethostname()}-{os.urandom(3).hex()}"
    return GossipNode(
        attrs.evolve(settings.config, name=name, advertise_port=0, meta=b""),
        bind=settings.bind,
        keyring=Keyring(settings.keys),
        hooks=Hooks(merge=told, user_data=False),
        quiet=True,
    )


async def _join(node: GossipNode, seeds: Sequence[Address], within: float) -> None:
    with anyio.move_on_after(within):
        await node.join(seeds)
        return
    raise JoinError(f"no seed has answered within {within:g} s")


def _seen(settings: MemberlistSettings, record: PushPullNode) -> SeenNode:
    host = settings.config.dialect.decode_host(record.addr)
    members = decode_members(record.meta or b"", host=host, node=record.name).members
    return SeenNode(record.name, host, record.port, State(record.state).name.lower(), record.incarnation, members)


def gossip_settings(settings: pydoudou.Settings) -> MemberlistSettings:
    """The settings of the gossip.

    Raises:
        click.UsageError: the modes name none.
    """
    if _MODE not in settings.drivers:
        modes = ", ".join(settings.modes)
        raise click.UsageError(f"there are no gossip nodes in the mode {modes}; name one to join with --seed HOST:PORT")
    return cast(MemberlistSettings, settings.drivers[_MODE])


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
