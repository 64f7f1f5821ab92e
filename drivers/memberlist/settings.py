"""The variables of the gossip driver: go-doudou's ``GDD_MEM_*`` with its units and defaults, and a few of ours."""

from __future__ import annotations

import base64
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..environment import Environment
from ..kit.own_address import private_address
from ..kit.validation import Unusable, checked_host, printable
from ..members import JoinPolicy
from .protocol import Config, Dialect
from .protocol.addresses import Address
from .protocol.config import NAME_MAX_BYTES, Network
from .protocol.errors import ProtocolError
from .protocol.label import LABEL_MAX_BYTES

__all__ = [
    "DEFAULT_PORT",
    "DYNAMIC",
    "SECRET_KEY",
    "MemberlistSettings",
    "changed_settings",
    "parse_seed",
    "read_keys",
    "read_settings",
]

logger = logging.getLogger(__name__)

DEFAULT_PORT = 7946
SECRET_KEY = "GDD_MEM_SECRET_KEY"
_EVERY_INTERFACE = ("", "0.0.0.0", "::")
_MILLISECONDS = 1e-3
_ADVERTISABLE = {
    Dialect.DOUDOU: "an IP address or a host name",
    Dialect.HASHICORP: "an IP address (host names need GDD_MEM_DIALECT=doudou)",
}


@attrs.frozen
class MemberlistSettings:
    """What the variables say.

    Attributes:
        config: the protocol's settings, as they would be on `config.advertise_port` 0 for any free port.
        bind: the address to listen on, "" for every interface.
        port: the port to listen on, 0 for any free one.
        any_port: whether another one will do if it is taken, because the user named none.
        seeds: where to join; none founds a cluster.
        keys: encryption keys, the first one encrypts; none sends plain text.
    """

    config: Config
    bind: str = ""
    port: int = DEFAULT_PORT
    any_port: bool = False
    seeds: tuple[Address, ...] = ()
    join: JoinPolicy = JoinPolicy.RETRY
    keys: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    log: bool = True


# Name, field of Config, how it is read. These ten can be changed while the node runs.
_Reader = Callable[[Environment, str, Any], Any]


def _seconds(environment: Environment, name: str, default: float) -> float:
    return environment.duration(name, default)


def _milliseconds(environment: Environment, name: str, default: float) -> float:
    return environment.duration(name, default, bare_unit=_MILLISECONDS)


def _seconds_or_off(environment: Environment, name: str, default: float) -> float:
    return environment.duration(name, default, positive=False)


def _count(least: int) -> _Reader:
    return lambda environment, name, default: environment.integer(name, default, least=least, most=1000)


DYNAMIC: Mapping[str, tuple[str, _Reader]] = {
    "GDD_MEM_DEAD_TIMEOUT": ("gossip_to_the_dead_time", _seconds),
    "GDD_MEM_SYNC_INTERVAL": ("push_pull_interval", _seconds_or_off),
    "GDD_MEM_RECLAIM_TIMEOUT": ("dead_node_reclaim_time", _seconds_or_off),
    "GDD_MEM_PROBE_INTERVAL": ("probe_interval", _seconds),
    "GDD_MEM_PROBE_TIMEOUT": ("probe_timeout", _seconds),
    "GDD_MEM_SUSPICION_MULT": ("suspicion_mult", _count(1)),
    "GDD_MEM_RETRANSMIT_MULT": ("retransmit_mult", _count(1)),
    "GDD_MEM_GOSSIP_NODES": ("gossip_nodes", _count(1)),
    "GDD_MEM_GOSSIP_INTERVAL": ("gossip_interval", _milliseconds),
    "GDD_MEM_INDIRECT_CHECKS": ("indirect_checks", _count(0)),
}
"""The variables that may change at run time: the field of `Config` and how the value is read."""


