"""The metadata of a gossip node: which services it offers, and where.

go-doudou has two shapes, both MessagePack maps of at most 512 bytes: v1 puts one service under ``_meta`` and the
user's data under ``data``; v2 lists services under ``serviceInfo``, their names with a suffix (``orders_rest``).
Both decoders skip keys they do not know, so one blob can carry both, and v1 and v2 nodes find the same process.

What we write is exact to the byte: a Go process that cannot decode a peer's metadata dies. What we read is never
trusted: anything unreadable means "offers nothing". Times are MessagePack timestamps without their extension
header: 4, 8 or 12 raw bytes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import msgpack

from ..errors import MetadataTooLarge, RegistrationError
from ..kit.runtime import RUNTIME
from ..members import Compat, Instance, Member
from .protocol.config import META_MAX_BYTES

__all__ = ["NodeMetadata", "decode_metadata", "encode_metadata"]

_REST = "_rest"
_GRPC = "_grpc"


def encode_metadata(instance: Instance, *, runtime: str = RUNTIME) -> bytes:
    """The blob that announces `instance`, in the shapes that its `compat` asks for.

    Raises:
        MetadataTooLarge: more than 512 bytes; the message names the largest keys.
        RegistrationError: the data has a value that Go nodes cannot show: it is to be flat, with text for keys.
    """
    for key, value in instance.data.items():
        _check_item(key, value)
    registered_at = _encode_time(instance.registered_at)
    build = {"buildTime": "", "buildUser": "", "gddVer": "", "goVer": runtime, "registerAt": registered_at}
    shape: dict[str, Any] = {}
    data = dict(instance.data)
    if instance.compat.writes_v1:
        shape["_meta"] = _sorted(
            build
            | {
                "port": instance.port,
                "routeRootPath": instance.root_path,
                "service": instance.service,
                "weight": instance.weight,
            }
        )
        if data:
            shape["data"] = data
    if instance.compat.writes_v2:
        service = {
            "host": instance.host,
            "name": instance.service + _REST,
            "port": instance.port,
            "routeRootPath": instance.root_path,
            "type": "rest",
        }
        if data and instance.compat is Compat.V2:
            service["data"] = data
        shape |= build | {"serviceInfo": [_sorted(service)], "weight": instance.weight}
    blob = _pack(_sorted(shape))
    if len(blob) > META_MAX_BYTES:
        raise _too_large(len(blob), data)
    return blob


def _check_item(key: Any, value: Any) -> None:
    if not isinstance(key, str):
        raise RegistrationError(f"the metadata key {key!r} is not text")
    whole = type(value) is int and -(2**63) <= value < 2**63
    if not (whole or value is None or isinstance(value, (str, bytes, bool, float))):
        raise RegistrationError(
            f"the metadata value of {key!r} is {value!r:.60}; it must be text, bytes, a number, a truth value or None "
            "(go-doudou's registry page fails on nested values)"
        )


def _sorted(fields: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(fields.items()))


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def _too_large(size: int, data: Mapping[str, Any]) -> MetadataTooLarge:
    sizes = sorted(((len(_pack({key: value})) - 1, key) for key, value in data.items()), reverse=True)
    largest = ", ".join(f"{key!r} ({bytes_} bytes)" for bytes_, key in sizes[:3])
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


@attrs.frozen
class NodeMetadata:
    """What a blob says.

    Attributes:
        members: the services offered, without `state` and dynamic weight; empty for a process that only looks.
        weight: the static weight; 0 or less means that the node announces a dynamic one.
        readable: False if the blob was neither empty nor understood.
    """

    members: tuple[Member, ...] = ()
    weight: int = 1
    readable: bool = True


def decode_metadata(blob: bytes, *, host: str, node: str) -> NodeMetadata:
    """What a node offers. `host` is its gossip address, under which v1 services are reached; `node` its name.

    Never raises: peers send what they like.
    """
    if not blob:
        return NodeMetadata()
    try:
        fields = json.loads(blob) if blob[:1] == b"{" else _decode_msgpack(blob)
        return _read(fields, host, node)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, msgpack.UnpackException):
        return NodeMetadata(readable=False)


def _decode_msgpack(blob: bytes) -> Any:
    limits: dict[str, Any] = {"raw": True, "strict_map_key": False, "max_array_len": 512}
    try:
        return _text(msgpack.unpackb(blob, **limits))
    except msgpack.ExtraData as extra:
        return _text(extra.unpacked)


def _text(value: Any) -> Any:
    """Raw strings as text, where they are UTF-8: old MessagePack does not tell text from bytes."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, dict):
        return {_text(key): item if key == b"registerAt" else _text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value


def _read(fields: Any, host: str, node: str) -> NodeMetadata:
    fields = _map(fields)
    v1 = _map(fields.get("_meta"))
    weight = _integer((v1 if "weight" in v1 else fields).get("weight"))
    data = _map(fields.get("data"))
    registered_at = _decode_time(fields.get("registerAt") or v1.get("registerAt"))
    members: dict[str, Member] = {}
    for member in (*_v2_services(fields, host), *_v1_service(v1, host)):
        members.setdefault(member.service, member)
    complete = (
        attrs.evolve(
            member,
            node=node,
            registered_at=registered_at,
            weight=float(weight) if weight > 0 else 1.0,
            announced_weight=True,
            data=dict(member.data or data),
        )
        for member in members.values()
    )
    return NodeMetadata(tuple(complete), weight)


def _v2_services(fields: Mapping[str, Any], host: str) -> Iterator[Member]:
    for service in map(_map, fields.get("serviceInfo") or ()):
        name = _string(service.get("name"))
        grpc = service.get("type") == "grpc" or name.endswith(_GRPC)
        yield _member(name.removesuffix(_REST), service.get("host") or host, service, "grpc" if grpc else "http")


def _v1_service(meta: Mapping[str, Any], host: str) -> Iterator[Member]:
    if meta.get("service"):
        yield _member(_string(meta["service"]), host, meta, "http")


def _member(service: str, host: Any, fields: Mapping[str, Any], scheme: str) -> Member:
    port = _integer(fields.get("port"))
    if not service or not 0 < port <= 0xFFFF:
        raise ValueError("a service without a name or a port")
    root_path = _string(fields.get("routeRootPath") or "")
    return Member(service, _string(host), port, scheme, root_path, data=_map(fields.get("data")))


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
