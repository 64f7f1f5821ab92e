"""The members of all services as Prometheus takes its targets: the JSON of its file and HTTP service discovery.

The labels are those of go-doudou-prometheus-sd, so that its dashboards and alerts go on working: ``service_id``,
``hostname``, ``base_url``, and of how the process was built what it says. They are fixed, and nothing of what a member
says of itself becomes the *name* of a label: one that begins with two underscores would decide what is scraped
(``__address__``, ``__metrics_path__``), and with which credentials. For the same reason metadata are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..drivers.members import Member, json_value

__all__ = ["target_groups"]

_SCRAPED = frozenset({"http", "https"})
_BUILD = {"buildTime": "build_time", "buildUser": "build_user", "goVer": "go_ver", "gddVer": "godoudou_ver"}


def target_groups(members: Iterable[Member]) -> list[dict[str, Any]]:
    """One group for each member that speaks HTTP, in the order of service, host and port.

    ::

        [{"targets": ["10.0.0.1:6060"],
          "labels": {"service_id": "orders", "hostname": "web-1", "base_url": "http://10.0.0.1:6060"}}]

    Suspect members are among them: whether somebody answers is for Prometheus to find out, and its ``up`` is 0 if not.
    """
    scraped = sorted((member for member in members if member.scheme in _SCRAPED), key=lambda member: member.key)
    return [
        {
            "targets": [member.address],
            "labels": {
                "service_id": json_value(member.service),
                "hostname": json_value(member.node),
                "base_url": json_value(member.base_url),
                **_build(member),
            },
        }
        for member in scraped
    ]


def _build(member: Member) -> dict[str, str]:
    said = member.process
    return {label: str(json_value(said[key])) for key, label in _BUILD.items() if said.get(key)}
