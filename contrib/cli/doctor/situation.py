"""What a doctor looks at, and what it finds."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import attrs

from ....discovery.configuration.reading import Reading, read
from ....discovery.configuration.sources import Configuration
from ....drivers.kit.own_address import interface_addresses
from ....drivers.memberlist.settings import MemberlistSettings
from ....drivers.nacos.settings import NacosSettings

__all__ = ["Check", "Finding", "Situation", "is_loopback"]


@attrs.frozen
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: its stable name, such as ``seed-name``.
        problem: what is so, in a sentence.
        remedy: what to do about it.
    """

    kind: str
    problem: str
    remedy: str

    def to_dict(self) -> dict[str, str]:
        """All fields."""
        return {"kind": self.kind, "problem": self.problem, "remedy": self.remedy}


@attrs.frozen
class Situation:
    """What is to be looked at.

    Attributes:
        reading: the variables as they were read, and what is wrong with them, in place of which there are defaults.
        writes: whether something may be registered, under a name of its own and for a moment.
    """

    reading: Reading
    writes: bool = False

    @classmethod
    def of(cls, configuration: Configuration, *, writes: bool = False) -> Situation:
        """As a process with this configuration would start: to register if the service has a name, else to look."""
        named = bool(configuration.values().get("GDD_SERVICE_NAME", "").strip())
        return cls(read(configuration, register=named), writes)

    @property
    def values(self) -> Mapping[str, str]:
        """The variables."""
        return self.reading.values

    def said(self, name: str) -> str:
        """What a variable is set to, "" for nothing."""
        return self.values.get(name, "").strip()

    @property
    def registers(self) -> bool:
        """Whether the process is to register something."""
        return bool(self.reading.fields["register"])

    @property
    def service(self) -> tuple[str, str, int]:
        """What it is to register: name, host and port."""
        fields: Mapping[str, Any] = self.reading.fields
        return fields.get("service_name", ""), fields.get("register_host", ""), fields.get("port", 0)

    @property
    def gossip(self) -> MemberlistSettings | None:
        """The settings of the gossip, None without it."""
        return cast("MemberlistSettings | None", self.reading.drivers.get("memberlist"))

    @property
    def nacos(self) -> NacosSettings | None:
        """The settings of the Nacos driver, None without it."""
        return cast("NacosSettings | None", self.reading.drivers.get("nacos"))

    @property
    def own_addresses(self) -> frozenset[str]:
        """The addresses of this machine, loopback included."""
        return frozenset(str(each.address) for each in interface_addresses()) | {"127.0.0.1", "::1"}

    def is_own(self, host: str) -> bool:
        """Whether this is an address of this machine."""
        return host in self.own_addresses or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether only processes of this machine reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@attrs.frozen
class Check:
    """One check.

    Attributes:
        name: what is looked at, for whoever waits.
        look: gives what it finds, as soon as it finds it.
        within: seconds after which it is given up.
    """

    name: str
    look: Callable[[Situation], Iterable[Finding]]
    within: float = 5.0
