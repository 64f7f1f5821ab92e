"""The metadata of a gossip node: which services it offers, and where.

go-doudou has two shapes, both MessagePack maps of at most 512 bytes: v1 puts one service under ``_meta`` and the
user's data under ``data``; v2 lists services under ``serviceInfo``, their names with a suffix (``orders_rest``).
Both decoders skip keys they do not know, so one blob can carry both, and v1 and v2 nodes find the same process.

What we write is exact to the byte: a Go process that cannot decode a peer's metadata dies. What we read is never
trusted: anything unreadable means "offers nothing". Times are MessagePack timestamps without their extension
header: 4, 8 or 12 raw bytes.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import msgpack

from ..errors import MetadataTooLarge, RegistrationError
from ..kit.flat_metadata import check_flat, largest_keys
from ..kit.runtime import RUNTIME
from ..kit.service_names import is_grpc, plain_name, rest_name
from ..kit.validation import Unusable, checked_member, checked_process
from ..members import Compat, Instance, Member
from .protocol.config import META_MAX_BYTES

__all__ = ["MAX_SERVICES", "NodeMetadata", "decode_members", "encode_instance"]

MAX_SERVICES = 4
"""Of one node. go-doudou's nodes have one or two; a stranger's 512 bytes could hold thirty, each of which costs more
than the bytes that name it.
"""

_MOST_INTEGER = 2**63


def encode_instance(instance: Instance, *, runtime: str = RUNTIME) -> bytes:
    """The blob that announces `instance`, in the shapes that its `compat` asks for. With both, data that do not fit
    twice are written for v1 only.

    Raises:
        MetadataTooLarge: more than 512 bytes; the message names the largest keys.
        RegistrationError: the data has a value that Go nodes cannot show: it is to be flat, with text for keys.
    """
    check_flat(instance.data)
    for key, value in instance.data.items():
        if isinstance(value, int) and not -_MOST_INTEGER <= value < _MOST_INTEGER:
            raise RegistrationError(f"the metadata value of {key!r} is a whole number of more than 64 bits")
    blob = _pack(_shape(instance, runtime, data_for_v2=instance.compat.writes_v2))
    if len(blob) > META_MAX_BYTES and instance.compat is Compat.BOTH:
        blob = _pack(_shape(instance, runtime, data_for_v2=False))
    if len(blob) > META_MAX_BYTES:
        raise _too_large(len(blob), instance.data)
    return blob


def _shape(instance: Instance, runtime: str, *, data_for_v2: bool) -> dict[str, Any]:
    """What is written. Both generations read the data where they expect them; written twice they may not fit."""
    registered_at = _encode_time(instance.registered_at)
    build = {"buildTime": "", "buildUser": "", "gddVer": "", "goVer": runtime, "registerAt": registered_at}
    shape: dict[str, Any] = {}
    data = dict(instance.data)
    if instance.compat.writes_v1:
        service: dict[str, Any] = {
            "port": instance.port,
            "routeRootPath": instance.root_path,
            "service": instance.service,
            "weight": instance.weight,
        }
        shape["_meta"] = _sorted(build | service)
        if data:
            shape["data"] = data
    if instance.compat.writes_v2:
        service = {
            "host": instance.host,
            "name": rest_name(instance.service),
            "port": instance.port,
            "routeRootPath": instance.root_path,
            "type": "rest",
        }
        if data and data_for_v2:
            service["data"] = data
        shape |= build | {"serviceInfo": [_sorted(service)], "weight": instance.weight}
    return _sorted(shape)


def _sorted(fields: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(fields.items()))


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def _too_large(size: int, data: Mapping[str, Any]) -> MetadataTooLarge:
    largest = largest_keys({key: len(_pack({key: value})) - 1 for key, value in data.items()}, "bytes")
    advice = f"the largest keys of the data are {largest}" if largest else "shorten the service name or the root path"
    return MetadataTooLarge(
        f"the metadata takes {size} bytes, and a gossip node carries at most {META_MAX_BYTES}: {advice}; "
        "GDD_COMPAT=v1 or v2 writes one shape instead of two and saves about 150 bytes",
        size=size,
        limit=META_MAX_BYTES,
    )


def _encode_time(moment: datetime | None) -> bytes | None:
    if moment is None:
        return None
    seconds = math.floor(moment.timestamp())
    nanoseconds = moment.microsecond * 1000
    if nanoseconds == 0 and 0 <= seconds < 2**32:
        return struct.pack(">I", seconds)
    if 0 <= seconds < 2**34:
        return struct.pack(">Q", nanoseconds << 34 | seconds)
    return struct.pack(">Iq", nanoseconds, seconds)


def _decode_time(value: Any) -> datetime | None:
    if isinstance(value, msgpack.Timestamp):
        seconds, nanoseconds = value.seconds, value.nanoseconds
    elif not isinstance(value, bytes):
        return None
    elif len(value) == 4:
        seconds, nanoseconds = struct.unpack(">I", value)[0], 0
    elif len(value) == 8:
        packed = struct.unpack(">Q", value)[0]
        seconds, nanoseconds = packed & (2**34 - 1), packed >> 34
    elif len(value) == 12:
        nanoseconds, seconds = struct.unpack(">Iq", value)
    else:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=min(nanoseconds // 1000, 999_999))
    except (OverflowError, ValueError, OSError):
        return None


@attrs.frozen(repr=False)
class NodeMetadata:
    """What a blob says.

    Attributes:
        members: the services offered, without `state` and dynamic weight; empty for a process that only looks.
        weight: the static weight; 0 or less means that the node announces a dynamic one.
        readable: False if the blob was neither empty nor understood.
        unusable: why services or data of theirs were left out, the others being fine.
    """

    members: tuple[Member, ...] = ()
    weight: int = 1
    readable: bool = True
    unusable: tuple[Unusable, ...] = ()


def decode_members(blob: bytes, *, host: str, node: str, port: int = 0) -> NodeMetadata:
    """What a node offers. `host` is its gossip address, under which v1 services are reached, `port` that of its gossip,
    and `node` its name.

    Never raises: peers send what they like.
    """
    if not blob:
        return NodeMetadata()
    try:
        fields = _decode_json(blob) if blob[:1] == b"{" else _decode_msgpack(blob)
        return _read(fields, host, node, port)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, msgpack.UnpackException):
        return NodeMetadata(readable=False)


def _decode_json(blob: bytes) -> Any:
    import json  # as versions before 1.0.1 wrote it: hardly ever needed, and costs time at the start

    return json.loads(blob)


def _decode_msgpack(blob: bytes) -> Any:
    """The fields, all raw strings but the times as text: old MessagePack does not tell text from bytes. What is not
    UTF-8 has surrogates in it (PEP 383), until `_bytes_again`.
    """
    limits: dict[str, Any] = {"unicode_errors": "surrogateescape", "strict_map_key": False, "max_array_len": 512}
    try:
        fields = msgpack.unpackb(blob, **limits)
    except msgpack.ExtraData as extra:
        fields = extra.unpacked
    for holder in (fields, _map(fields).get("_meta")):
        if isinstance(holder, dict) and isinstance(holder.get("registerAt"), str):
            holder["registerAt"] = holder["registerAt"].encode("utf-8", "surrogateescape")
    return fields


def _bytes_again(value: Any) -> Any:
    """Bytes where the text is none."""
    if isinstance(value, str) and not value.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            raw = value.encode("utf-8", "surrogateescape")
            try:
                return raw.decode()
            except UnicodeDecodeError:
                return raw
    elif isinstance(value, dict):
        return {_bytes_again(key): _bytes_again(item) for key, item in value.items()}
    elif isinstance(value, list):
        return [_bytes_again(item) for item in value]
    return value


def _read(fields: Any, host: str, node: str, port: int) -> NodeMetadata:
    fields = _map(fields)
    v1 = _map(fields.get("_meta"))
    weight = _integer((v1 if "weight" in v1 else fields).get("weight"))
    data = _bytes_again(_map(fields.get("data")))
    registered_at = _decode_time(fields.get("registerAt") or v1.get("registerAt"))
    process = checked_process(v1 or fields, port)
    found = _Found(host, node, registered_at, weight if weight > 0 else 1, data, process)
    services = fields.get("serviceInfo") or ()
    if len(services) > MAX_SERVICES:
        found.unusable.append(Unusable("service", f"{len(services)} services of one node; {MAX_SERVICES} are taken"))
    for service in map(_map, services[:MAX_SERVICES]):
        name = _string(service.get("name"))
        scheme = "grpc" if service.get("type") == "grpc" or is_grpc(name) else "http"
        found.add(plain_name(name), service.get("host") or host, service, scheme)
    if v1.get("service"):
        found.add(_string(v1["service"]), host, v1, "http")
    return NodeMetadata(tuple(found.members.values()), weight, True, tuple(found.unusable))


@attrs.define
class _Found:
    """The services of one blob, each as one member, and what was unusable of them."""

    host: str
    node: str
    registered_at: datetime | None
    weight: int
    data: Mapping[str, Any]
    process: Mapping[str, str | int]
    members: dict[str, Member] = attrs.Factory(dict)
    unusable: list[Unusable] = attrs.Factory(list)

    def add(self, service: str, host: Any, fields: Mapping[str, Any], scheme: str) -> None:
        """Take in one service unless it is there already, or unusable."""
        if service in self.members:
            return
        try:
            self.members[service] = checked_member(
                service,
                host,
                fields.get("port"),
                scheme=scheme,
                root_path=_bytes_again(fields.get("routeRootPath")),
                weight=self.weight,
                announced_weight=True,
                data=_bytes_again(fields.get("data")) or self.data,
                node=self.node,
                registered_at=self.registered_at,
                process=self.process,
                left_out=self.unusable.append,
            )
        except Unusable as unusable:
            self.unusable.append(unusable)


def _map(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("not a map")
    return value


def _integer(value: Any) -> int:
    if value is None:
        return 0
    if type(value) is not int:
        raise TypeError("not an integer")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value
