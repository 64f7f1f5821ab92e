"""Names: those that callers use, and those under which services stand in Nacos.

go-doudou v2 registers ``orders_rest``; v1, and the Java and Go clients, register ``orders``. Who asks for ``orders``
gets both, as one service. ``GROUP@@name`` is one service of another group, under exactly that name.
"""

from __future__ import annotations

import attrs

from ..kit.service_names import plain_name, rest_name

__all__ = ["ServiceName", "asked_for"]

_GROUP_MARK = "@@"
_MAX_BYTES = 512


@attrs.frozen
class ServiceName:
    """A service in Nacos."""

    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.group}{_GROUP_MARK}{self.name}"


def asked_for(service: str, group: str) -> dict[ServiceName, str]:
    """Where in Nacos to look for `service`, and the name that its members get; empty if Nacos cannot have it.

    Args:
        group: the group of services whose name does not say one.
    """
    if _unusable(service):
        return {}
    own, marked, name = service.partition(_GROUP_MARK)
    if marked:
        return {ServiceName(own, name): service} if own and name and _GROUP_MARK not in name else {}
    plain = plain_name(service)
    return {ServiceName(group, plain): plain, ServiceName(group, rest_name(plain)): plain} if plain else {}


def _unusable(service: str) -> bool:
    """Nacos takes no blanks. A slash would be one in a path: the SDK names files of its cache like the services."""
    return len(service.encode()) > _MAX_BYTES or not service.isprintable() or any(mark in service for mark in " /\\")
