"""Do the gossip nodes that GDD_MEM_SEED names answer, by datagram and over TCP; and if not, why?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import attrs

from ....drivers.memberlist.outside import Outside, Unanswered, Why
from ....drivers.memberlist.protocol import Dialect
from ....drivers.memberlist.protocol.addresses import Address, shown
from ....drivers.memberlist.settings import MemberlistSettings
from ..gossip import ip_addresses
from .situation import Finding, Situation, is_loopback

__all__ = ["Seeds"]

_WITHIN = 1.0
_RELAYED_WITHIN = 1.5
_DATAGRAM = 1400
_SLOW_NAME = 1.0


class Seeds:
    """All seeds of one configuration.

    Attributes:
        answering: the addresses that answer by datagram and over TCP, as far as was looked.
    """

    def __init__(self, situation: Situation, gossip: MemberlistSettings) -> None:
        self._situation = situation
        self._gossip = gossip
        self.answering: list[Address] = []

    def look(self) -> Iterator[Finding]:
        """What is wrong with them, and with their way to us."""
        for host, port in self._gossip.seeds:
            began = time.monotonic()
            try:
                addresses = ip_addresses(host, port)
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or error
                yield Finding(
                    "seed-name",
                    f"the seed {host} has no address: {reason}",
                    "correct it in GDD_MEM_SEED; names of Compose and Kubernetes exist only inside of their network",
                )
                continue
            if (took := time.monotonic() - began) > _SLOW_NAME:
                yield Finding(
                    "seed-name-slow",
                    f"it took {took:.1f} s to find the address of the seed {host}",
                    "look at the name servers of this machine: a process waits as long whenever it joins",
                )
            before = len(self.answering)
            found = [finding for address in addresses for finding in self._look_at(host, address)]
            if len(self.answering) == before or len(addresses) == 1:
                yield from found  # else one of its addresses is enough, as for whoever joins
        if self.answering:
            yield from self._way_back(self.answering[0])

    def _look_at(self, host: str, address: Address) -> Iterator[Finding]:
        config = self._gossip.config
        if not config.allows(address[0]):
            yield Finding(
                "seed-not-allowed",
                f"GDD_MEM_CIDRS_ALLOWED does not admit the seed {_named(host, address)}",
                "add the network of the seed to GDD_MEM_CIDRS_ALLOWED",
            )
            return
        asking = Outside(config, self._gossip.keys, _WITHIN)
        datagram, stream = _why(asking.ping, address), _why(asking.ping_over_stream, address)
        if datagram is None and stream is None:
            self.answering.append(address)
            if _why(lambda there: asking.ping(there, size_bytes=_DATAGRAM), address) is not None:
                yield Finding(
                    "mtu",
                    f"the seed {_named(host, address)} answers small datagrams and none of {_DATAGRAM:,} bytes",
                    "the MTU on the way is too small, and nobody says so: raise it to 1,500, or let ICMP pass",
                )
        elif stream is None:
            yield Finding(
                "seed-udp",
                f"the seed {_named(host, address)} answers over TCP and not by UDP",
                f"let UDP port {address[1]} pass in both directions; containers publish it as {address[1]}/udp",
            )
        elif datagram is None:
            yield Finding(
                "seed-tcp",
                f"the seed {_named(host, address)} answers by UDP and not over TCP ({stream})",
                f"let TCP port {address[1]} pass in both directions; nobody joins without it",
            )
        elif not (self._situation.is_own(address[0]) and self._ours(address)):
            yield self._silent(host, address, stream)

    def _ours(self, address: Address) -> bool:
        """Whether this is where the process itself would listen: every node may be named by itself."""
        gossip = self._gossip
        return address[1] == gossip.port and not gossip.any_port

    def _silent(self, host: str, address: Address, why: Unanswered) -> Finding:
        """Why neither is answered."""
        seed, keys = f"the seed {_named(host, address)}", self._gossip.keys
        if why.why is Why.UNREACHABLE:
            return Finding(
                "seed-unreachable",
                f"{seed} cannot be reached: {why.detail}",
                "start it, correct GDD_MEM_SEED (without a port 7946 is meant), or let UDP and TCP pass a firewall",
            )
        if why.why is Why.PLAIN:
            return Finding(
                "key-unwanted",
                f"GDD_MEM_SECRET_KEY is set, and {seed} gossips in plain text",
                "unset GDD_MEM_SECRET_KEY here, or set it on all nodes; go-doudou's own cannot encrypt",
            )
        if any(self._answers(address, keys=(key,)) for key in keys[1:]):
            return Finding(
                "key-order",
                f"{seed} does not read the first key of GDD_MEM_SECRET_KEY, which encrypts, but a later one",
                "put the key that all nodes read first; a new one comes first only when everybody has it",
            )
        if why.why is Why.SEALED and not keys:
            return Finding(
                "key-missing",
                f"{seed} gossips encrypted, and GDD_MEM_SECRET_KEY is not set here",
                "set GDD_MEM_SECRET_KEY to the key of the cluster",
            )
        if why.why is Why.SEALED:
            return Finding(
                "key-wrong",
                f"{seed} has another key than GDD_MEM_SECRET_KEY here",
                "set GDD_MEM_SECRET_KEY to the key of the cluster, the same text on all nodes",
            )
        if Outside(self._gossip.config, within=_WITHIN).speaks_http(address):
            return Finding(
                "seed-is-http",
                f"at {seed} a web server answers, and no gossip node",
                "name the gossip port of that process in GDD_MEM_SEED (its GDD_MEM_PORT, or 7946), not its GDD_PORT",
            )
        if self._gossip.config.label and self._answers(address, label=b""):
            return Finding(
                "label", f"GDD_MEM_LABEL is set, and the cluster of {seed} has no label", "unset GDD_MEM_LABEL here"
            )
        return Finding(
            "seed-refuses",
            f"{seed} takes connections and does not answer as a gossip node ({why})",
            f"see whether GDD_MEM_CIDRS_ALLOWED there admits {self._gossip.config.advertise_host}, and whether its "
            "GDD_MEM_LABEL and GDD_MEM_DIALECT are those of this process",
        )

    def _answers(self, address: Address, *, keys: tuple[bytes, ...] | None = None, label: bytes | None = None) -> bool:
        """Whether it answers one who has these keys, or this label."""
        config = self._gossip.config
        if label is not None:
            config = attrs.evolve(config, label=label)
        asking = Outside(config, self._gossip.keys if keys is None else keys, _WITHIN)
        return _why(asking.ping_over_stream, address) is None

    def _way_back(self, seed: Address) -> Iterator[Finding]:
        """Whether others reach us at the address that they are told."""
        config = self._gossip.config
        try:
            host = ip_addresses(config.advertise_host, 0)[0][0]
        except (OSError, UnicodeError):
            return  # a finding of `machine`
        if is_loopback(host) and not is_loopback(seed[0]):
            return  # a finding of `variables`
        if self._reached(seed, host, config.dialect):
            return
        (other,) = set(Dialect) - {config.dialect}
        if self._reached(seed, host, other):
            self.answering.clear()
            yield Finding(
                "dialect",
                f"the cluster of the seed {shown(seed)} speaks the dialect {other.value}, and this process would speak "
                f"{config.dialect.value}: they would not understand each other's addresses",
                f"set GDD_MEM_DIALECT={other.value}",
            )
            return
        here = "" if self._situation.is_own(host) else ", which no interface of this machine has"
        yield Finding(
            "address-unreachable",
            f"others are told {config.advertise_host} as the address of this node{here}; the seed {shown(seed)} was "
            "asked to send a datagram there, and none arrived",
            "set GDD_MEM_HOST (and GDD_REGISTER_HOST) to the address at which the others reach this machine, and let "
            "UDP pass to it; behind address translation GDD_MEM_PORT has to be the same inside and outside",
        )

    def _reached(self, seed: Address, host: str, dialect: Dialect) -> bool:
        gossip = self._gossip
        asking = Outside(attrs.evolve(gossip.config, dialect=dialect, label=b""), gossip.keys, _RELAYED_WITHIN)
        if dialect is gossip.config.dialect:
            asking = attrs.evolve(asking, config=gossip.config)
        for port in dict.fromkeys((0 if gossip.any_port else gossip.port, 0)):
            try:
                return asking.reached_by(seed, host, port)
            except OSError:
                continue  # the port is taken, by this very service perhaps
        return False


def _why(ask: Callable[[Address], float], address: Address) -> Unanswered | None:
    """Why a question is not answered; None if it is."""
    try:
        ask(address)
    except Unanswered as unanswered:
        return unanswered
    return None


def _named(host: str, address: Address) -> str:
    return shown(address) if host == address[0] else f"{host} ({shown(address)})"