def read_settings(environment: Environment) -> MemberlistSettings:
    """Read every variable of the driver; bad ones are recorded on `environment`."""
    port = environment.integer("GDD_MEM_PORT", DEFAULT_PORT, least=0, most=65535)
    dialect = environment.choice("GDD_MEM_DIALECT", Dialect.DOUDOU)
    bind = _bind(environment)
    host = _advertise_host(environment, dialect, bind)
    config = Config(
        name=_name(environment),
        advertise_host=host,
        advertise_port=port if environment.text("GDD_MEM_PORT") else 0,
        dialect=dialect,
        tcp_timeout=environment.duration("GDD_MEM_TCP_TIMEOUT", 30.0),
        weight_interval=_weight_interval(environment),
        cidrs_allowed=_networks(environment),
        label=_label(environment, dialect),
        compression=environment.flag("GDD_MEM_COMPRESSION", False),
        verify_incoming=environment.flag("GDD_MEM_VERIFY_INCOMING", True),
        verify_outgoing=environment.flag("GDD_MEM_VERIFY_OUTGOING", True),
    )
    if not config.allows(host):
        environment.problem("GDD_MEM_CIDRS_ALLOWED", f"networks that this node's own address, {host}, is in")
    keys = read_keys(environment)
    if keys and not (config.verify_incoming or config.verify_outgoing):
        logger.warning(
            "%s protects nothing: GDD_MEM_VERIFY_INCOMING and GDD_MEM_VERIFY_OUTGOING are both false", SECRET_KEY
        )
    return MemberlistSettings(
        config=dynamic_config(environment, config),
        bind=bind,
        port=port,
        any_port=not environment.text("GDD_MEM_PORT"),
        seeds=_seeds(environment),
        join=environment.choice("GDD_MEM_JOIN", JoinPolicy.RETRY),
        keys=keys,
        log=not environment.flag("GDD_MEM_LOG_DISABLE", False),
    )


def dynamic_config(environment: Environment, config: Config) -> Config:
    """`config` with those fields replaced that a dynamic variable of `environment` names."""
    changes = {field: read(environment, name, getattr(config, field)) for name, (field, read) in DYNAMIC.items()}
    changed: Config = attrs.evolve(config, **changes)
    if changed.probe_timeout >= changed.probe_interval:
        environment.problem(
            "GDD_MEM_PROBE_TIMEOUT",
            f"less than GDD_MEM_PROBE_INTERVAL, which is {changed.probe_interval:g} s: helpers must answer within it",
            f"{changed.probe_timeout:g} s",
        )
    return changed


def changed_settings(settings: MemberlistSettings, environment: Environment) -> MemberlistSettings:
    """`settings` with the dynamic variables of `environment`; those that are there but empty return to their defaults.

    ``GDD_MEM_SECRET_KEY`` rotates the keys: ``old,new`` on every node, then ``new,old``, then ``new``.
    """
    defaults: dict[str, Any] = {field.name: field.default for field in attrs.fields(Config)}
    restored = {field: defaults[field] for name, (field, _) in DYNAMIC.items() if name in environment}
    config = dynamic_config(environment, attrs.evolve(settings.config, **restored))
    if SECRET_KEY not in environment:
        return attrs.evolve(settings, config=config)
    keys = read_keys(environment)
    if bool(keys) != bool(settings.keys):
        environment.problem(
            SECRET_KEY, "keys where there were keys: encryption is switched on or off by a restart", "(hidden)"
        )
    return attrs.evolve(settings, config=config, keys=keys)


def _advertise_host(environment: Environment, dialect: Dialect, bind: str) -> str:
    """The address that others are told; with a leading dot, this host's name in that domain (a StatefulSet's pod)."""
    host, told_by = environment.text("GDD_MEM_HOST"), "GDD_MEM_HOST"
    if not host:
        if bind in _EVERY_INTERFACE:
            return private_address()
        host, told_by = bind, "GDD_MEM_BIND"
    if host.startswith("."):
        host = socket.gethostname() + host
    host = host.removeprefix("[").removesuffix("]")
    try:
        checked_host(dialect.decode_host(dialect.encode_host(host)))
    except (ValueError, ProtocolError):
        accepted = _ADVERTISABLE[dialect]
        if host in _EVERY_INTERFACE:
            accepted += ", at which the other nodes reach this one"
        environment.problem(told_by, accepted)
        return "127.0.0.1"
    return host


def _bind(environment: Environment) -> str:
    """The address to listen on; "" for every interface."""
    bind = environment.text("GDD_MEM_BIND")
    if bind not in _EVERY_INTERFACE:
        try:
            checked_host(bind)
        except Unusable as unusable:
            environment.problem("GDD_MEM_BIND", f"an address of this machine, without a port ({unusable})")
            return ""
    return bind


