"""Passwords: slow to try, for names that nobody has as well, and not many times in a row."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator

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
        most: wrong ones in a row after which a name has to wait; so many are tried at the same time, too.
        wait: seconds for which no password of that name is tried then.
    """

    def __init__(self, most: int = 5, wait: float = 30.0) -> None:
        self._most, self._wait = most, wait
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._tried: Counter[str] = Counter()

    @contextlib.contextmanager
    def trial(self, name: str) -> Iterator[Callable[[bool], None]]:
        """Around the trial of one password of the name, which tells the function whether it was right.

        Raises:
            BizError: 429, the name has to wait.
        """
        self._begin(name)
        try:
            yield functools.partial(self._told, name)
        finally:
            with self._lock:
                self._tried[name] -= 1
                self._tried += Counter()  # without those of whom nothing is tried any more

    def _begin(self, name: str) -> None:
        with self._lock:
            count, last = self._failed.get(name, (0, 0.0))
            left = last + self._wait - time.monotonic()
            if count >= self._most and left > 0:
                raise BizError(429, f"too many wrong passwords; try again in {left:.0f} s")
            # Whoever sends a hundred at once tries no more of them than whoever sends one after the other.
            if self._tried[name] >= max(1, self._most - count):
                raise BizError(429, "too many passwords at the same time; try again in 1 s")
            self._tried[name] += 1

    def _told(self, name: str, right: bool) -> None:
        with self._lock:
            count, _ = self._failed.pop(name, (0, 0.0))
            if right:
                return
            self._failed[name] = count + 1, time.monotonic()
            if len(self._failed) > 1000:
                self._failed.popitem(last=False)
