"""What is wrong with the variables by themselves, without a look at anything else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from ....discovery.configuration.reading import MODE
from ....discovery.plugins import known_plugins
from ....drivers.memberlist.protocol.addresses import ip_of
from .situation import Finding, Situation, is_loopback

__all__ = ["look_at_variables"]


def look_at_variables(situation: Situation) -> Iterator[Finding]:
    """Values that cannot be used, names that nobody reads, values that contradict each other."""
    yield from _wrong(situation)
    yield from _unknown(situation)
    yield from _modes(situation)
    yield from _ports(situation)
    yield from _keys(situation)
    yield from _seeds(situation)
    yield from _open_to_strangers(situation)


def _wrong(situation: Situation) -> Iterator[Finding]:
    for problem in situation.reading.environment.problems:
        held = "is not set" if problem.value is None else f"is {problem.value!r}"
        if (problem.value or "").startswith("tcp://"):
            yield Finding(
                "service-link",
                f"{problem.name} {held}: Kubernetes sets such variables for its services, and one is called so",
                "set enableServiceLinks: false in the pod, or give that Kubernetes service another name",
            )
        else:
            yield Finding("variable-wrong", f"{problem.name} {held}", f"accepted: {problem.accepted}")


def _unknown(situation: Situation) -> Iterator[Finding]:
    for name, near in situation.reading.unknown().items():
        if near:
            yield Finding("variable-unknown", f"{name} is no variable and does nothing", f"did you mean {near}?")


def _modes(situation: Situation) -> Iterator[Finding]:
    known = sorted(known_plugins())
    for item in situation.said(MODE).split(","):
        mode = item.strip().lower()
        if mode and mode not in known and situation.reading.plugins:  # else it is a wrong value
            yield Finding("mode-unknown", f"{MODE} names {mode!r}, which is skipped", f"known are {', '.join(known)}")


def _ports(situation: Situation) -> Iterator[Finding]:
    gossip, (_, _, port) = situation.gossip, situation.service
    if situation.registers and gossip is not None and not gossip.any_port and gossip.port == port:
        yield Finding(
            "ports-equal",
            f"GDD_PORT and GDD_MEM_PORT are both {port}, and both need it for TCP",
            "set GDD_MEM_PORT to another port, such as 7946, or leave it unset",
        )


def _keys(situation: Situation) -> Iterator[Finding]:
    gossip = situation.gossip
    if gossip is not None and gossip.keys and not (gossip.config.verify_incoming or gossip.config.verify_outgoing):
        yield Finding(
            "key-without-effect",
            "GDD_MEM_SECRET_KEY is set, and GDD_MEM_VERIFY_INCOMING and GDD_MEM_VERIFY_OUTGOING are both false, so "
            "that nothing is encrypted and everything is accepted",
            "leave both unset; false is for the time while a cluster changes over to a key",
        )


def _seeds(situation: Situation) -> Iterator[Finding]:
    gossip = situation.gossip
    if gossip is None:
        return
    if not gossip.seeds and not situation.said("GDD_MEM_SEED"):
        yield Finding(
            "no-seed",
            "GDD_MEM_SEED is not set: a process that is started so founds a cluster of its own, in which it is alone",
            "name one or more gossip nodes, HOST or HOST:PORT; all may have the same list, the seeds included",
        )
    others = [host for host, _ in gossip.seeds if ip_of(host) is not None and not situation.is_own(host)]
    if others and is_loopback(gossip.config.advertise_host):
        yield Finding(
            "loopback-advertised",
            f"others are told {gossip.config.advertise_host} as the address of this node, at which only this machine "
            f"reaches it, and the seed {others[0]} is elsewhere",
            "set GDD_MEM_HOST (and GDD_REGISTER_HOST) to the address at which the others reach this machine",
        )


def _open_to_strangers(situation: Situation) -> Iterator[Finding]:
    gossip = situation.gossip
    if gossip is None or gossip.keys or gossip.config.cidrs_allowed:
        return
    try:
        public = ipaddress.ip_address(gossip.config.advertise_host).is_global
    except ValueError:
        return
    if public:
        yield Finding(
            "open-to-strangers",
            f"the public address {gossip.config.advertise_host} is advertised, and whoever reaches the gossip port "
            "can join and offer any service",
            "set GDD_MEM_CIDRS_ALLOWED, or GDD_MEM_SECRET_KEY where all nodes are Python, or a private address",
        )
