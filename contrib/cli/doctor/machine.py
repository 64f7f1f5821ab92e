"""What is wrong with this machine, or the container, for a process with these settings."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from ....drivers.kit.interfaces import addresses
from ....drivers.memberlist.outside import Outside, Unanswered
from ....drivers.memberlist.settings import MemberlistSettings
from ..gossip import ip_addresses
from .situation import Finding, Situation, is_loopback

__all__ = ["look_at_clock", "look_at_container", "look_at_network", "look_at_port", "look_at_workers"]

_BEFORE_THIS = 1_767_225_600.0
"""The first of January 2026: this was written later."""
_LEAST_FILES = 512
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "busybox", "zsh"})
_IN_A_CONTAINER = ("/.dockerenv", "/run/.containerenv")
_WORKERS = re.compile(r"(?:^|\s)(?:-w|--workers)[=\s]?(\d+)")


def look_at_network(situation: Situation) -> Iterator[Finding]:
    """Has this machine an address for others, and the one that is advertised a meaning?"""
    gossip = situation.gossip
    if gossip is None:
        return
    host = gossip.config.advertise_host
    found = [str(address) for _, address, _ in addresses()]
    elsewhere = [seed for seed, _ in gossip.seeds if not is_loopback(seed)]
    if elsewhere and all(is_loopback(address) or address.startswith("fe80") for address in found):
        yield Finding(
            "no-network",
            "no interface of this machine but loopback has an address, and the seeds are elsewhere",
            "bring an interface up; in a container, give it a network (it may run with --network none)",
        )
    with contextlib.suppress(UnicodeError):
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            yield Finding(
                "advertised-name",
                f"the advertised address {host} cannot be resolved even here: {error.strerror}",
                "set GDD_MEM_HOST to an address, or to a name that all nodes can resolve",
            )


def look_at_port(situation: Situation) -> Iterator[Finding]:
    """Can the gossip have its port? A gossip node that has it already may be this very service."""
    gossip = situation.gossip
    if gossip is None:
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _LEAST_FILES:
        yield Finding(
            "open-files",
            f"this process may have {soft} files open, and gossip alone may need 256 connections",
            f"allow at least {_LEAST_FILES}: ulimit -n, LimitNOFILE= of systemd",
        )
    if gossip.any_port or not gossip.port:
        return
    for kind, protocol in ((socket.SOCK_STREAM, "TCP"), (socket.SOCK_DGRAM, "UDP")):
        if (reason := _taken(gossip, kind)) and not _gossips(gossip):
            yield Finding(
                "port-taken",
                f"{protocol} port {gossip.port} cannot be had: {reason}, and whoever has it is no gossip node",
                "set GDD_MEM_PORT to another port or leave it unset for any free one; `ss -tulpn` shows who has it",
            )
            return


def _taken(gossip: MemberlistSettings, kind: int) -> str:
    """Why the port cannot be had, "" if it can."""
    family = socket.AF_INET6 if ":" in gossip.bind else socket.AF_INET
    with socket.socket(family, kind) as tried:
        if kind == socket.SOCK_STREAM:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((gossip.bind, gossip.port))
            if kind == socket.SOCK_STREAM:
                tried.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _gossips(gossip: MemberlistSettings) -> bool:
    """Whether a gossip node listens there: asked at the address that is advertised, which its networks must admit, and
    at the one that it is bound to.
    """
    bound = gossip.bind if gossip.bind not in ("", "0.0.0.0", "::") else "127.0.0.1"
    asking = Outside(gossip.config, gossip.keys, 1.0)
    for host in dict.fromkeys((gossip.config.advertise_host, bound)):
        with contextlib.suppress(OSError, UnicodeError, Unanswered):
            asking.ping_over_stream(ip_addresses(host, gossip.port)[0])
            return True
    return False


def look_at_clock(situation: Situation) -> Iterator[Finding]:
    """Can the clock be right at all?"""
    now = time.time()
    if now < _BEFORE_THIS:
        yield Finding(
            "clock",
            f"the clock of this machine says {time.strftime('%Y-%m-%d', time.gmtime(now))}",
            "set it, and have it kept by NTP: certificates and tokens are refused by a wrong clock",
        )


def look_at_workers(situation: Situation) -> Iterator[Finding]:
    """Several workers of a server that all take the same name or port."""
    workers = _workers(situation)
    if situation.gossip is None or workers < 2:
        return
    for name, what in (("GDD_MEM_PORT", "only one of them gets it"), ("GDD_MEM_NAME", "nobody lists the others")):
        if situation.said(name) not in ("", "0"):
            yield Finding(
                f"workers-{'port' if name.endswith('PORT') else 'name'}",
                f"{name} is set and there are {workers} workers, each with a gossip node: {what}",
                f"leave {name} unset, or register once in front of the workers: pydoudou run -- COMMAND",
            )


def _workers(situation: Situation) -> int:
    """How many worker processes the environment asks servers for."""
    asked = [situation.said(name) for name in ("WEB_CONCURRENCY", "GRANIAN_WORKERS", "UVICORN_WORKERS")]
    asked += _WORKERS.findall(situation.said("GUNICORN_CMD_ARGS"))
    return max((int(text) for text in asked if text.isascii() and text.isdigit()), default=1)


def look_at_container(situation: Situation, root: Path = Path("/")) -> Iterator[Finding]:
    """What containers do to signals and ports."""
    if not any((root / path.lstrip("/")).exists() for path in _IN_A_CONTAINER):
        return
    with contextlib.suppress(OSError):
        first = (root / "proc/1/comm").read_text().strip()
        if first in _SHELLS and os.getpid() != 1:
            yield Finding(
                "shell-first",
                f"the first process of this container is the shell {first}, which keeps SIGTERM to itself: a service "
                "behind it is killed, and does not leave",
                'write the command as a list, CMD ["python", "app.py"], or put exec in front of the last command',
            )
    gossip = situation.gossip
    if gossip is not None and gossip.any_port and not situation.is_own(gossip.config.advertise_host):
        yield Finding(
            "container-port",
            f"GDD_MEM_HOST is {gossip.config.advertise_host}, which is outside of this container, and GDD_MEM_PORT is "
            "not set: others are told whatever port is free inside",
            "set GDD_MEM_PORT, and publish it for UDP and TCP under the same number",
        )
