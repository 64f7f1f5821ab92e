"""The cluster label: a prefix by which two clusters on one network refuse each other.

``0xf4``, one length byte, 1 to 255 bytes of label. It stands outside the encryption, and is repeated inside it as
associated data. Every packet carries it; on a stream only the side that dialled writes it, once.
"""

from __future__ import annotations

from .errors import ProtocolError
from .message_types import MessageType

__all__ = ["LABEL_MAX_BYTES", "label_header", "split_label"]

LABEL_MAX_BYTES = 255


def label_header(label: bytes) -> bytes:
    """What precedes a packet or a stream; empty without a label.

    Raises:
        ValueError: the label is longer than 255 bytes.
    """
    if not label:
        return b""
    if len(label) > LABEL_MAX_BYTES:
        raise ValueError(f"label of {len(label)} bytes; at most {LABEL_MAX_BYTES} fit")
    return bytes((MessageType.HAS_LABEL, len(label))) + label


def split_label(data: bytes) -> tuple[bytes, bytes]:
    """The label of a packet (empty if it has none) and the rest.

    Raises:
        ProtocolError: the header is cut short, or announces an empty label.
    """
    if not data or data[0] != MessageType.HAS_LABEL:
        return b"", data
    if len(data) < 2:
        raise ProtocolError("label header is cut short")
    size = data[1]
    if size == 0:
        raise ProtocolError("label header without a label")
    if len(data) < 2 + size:
        raise ProtocolError("label header is cut short")
    return data[2 : 2 + size], data[2 + size :]
