"""What is wrong with the gossip: first the seeds, then what a process sees that joins to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import attrs

import pydoudou

from ....drivers.errors import DiscoveryError
from ....drivers.memberlist.protocol.addresses import shown
from ....drivers.memberlist.settings import MemberlistSettings
from ..arrivals import wait_for_members
from ..gossip import GossipNode, gossip_nodes
from .seeds import Seeds
from .situation import Finding, Situation

__all__ = ["Seen", "look_at_gossip", "look_at_seen"]

_WAIT = 1.0
_CLOCKS_APART = 60.0
_NAMED = 5


@attrs.frozen
class Seen:
    """A cluster as an observer sees it."""

    nodes: Sequence[GossipNode]
    members: Sequence[pydoudou.Member]
    now: datetime


def look_at_gossip(situation: Situation) -> Iterator[Finding]:
    """The seeds; and if one of them answers, its cluster."""
    gossip = situation.gossip
    if gossip is None:
        return
    seeds = Seeds(situation, gossip)
    yield from seeds.look()
    if not seeds.answering:
        return
    variables = dict(situation.values) | {
        "GDD_SERVICE_DISCOVERY_MODE": "memberlist",
        "GDD_MEM_SEED": ",".join(map(shown, seeds.answering)),
        **{"GDD_MEM_NAME": "", "GDD_MEM_PORT": "0", "GDD_MEM_JOIN": "", "GDD_MEM_LOG_DISABLE": "true"},
    }
    try:
        settings = pydoudou.Settings.from_env(variables, register=False)
    except DiscoveryError:
        return  # what is wrong with the variables is a finding of `variables`
    with pydoudou.Registry(settings) as registry:
        wait_for_members(registry, None, _WAIT)
        status = registry.status()
        if not status.ready:
            yield Finding(
                "not-joined",
                f"the seeds answer, and joining fails: {status.backends[0].driver.message}",
                "the message says why; the settings of the gossip have to be the same on all nodes",
            )
            return
        nodes = [node for node in gossip_nodes(registry) if not node.observer]
        seen = Seen(nodes, registry.members(), datetime.now(UTC))
    yield from look_at_seen(situation, gossip, seen)


def look_at_seen(situation: Situation, gossip: MemberlistSettings, seen: Seen) -> Iterator[Finding]:
    """What the others make impossible, and what is wrong with them."""
    present = [node for node in seen.nodes if node.state in ("alive", "suspect")]
    own = _already_running(situation, gossip, seen)
    yield from _name_taken(situation, gossip, [node for node in present if node.name not in own])
    yield from _port_taken(situation, gossip, [node for node in present if node.name not in own])
    yield from _address_taken(situation, seen.members)
    yield from _clocks_apart(seen)
    suspects = [node.name for node in present if node.state == "suspect"]
    if suspects:
        named = ", ".join(map(repr, suspects[:_NAMED])) + (" and others" if len(suspects) > _NAMED else "")
        yield Finding(
            "nodes-suspect",
            f"{len(suspects)} of {len(present)} nodes do not answer the others: {named}",
            "`pydoudou ping NAME` from here and from there tells which way is closed; who was killed goes by itself",
        )


def _already_running(situation: Situation, gossip: MemberlistSettings, seen: Seen) -> frozenset[str]:
    """The names of the nodes that may be this very service: it runs already, and somebody looks after it."""
    service, host, port = situation.service
    offering = {member.node for member in seen.members if member.key == (service, host, port)}
    if not situation.registers and not gossip.any_port:
        here = (gossip.config.advertise_host, gossip.port)
        offering |= {node.name for node in seen.nodes if (node.host, node.port) == here}
    return frozenset(offering)


def _name_taken(situation: Situation, gossip: MemberlistSettings, others: Sequence[GossipNode]) -> Iterator[Finding]:
    name = situation.said("GDD_MEM_NAME")
    for node in others:
        if name and node.name == name:
            yield Finding(
                "name-taken",
                f"the node name {name!r} is that of a living node at {node.address}: nobody would list this one",
                "give every node a name of its own in GDD_MEM_NAME, or leave it unset and one is made up",
            )


def _port_taken(situation: Situation, gossip: MemberlistSettings, others: Sequence[GossipNode]) -> Iterator[Finding]:
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


def _clocks_apart(seen: Seen) -> Iterator[Finding]:
    ahead = {
        member.node: (member.registered_at - seen.now).total_seconds()
        for member in seen.members
        if member.registered_at is not None
    }
    for node, seconds in ahead.items():
        if seconds > _CLOCKS_APART:
            yield Finding(
                "clock",
                f"{node!r} has registered {seconds:.0f} s in the future by the clock of this machine",
                "one of the two clocks is wrong: have both kept by NTP",
            )
