"""The types of memberlist's messages and layers: the first byte of each."""

from __future__ import annotations

import enum

from .gomsgpack import fixmap

__all__ = ["MessageType", "message_head"]


class MessageType(enum.IntEnum):
    """The first byte of every plaintext message."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6
    COMPOUND = 7
    USER = 8
    COMPRESS = 9
    ENCRYPT = 10
    NACK = 11
    HAS_CRC = 12
    ERROR = 13
    WEIGHT = 14
    HAS_LABEL = 244


def message_head(kind: MessageType, fields: int) -> bytes:
    """What a message begins with: its type, and how many fields follow."""
    return bytes((kind,)) + fixmap(fields)
