"""The settings of a gossip node: memberlist's names, its three profiles, and go-doudou's defaults.

Durations are seconds, sizes bytes. `Config` is frozen; a running node's configuration is replaced as a whole.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import attrs

from .dialect import Dialect
from .errors import ProtocolError
from .gomsgpack import text_of

__all__ = ["META_MAX_BYTES", "NAME_MAX_BYTES", "PROTOCOL_MAX", "PROTOCOL_MIN", "Config", "Network"]

PROTOCOL_MIN = 1
PROTOCOL_MAX = 5
META_MAX_BYTES = 512
NAME_MAX_BYTES = 512

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class Config:
    """One node's settings. The defaults are go-doudou's, which are memberlist's WAN profile with a reclaim time of
    3 s.

    Raises:
        ValueError: other nodes would refuse one that is configured so: its name, metadata, address or version.
    """

    name: str
    advertise_host: str
    advertise_port: int
    dialect: Dialect = Dialect.DOUDOU
    meta: bytes = b""
    protocol_version: int = 2
    delegate_versions: tuple[int, int, int] = (0, 0, 0)
    """The application's protocol: least, most, spoken."""

    probe_interval: float = 5.0
    probe_timeout: float = 3.0
    indirect_checks: int = 3
    tcp_pings: bool = True
    awareness_max_multiplier: int = 8
    suspicion_mult: int = 6
    suspicion_max_timeout_mult: int = 6

    gossip_interval: float = 0.5
    gossip_nodes: int = 4
    gossip_to_the_dead_time: float = 60.0
    retransmit_mult: int = 4
    udp_buffer_bytes: int = 1400

    push_pull_interval: float = 60.0
    tcp_timeout: float = 30.0
    dead_node_reclaim_time: float = 3.0
    cidrs_allowed: tuple[Network, ...] | None = None
    """Addresses a member may have; None allows all, an empty tuple none."""

    weight_interval: float = 0.0
    """How often the dynamic weight is announced (dialect doudou); 0 never."""

    label: bytes = b""
    skip_inbound_label_check: bool = False
    verify_incoming: bool = True
    verify_outgoing: bool = True
    compression: bool = False

    def __attrs_post_init__(self) -> None:
        if not 0 < len(text_of(self.name)) <= NAME_MAX_BYTES:
            raise ValueError(f"a node's name has 1 to {NAME_MAX_BYTES} bytes: {self.name[:80]!r}")
        if len(self.meta) > META_MAX_BYTES:
            raise ValueError(f"{len(self.meta)} bytes of metadata; at most {META_MAX_BYTES} are allowed")
        if not PROTOCOL_MIN <= self.protocol_version <= PROTOCOL_MAX:
            raise ValueError(f"protocol version {self.protocol_version}; there are {PROTOCOL_MIN} to {PROTOCOL_MAX}")
        try:
            self.dialect.decode_host(self.addr)
        except ProtocolError as error:
            raise ValueError(f"cannot be reached at {self.advertise_host!r}: {error}") from None

    @property
    def addr(self) -> bytes:
        """Our own address as the dialect writes it."""
        return self.dialect.encode_host(self.advertise_host)

    @property
    def vsn(self) -> bytes:
        """The six version bytes of our own alive message."""
        least, most, spoken = self.delegate_versions
        return bytes((PROTOCOL_MIN, PROTOCOL_MAX, self.protocol_version, least, most, spoken))

    def allows(self, host: str) -> bool:
        """Whether the allow-list admits a member at `host`. A host name cannot be checked before it is resolved: the
        socket layer asks again for every address it resolves to.
        """
        if self.cidrs_allowed is None:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return bool(self.cidrs_allowed)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self.cidrs_allowed)

    @classmethod
    def lan(cls, name: str, host: str, port: int, **changes: Any) -> Config:
        """memberlist's default for one data centre."""
        profile: dict[str, Any] = {
            "probe_interval": 1.0,
            "probe_timeout": 0.5,
            "suspicion_mult": 4,
            "gossip_interval": 0.2,
            "gossip_nodes": 3,
            "gossip_to_the_dead_time": 30.0,
            "push_pull_interval": 30.0,
            "tcp_timeout": 10.0,
            "dead_node_reclaim_time": 0.0,
        }
        return cls(name, host, port, **(profile | changes))

    @classmethod
    def local(cls, name: str, host: str, port: int, **changes: Any) -> Config:
        """memberlist's profile for loopback."""
        profile: dict[str, Any] = {
            "tcp_timeout": 1.0,
            "indirect_checks": 1,
            "retransmit_mult": 2,
            "suspicion_mult": 3,
            "push_pull_interval": 15.0,
            "probe_timeout": 0.2,
            "gossip_interval": 0.1,
            "gossip_to_the_dead_time": 15.0,
        }
        return cls.lan(name, host, port, **(profile | changes))
