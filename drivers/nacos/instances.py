"""Instances in Nacos: what this process registers, and what others have registered.

The metadata keys are go-doudou's: ``rootPath`` and ``weight`` are what its clients need, the others are for people. All
values are text. Its clients take the weight of the instance, which an operator may change in the console, and so do we.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from ..errors import MetadataTooLarge, RegistrationError
from ..kit.runtime import RUNTIME
from ..members import Instance, Member, MemberState
from .service_names import REST, ServiceName

__all__ = ["METADATA_LIMIT", "Listed", "Registration", "member", "registrations"]

METADATA_LIMIT = 1024
"""The most characters that Nacos takes for all keys and values of an instance together."""

_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
_OURS = frozenset({"registerAt", "goVer", "gddVer", "buildUser", "buildTime", "weight", "rootPath"})
_GRPC = "_grpc"


@attrs.frozen
class Registration:
    """One instance that this process wants to have in Nacos."""

    service: ServiceName
    cluster: str
    host: str
    port: int
    weight: float
    metadata: Mapping[str, str] = attrs.field(hash=False)


@attrs.frozen
class Listed:
    """One instance as the server lists it.

    Attributes:
        key: the server's own name for it.
        healthy: False where the server's health check fails, or the heartbeat of a client of Nacos 1 is late.
    """

    key: str
    host: str
    port: int
    weight: float = 1.0
    healthy: bool = True
    enabled: bool = True
    cluster: str = "DEFAULT"
    metadata: Mapping[str, str] = attrs.field(factory=dict, hash=False)

    def is_for(self, registration: Registration) -> bool:
        """Whether this is what was registered."""
        return (self.host, self.port, self.cluster) == (registration.host, registration.port, registration.cluster)


def registrations(instance: Instance, group: str, cluster: str) -> tuple[Registration, ...]:
    """What has to stand in Nacos so that the generations of go-doudou that `instance.compat` names find it.

    Raises:
        MetadataTooLarge: more than Nacos takes; the message names the largest keys.
        RegistrationError: a value that is no text and cannot be made text.
    """
    metadata = _metadata(instance)
    names = [instance.service] * instance.compat.writes_v1 + [instance.service + REST] * instance.compat.writes_v2
    # A weight of 0 asks for a dynamic one, which Nacos has not; there it would mean no traffic at all.
    weight = float(max(1, instance.weight))
    return tuple(
        Registration(ServiceName(group, name), cluster, instance.host, instance.port, weight, metadata)
        for name in names
    )


def _metadata(instance: Instance) -> dict[str, str]:
    registered_at = instance.registered_at
    metadata = {
        "registerAt": registered_at.astimezone().strftime(_TIME_FORMAT) if registered_at is not None else "",
        "goVer": RUNTIME,
        "gddVer": "",
        "buildUser": "",
        "buildTime": "",
        "weight": str(max(1, instance.weight)),
        "rootPath": instance.root_path,
    }
    data = {_key(key): _text(key, value) for key, value in instance.data.items()}
    size = sum(len(key) + len(value) for key, value in (metadata | data).items())
    if size > METADATA_LIMIT:
        sizes = sorted(((len(key) + len(value), key) for key, value in data.items()), reverse=True)
        largest = ", ".join(f"{key!r} ({length} characters)" for length, key in sizes[:3])
        raise MetadataTooLarge(
            f"the metadata takes {size} characters, and Nacos takes at most {METADATA_LIMIT}: the largest keys of the "
            f"data are {largest}",
            size=size,
            limit=METADATA_LIMIT,
        )
    return data | metadata


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise RegistrationError(f"the metadata key {key!r} is not text")
    return key


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RegistrationError(
                f"the metadata value of {key!r} is bytes that are not UTF-8: Nacos takes text"
            ) from None
    if value is None:
        return ""
    if isinstance(value, (str, int, float)):
        return str(value)
    raise RegistrationError(
        f"the metadata value of {key!r} is {value!r:.60}; it must be text, bytes, a number, a truth value or None"
    )


def member(listed: Listed, service: ServiceName, name: str) -> Member:
    """What `listed` offers to callers of the service `name`.

    An unhealthy instance is a suspect: Nacos too would rather name unhealthy ones than nobody.
    """
    metadata = listed.metadata
    return Member(
        service=name,
        host=listed.host,
        port=listed.port,
        scheme=_scheme(service, metadata),
        root_path=metadata.get("rootPath", ""),
        weight=listed.weight if math.isfinite(listed.weight) and listed.weight > 0 else 0.0,
        state=MemberState.ALIVE if listed.healthy else MemberState.SUSPECT,
        data={key: value for key, value in metadata.items() if key not in _OURS},
        node=listed.key,
        registered_at=_time(metadata.get("registerAt", "")),
    )


def _scheme(service: ServiceName, metadata: Mapping[str, str]) -> str:
    if service.name.endswith(_GRPC):
        return "grpc"
    return "https" if metadata.get("secure") == "true" else "http"  # as Spring Cloud registers it


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME_FORMAT)
    except ValueError:
        return None
