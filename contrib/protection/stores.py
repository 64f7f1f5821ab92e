"""What a rate limit asks of the place where it is counted.

A limit never waits for long, and a place that cannot tell is no reason to fail: it raises `StoreFailed`, and says what
is to be done without it.
"""

from __future__ import annotations

import enum
from typing import Literal, Protocol

from .rate import Rate

__all__ = ["Bucket", "Failure", "Store", "StoreFailed", "WhenDown"]

WhenDown = Literal["open", "closed"]
"""What becomes of requests while the store does not tell: they pass, or are refused."""


class Failure(enum.StrEnum):
    """Why a store did not tell."""

    DOWN = "down"
    SLOW = "slow"
    NONSENSE = "nonsense"
    BUSY = "busy"
    NOT_ASKED = "not_asked"


class StoreFailed(Exception):
    """The store did not tell whether a request may pass.

    Attributes:
        failure: how it failed.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Bucket(Protocol):
    """One limit, counted for each key apart."""

    def take(self, key: str) -> float | None:
        """Count one request; returns None if it may pass, else the seconds after which it may.

        Raises:
            StoreFailed: the store did not tell.
        """

    async def take_async(self, key: str) -> float | None:
        """The same on an event loop."""

    async def close_async(self) -> None:
        """Close what was opened on the event loop that runs; it is opened anew if it is needed."""


class Store(Protocol):
    """Where limits are counted.

    Attributes:
        when_down: what becomes of requests while it does not tell.
    """

    when_down: WhenDown

    def bucket(self, name: str, rate: Rate, *, compatible: bool) -> Bucket:
        """The limit of this name and rate; two of the same name and rate count together.

        Args:
            compatible: count together with go-doudou's limiter, which knows keys only.

        Raises:
            ValueError: it cannot do that.
        """
