"""MessagePack as Go's codec writes it, and everything that codec reads.

Go nodes use `hashicorp/go-msgpack` with its zero-value handle. What it writes is narrow: strings and byte slices
both in the old *raw* family (never str8 or bin), unsigned Go fields in unsigned forms, signed Go fields (``int``,
``int64``) in signed forms. What it reads is wide: any raw form, a byte slice as an array of small integers, any
integer width that fits, nil for any field, a struct as an array in declaration order, unknown keys, bytes after the
end. We write the first and read the second; whatever else arrives is a `ProtocolError`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgpack

from .errors import ProtocolError

__all__ = [
    "NIL",
    "as_struct",
    "fixmap",
    "fixstr",
    "flag",
    "raw",
    "signed",
    "struct_fields",
    "text_of",
    "to_bytes",
    "to_flag",
    "to_int",
    "to_text",
    "to_u16",
    "to_u32",
    "unsigned",
    "unsigned_bytes",
]

# A hostile body may nest array headers that each claim many elements, and lists are allocated before their elements are
# read; this bound keeps such a body under a few megabytes. No honest array is longer than a metadata blob.
_LIMITS: dict[str, Any] = {"max_array_len": 1024, "max_map_len": 1024, "raw": True}


NIL = b"\xc0"


def fixmap(fields: int) -> bytes:
    """The head of a struct of at most 15 fields: names and values follow."""
    return bytes((0x80 + fields,))


def fixstr(name: bytes) -> bytes:
    """The name of a field, of at most 31 bytes."""
    return bytes((0xA0 + len(name),)) + name


def flag(value: bool) -> bytes:
    """A Go bool."""
    return b"\xc3" if value else b"\xc2"


_FIXRAW = [bytes((0xA0 | size,)) for size in range(32)]
_FIXINT = [bytes((value,)) for value in range(0x80)]


def raw(data: bytes) -> bytes:
    """`data` in the old raw family: fixraw, raw16 or raw32."""
    size = len(data)
    if size < 32:
        return _FIXRAW[size] + data
    if size < 0x10000:
        return b"\xda" + size.to_bytes(2, "big") + data
    return b"\xdb" + size.to_bytes(4, "big") + data


def unsigned(value: int) -> bytes:
    """A Go unsigned field in its shortest unsigned form."""
    if value < 0x80:
        return _FIXINT[value]
    if value < 0x100:
        return b"\xcc" + bytes((value,))
    if value < 0x10000:
        return b"\xcd" + value.to_bytes(2, "big")
    return b"\xce" + value.to_bytes(4, "big")


def unsigned_bytes(value: int) -> int:
    """How long `unsigned` of it is."""
    return 1 if value < 0x80 else 2 if value < 0x100 else 3 if value < 0x10000 else 5


def signed(value: int) -> bytes:
    """A Go signed field: fixint up to 127, then int16, int32, int64."""
    if 0 <= value < 0x80:
        return _FIXINT[value]
    if -32 <= value < 0:
        return struct.pack("b", value)
    if -0x80 <= value < 0x80:
        return struct.pack(">Bb", 0xD0, value)
    if -0x8000 <= value < 0x8000:
        return struct.pack(">Bh", 0xD1, value)
    if -0x80000000 <= value < 0x80000000:
        return struct.pack(">Bi", 0xD2, value)
    return struct.pack(">Bq", 0xD3, value)


def struct_fields(body: bytes | memoryview, declared: tuple[bytes, ...]) -> Mapping[bytes, Any]:
    """The fields of an encoded Go struct by name; `declared` is the declaration order, for the array form.

    Raises:
        ProtocolError: `body` is not an encoded struct.
    """
    try:
        fields = msgpack.unpackb(body, strict_map_key=True, **_LIMITS)
        if type(fields) is dict:
            return fields
    except (ValueError, msgpack.UnpackException):
        pass  # bytes after the end, odd keys in a field that is not for us, or indeed no struct
    return as_struct(_unpacked(body), declared)


def _unpacked(body: bytes | memoryview) -> Any:
    try:
        return msgpack.unpackb(body, strict_map_key=False, **_LIMITS)
    except msgpack.ExtraData as extra:
        return extra.unpacked
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError, MemoryError) as error:
        raise ProtocolError(f"not MessagePack: {error or type(error).__name__}") from None


def as_struct(value: Any, declared: tuple[bytes, ...]) -> Mapping[bytes, Any]:
    """A decoded value as the fields of a struct (see `struct_fields`)."""
    if type(value) is dict:
        for key in value:
            if type(key) is not bytes:
                raise ProtocolError("a field name is not a string")
        return value
    if value is None:
        return {}
    if type(value) is list:
        return dict(zip(declared, value, strict=False))
    raise ProtocolError(f"expected a struct, found {type(value).__name__}")


def to_int(value: Any, least: int, most: int) -> int:
    """A field of a Go integer type with the range `least` to `most`; nil and a missing field are 0."""
    if type(value) is int and least <= value <= most:
        return value
    if value is None:
        return 0
    raise ProtocolError(f"not an integer from {least} to {most}: {_shown(value)}")


def to_u16(value: Any) -> int:
    """A Go uint16 field."""
    return to_int(value, 0, 0xFFFF)


def to_u32(value: Any) -> int:
    """A Go uint32 field."""
    return to_int(value, 0, 0xFFFFFFFF)


def to_flag(value: Any) -> bool:
    """A Go bool field."""
    if value is None or type(value) is bool:
        return bool(value)
    raise ProtocolError(f"not a bool: {_shown(value)}")


def to_bytes(value: Any) -> bytes:
    """A Go string or byte slice field; nil is empty."""
    if type(value) is bytes:
        return value
    if value is None:
        return b""
    if type(value) is list:
        try:
            return bytes(value)
        except (TypeError, ValueError):
            pass
    raise ProtocolError(f"not a string: {_shown(value)}")


def _shown(value: Any) -> str:
    """A value of a wrong type, for a message to a person. Numbers only: an array may be nested too deeply for `repr`,
    and a string too long.
    """
    return repr(value) if type(value) in (int, float, bool) else type(value).__name__


def to_text(value: Any) -> str:
    """A Go string field. Bytes that are not UTF-8 survive a round trip (PEP 383)."""
    return to_bytes(value).decode("utf-8", "surrogateescape")


def text_of(text: str) -> bytes:
    """The bytes of a Go string, the inverse of `to_text`."""
    return text.encode("utf-8", "surrogateescape")