def _name(environment: Environment) -> str:
    name = environment.text("GDD_MEM_NAME")
    if len(name.encode(errors="surrogateescape")) > NAME_MAX_BYTES:
        environment.problem("GDD_MEM_NAME", f"at most {NAME_MAX_BYTES} bytes", f"{len(name)} characters long")
        name = ""
    elif not name.isprintable():  # nobody would list what such a node offers
        environment.problem("GDD_MEM_NAME", "text without line ends and other characters that cannot be printed")
        name = ""
    return name or f"{socket.gethostname()}-{os.urandom(3).hex()}"


def _weight_interval(environment: Environment) -> float:
    """Dynamic weights are announced only by a node without a static one, as in go-doudou."""
    interval = environment.duration("GDD_MEM_WEIGHT_INTERVAL", 0.0, bare_unit=_MILLISECONDS, positive=False)
    weight = environment.text("GDD_WEIGHT") or environment.text("GDD_MEM_WEIGHT") or "1"
    try:
        return 0.0 if int(weight, 0) > 0 else interval
    except ValueError:
        return 0.0


def _networks(environment: Environment) -> tuple[Network, ...] | None:
    """The allow-list. An invalid item is an error: go-doudou drops it, and an all-invalid list then admits
    everybody.
    """
    items = environment.items("GDD_MEM_CIDRS_ALLOWED")
    if not items:
        return None
    networks = []
    for item in items:
        try:
            networks.append(ipaddress.ip_network(item, strict=False))
        except ValueError:
            environment.problem(
                "GDD_MEM_CIDRS_ALLOWED",
                f"a comma list of networks such as 10.0.0.0/8 or fd00::/8 ({printable(item)} is none)",
            )
    return tuple(networks)


def _label(environment: Environment, dialect: Dialect) -> bytes:
    label = environment.text("GDD_MEM_LABEL").encode()
    if len(label) > LABEL_MAX_BYTES:
        environment.problem("GDD_MEM_LABEL", f"at most {LABEL_MAX_BYTES} bytes")
    elif label and not dialect.has_label:
        environment.problem("GDD_MEM_LABEL", "nothing: go-doudou knows no labels, they need GDD_MEM_DIALECT=hashicorp")
    return label


def read_keys(environment: Environment) -> tuple[bytes, ...]:
    """The keys of `SECRET_KEY`, the first one encrypts; a bad one is recorded without being shown."""
    keys = []
    for item in environment.items(SECRET_KEY):
        try:
            key = base64.b64decode(item, validate=True)
        except ValueError:  # also of text that is not ASCII
            key = b""
        if len(key) in (16, 24, 32):
            keys.append(key)
        else:
            environment.problem(
                SECRET_KEY,
                "a comma list of base64 keys of 16, 24 or 32 bytes, the first one encrypts",
                "(hidden)",
            )
    return tuple(keys)


def _seeds(environment: Environment) -> tuple[Address, ...]:
    seeds = []
    for item in environment.items("GDD_MEM_SEED"):
        try:
            seeds.append(parse_seed(item))
        except ValueError as error:
            environment.problem(
                "GDD_MEM_SEED",
                f"a comma list of host, host:port, IPv6 address or [IPv6]:port ({printable(item)}: {error})",
            )
    return tuple(dict.fromkeys(seeds))


def parse_seed(item: str) -> Address:
    """Host and port of one seed: ``host``, ``host:port``, a bare IPv6 address, ``[IPv6]:port``, each with or without
    the ``name/`` that memberlist puts before it. Without a port it is 7946.

    Raises:
        ValueError: none of these; the message says what is wrong.
    """
    name, named, address = item.rpartition("/")
    if named and not name:
        raise ValueError("there is no name before the /")
    if address.startswith("["):
        host, closed, rest = address[1:].partition("]")
        if not closed:
            raise ValueError("the bracket is not closed")
        if rest and not rest.startswith(":"):
            raise ValueError("a colon and a port must follow the bracket")
        port = rest[1:]
    elif address.count(":") > 1:
        host, port = address, ""
    else:
        host, _, port = address.partition(":")
    if not host:
        raise ValueError("no host name or address")
    checked_host(host)
    if not port:
        return (host, DEFAULT_PORT)
    if not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65535:
        raise ValueError(f"the port is {printable(port)}, not a number from 1 to 65535")
    return (host, int(port))
