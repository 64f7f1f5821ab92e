"""What is wrong with the gossip: first the seeds, then what a process sees that joins to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import attrs

import pydoudou

from ....drivers.errors import DiscoveryError
from ....drivers.memberlist.settings import MemberlistSettings
from ..gossip import SeenNode, census
from .seeds import Seeds
from .situation import Finding, Situation

__all__ = ["look_at_gossip", "look_at_seen"]

_WITHIN = 10.0
_CLOCKS_APART = 60.0
_NAMED = 5


def look_at_gossip(situation: Situation) -> Iterator[Finding]:
    """The seeds; and if one of them answers, its cluster."""
    gossip = situation.gossip
    if gossip is None:
        return
    seeds = Seeds(situation, gossip)
    yield from seeds.look()
    if not seeds.answering:
        return
    try:
        with census(attrs.evolve(gossip, seeds=tuple(seeds.answering)), _WITHIN) as joined:
            nodes = joined.nodes
    except DiscoveryError as error:
        yield Finding(
            "not-joined",
            f"the seeds answer, and joining fails: {error}",
            "the message says why; the settings of the gossip have to be the same on all nodes",
        )
        return
    yield from look_at_seen(situation, gossip, nodes, datetime.now(UTC))


def look_at_seen(
    situation: Situation, gossip: MemberlistSettings, nodes: Sequence[SeenNode], now: datetime
) -> Iterator[Finding]:
    """What the others make impossible, and what is wrong with them."""
    present = [node for node in nodes if node.state in ("alive", "suspect")]
    others = [node for node in present if not _is_this_service(situation, gossip, node)]
    members = [member for node in present for member in node.members]
    yield from _name_taken(situation, others)
    yield from _port_taken(gossip, others)
    yield from _address_taken(situation, members)
    yield from _clocks_apart(members, now)
    suspects = [node.name for node in present if node.state == "suspect"]
    if suspects:
        named = ", ".join(map(repr, suspects[:_NAMED])) + (" and others" if len(suspects) > _NAMED else "")
        yield Finding(
            "nodes-suspect",
            f"{len(suspects)} of {len(present)} nodes do not answer the others: {named}",
            "`pydoudou ping NAME` from here and from there tells which way is closed; who was killed goes by itself",
        )


def _is_this_service(situation: Situation, gossip: MemberlistSettings, node: SeenNode) -> bool:
    """Whether this node may be the very process that is to be looked after: it runs already."""
    if situation.registers:
        return situation.service in [member.key for member in node.members]
    same_port = gossip.any_port or node.port == gossip.port
    return node.host == gossip.config.advertise_host and same_port and not node.members


def _name_taken(situation: Situation, others: Sequence[SeenNode]) -> Iterator[Finding]:
    name = situation.said("GDD_MEM_NAME")
    for node in others:
        if name and node.name == name:
            yield Finding(
                "name-taken",
                f"the node name {name!r} is that of a living node at {node.address}: nobody would list this one",
                "give every node a name of its own in GDD_MEM_NAME, or leave it unset and one is made up",
            )


def _port_taken(gossip: MemberlistSettings, others: Sequence[SeenNode]) -> Iterator[Finding]:
    for node in others:
        if not gossip.any_port and (node.host, node.port) == (gossip.config.advertise_host, gossip.port):
            yield Finding(
                "port-taken",
                f"the gossip port {gossip.port} is that of another node of this machine, {node.name!r}",
                "set GDD_MEM_PORT to another port, or leave it unset for any free one",
            )


def _address_taken(situation: Situation, members: Sequence[pydoudou.Member]) -> Iterator[Finding]:
    service, host, port = situation.service
    for member in members:
        if situation.registers and (member.host, member.port) == (host, port) and member.service != service:
            yield Finding(
                "address-of-another-service",
                f"{member.address}, which is to be registered as {service!r}, is registered as {member.service!r} by "
                f"{member.node!r}: calls of one would reach the other",
                "set GDD_PORT (and GDD_REGISTER_HOST) to where this service listens; each needs a port of its own",
            )


def _clocks_apart(members: Sequence[pydoudou.Member], now: datetime) -> Iterator[Finding]:
    ahead = {
        member.node: (member.registered_at - now).total_seconds()
        for member in members
        if member.registered_at is not None
    }
    for node, seconds in ahead.items():
        if seconds > _CLOCKS_APART:
            yield Finding(
                "clock",
                f"{node!r} has registered {seconds:.0f} s in the future by the clock of this machine",
                "one of the two clocks is wrong: have both kept by NTP",
            )
