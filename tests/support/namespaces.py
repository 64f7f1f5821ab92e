"""Hosts on one machine: network namespaces on a bridge, and what can go wrong between them.

Made and removed by the test. Needs root, ``ip`` (iproute2) and ``nft`` (nftables); `network` skips with the reason
where one is missing, and fails in CI.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

__all__ = ["Host", "network"]

_PREFIX = "pdou"
_NAMESPACES = Path("/var/run/netns")
_FILES = Path("/etc/netns")
"""`ip netns exec` shows a command the files that lie here in a folder of the namespace's name as those of ``/etc``."""
_NETWORK = 0x40000000  # CLONE_NEWNET
_networks = itertools.count()


def _run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@attrs.frozen
class Host:
    """One namespace with one address."""

    name: str
    address: str

    @property
    def enter(self) -> tuple[str, ...]:
        """What to put before a command that is to run there."""
        return ("ip", "netns", "exec", self.name)

    def know(self, names: Mapping[str, str]) -> None:
        """Have commands that are run here from now on know the addresses of these names."""
        folder = _FILES / self.name
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **names}.items()]
        (folder / "hosts").write_text("".join(lines), "utf-8")

    def threads(self, count: int = 1) -> ThreadPoolExecutor:
        """Threads of this process whose sockets are those of this host."""
        return ThreadPoolExecutor(count, initializer=self._go)

    def _go(self) -> None:
        with (_NAMESPACES / self.name).open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NETWORK) != 0:
                raise OSError(ctypes.get_errno(), f"this thread cannot enter {self.name}")

    def _rules(self, rules: str) -> None:
        _run(*self.enter, "nft", "flush", "ruleset")
        if rules:
            table = f"table inet fault {{\n chain arriving {{\n type filter hook input priority 0;\n {rules}\n }}\n}}\n"
            _run(*self.enter, "nft", "-f", "-", given=table)

    def cut_off_from(self, others: Sequence[Host]) -> None:
        """Hear nothing from these hosts."""
        self._rules(f"ip saddr {{ {', '.join(other.address for other in others)} }} drop;")

    def unplug(self) -> None:
        """Take its address off the network, as that of a container that has ended: nothing answers there."""
        _run("ip", "-n", self.name, "link", "set", "eth0", "down")

    def lose(self, percent: int) -> None:
        """Lose this share of what arrives, at random."""
        self._rules(f"numgen random mod 100 < {percent} counter drop;")

    def lost(self) -> int:
        """How many packets have been lost since `lose`."""
        found = re.search(r"counter packets (\d+)", _run(*self.enter, "nft", "list", "ruleset"))
        return int(found[1]) if found else 0

    def heal(self) -> None:
        """Hear everything again."""
        self._rules("")


def _missing() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root: run the tests as root"
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program) is None:
            return f"network namespaces need {program!r}: install {package}"
    tried = subprocess.run(["ip", "netns", "add", f"{_PREFIX}-try"], capture_output=True, text=True)
    if tried.returncode != 0:
        return f"network namespaces are not permitted here: {tried.stderr.strip()}"
    _run("ip", "netns", "del", f"{_PREFIX}-try")
    return ""


@contextlib.contextmanager
def network(count: int, subnet: str = "10.77.0.0/24") -> Iterator[list[Host]]:
    """That many hosts on one bridge, with the first addresses of the subnet; the bridge stands in a namespace of its
    own, so that networks do not know of each other.
    """
    missing = _missing()
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    prefix = f"{_PREFIX}{os.getpid()}n{next(_networks)}"
    bridge = f"{prefix}b"
    net = ipaddress.ip_network(subnet)
    addresses = itertools.islice(net.hosts(), count)
    hosts = [Host(f"{prefix}h{number}", str(address)) for number, address in enumerate(addresses, 1)]
    try:
        _run("ip", "netns", "add", bridge)
        _run("ip", "-n", bridge, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", bridge, "link", "set", "br0", "up")
        for number, host in enumerate(hosts, 1):
            _run("ip", "netns", "add", host.name)
            _run(
                "ip",
                "-n",
                bridge,
                "link",
                "add",
                f"p{number}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                host.name,
            )
            _run("ip", "-n", bridge, "link", "set", f"p{number}", "master", "br0", "up")
            _run("ip", "-n", host.name, "addr", "add", f"{host.address}/{net.prefixlen}", "dev", "eth0")
            for device in ("eth0", "lo"):
                _run("ip", "-n", host.name, "link", "set", device, "up")
        yield hosts
    finally:
        for name in (bridge, *(host.name for host in hosts)):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            shutil.rmtree(_FILES / name, ignore_errors=True)
