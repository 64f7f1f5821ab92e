"""Instances in Nacos: what this process registers, and what others have registered.

The metadata keys are go-doudou's: ``rootPath`` and ``weight`` are what its clients need, the others are for people. All
values are text. Its clients take the weight of the instance, which an operator may change in the console, and so do we.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import attrs

from ..errors import MetadataTooLarge
from ..kit.flat_metadata import as_text, largest_keys
from ..kit.runtime import RUNTIME
from ..kit.service_names import is_grpc, rest_name
from ..kit.validation import Unusable, checked_member, checked_process
from ..members import Instance, Member, MemberState
from .service_names import ServiceName

__all__ = ["METADATA_LIMIT", "Listed", "Registration", "ServiceList", "decode_members", "encode_instance"]

METADATA_LIMIT = 1024
"""The most characters that Nacos takes for all keys and values of an instance together."""

_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
_OURS = frozenset({"registerAt", "goVer", "gddVer", "buildUser", "buildTime", "weight", "rootPath"})


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


@attrs.frozen
class ServiceList:
    """What the server lists of one service: everybody who offers it.

    Attributes:
        unreadable: why other instances could not even be read.
        changed_at: the server's time of the last change, in milliseconds; 0 if it does not tell.
    """

    service: ServiceName
    instances: tuple[Listed, ...] = ()
    unreadable: tuple[str, ...] = ()
    changed_at: int = 0


def encode_instance(instance: Instance, group: str, cluster: str) -> tuple[Registration, ...]:
    """What has to stand in Nacos so that the generations of go-doudou that `instance.compat` names find it.

    Raises:
        MetadataTooLarge: more than Nacos takes; the message names the largest keys.
        RegistrationError: a value that is no text and cannot be made text.
    """
    metadata = _metadata(instance)
    names = [instance.service] * instance.compat.writes_v1 + [rest_name(instance.service)] * instance.compat.writes_v2
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
    data = as_text(instance.data)
    size = sum(len(key) + len(value) for key, value in (metadata | data).items())
    if size > METADATA_LIMIT:
        largest = largest_keys({key: len(key) + len(value) for key, value in data.items()}, "characters")
        raise MetadataTooLarge(
            f"the metadata takes {size} characters, and Nacos takes at most {METADATA_LIMIT}: "
            + (f"the largest keys of the data are {largest}" if largest else "shorten the root path"),
            size=size,
            limit=METADATA_LIMIT,
        )
    return data | metadata


def decode_members(listed: ServiceList, name: str, unusable: Callable[[Unusable], None]) -> Iterable[Member]:
    """What `listed` offers to callers of the service `name`; those who are switched off are not there.

    An unhealthy instance is a suspect: Nacos too would rather name unhealthy ones than nobody.

    Args:
        unusable: is told of every instance that is left out because nobody could call it, and of metadata.
    """
    for instance in listed.instances:
        if not instance.enabled:
            continue
        metadata = instance.metadata
        try:
            yield checked_member(
                name,
                instance.host,
                instance.port,
                scheme=_scheme(listed.service, metadata),
                root_path=metadata.get("rootPath", ""),
                weight=instance.weight,
                state=MemberState.ALIVE if instance.healthy else MemberState.SUSPECT,
                data={key: value for key, value in metadata.items() if key not in _OURS},
                node=instance.key,
                registered_at=_time(metadata.get("registerAt", "")),
                process=checked_process(metadata),
                left_out=unusable,
            )
        except Unusable as error:
            unusable(error)


def _scheme(service: ServiceName, metadata: Mapping[str, str]) -> str:
    if is_grpc(service.name):
        return "grpc"
    return "https" if metadata.get("secure", "").lower() == "true" else "http"  # as Spring Cloud registers it


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME_FORMAT)
    except ValueError:
        return None
