"""What all messages have in common: the byte that says what follows, and the numbers that stand for a state."""

from __future__ import annotations

import enum

from .gomsgpack import fixmap

__all__ = ["MAX_INT", "USER_HEAD", "MessageType", "State", "message_head"]

MAX_INT = 2**63 - 1


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


class State(enum.IntEnum):
    """The state of a node as push/pull carries it."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


def message_head(kind: MessageType, fields: int) -> bytes:
    """What a message begins with: its type, and how many fields follow."""
    return bytes((kind,)) + fixmap(fields)


USER_HEAD = bytes((MessageType.USER,))
"""What precedes an application's message in a packet; the rest is as the application wrote it."""
