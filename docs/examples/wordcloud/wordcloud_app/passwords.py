"""Passwords: slow to try, for names that nobody has as well, and not many times in a row."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import bcrypt

from .errors import BizError
from .variables import number

__all__ = ["Failures", "hashed", "right"]

_ROUNDS = int(number("BIZ_BCRYPT_ROUNDS", 12, least=4))
_MOST_BYTES = 72
_NOBODY = bcrypt.hashpw(b"nobody", bcrypt.gensalt(_ROUNDS))


def hashed(password: str) -> str:
    """What is stored of a password.

    Raises:
        BizError: 400, bcrypt would not read all of it.
    """
    if not password or len(password.encode()) > _MOST_BYTES:
        raise BizError(400, f"parameter password: 1 to {_MOST_BYTES} bytes")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()


def right(password: str, stored: str | None) -> bool:
    """Whether it is the one; as slow where there is none."""
    given = password.encode()[:_MOST_BYTES]
    return bcrypt.checkpw(given, stored.encode() if stored else _NOBODY) and stored is not None


class Failures:
    """Counts wrong passwords by name, of the thousand names that failed last.

    Args:
        most: wrong ones in a row after which a name has to wait.
        wait: seconds for which no password of that name is tried then.
    """

    def __init__(self, most: int = 5, wait: float = 30.0) -> None:
        self._most, self._wait = most, wait
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, name: str) -> None:
        """Raises `BizError` 429 if the name has to wait."""
        with self._lock:
            count, last = self._failed.get(name, (0, 0.0))
        left = last + self._wait - time.monotonic()
        if count >= self._most and left > 0:
            raise BizError(429, f"too many wrong passwords; try again in {left:.0f} s")

    def wrong(self, name: str) -> None:
        """One more."""
        with self._lock:
            count, _ = self._failed.pop(name, (0, 0.0))
            self._failed[name] = count + 1, time.monotonic()
            if len(self._failed) > 1000:
                self._failed.popitem(last=False)

    def right(self, name: str) -> None:
        """The right one: forget the others."""
        with self._lock:
            self._failed.pop(name, None)
